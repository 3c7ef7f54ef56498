// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// check() names what is wrong with a problem.
#include "attend/kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace attend::kernels::testing {
namespace {

Attention valid() {
  Attention a;
  a.batch = 2;
  a.heads = 4;
  a.kv_heads = 2;
  a.queries = 8;
  a.keys = 10;
  a.dim = a.value_dim = 16;
  return a;
}

std::string problem_of(const Attention& a) {
  const char* wrong = check(a);
  return wrong ? wrong : "";
}

TEST(Check, AValidProblem) { EXPECT_EQ(problem_of(valid()), ""); }

TEST(Check, Sizes) {
  const auto with = [](int64_t Attention::*member, int64_t value) {
    Attention a = valid();
    a.*member = value;
    return problem_of(a);
  };
  EXPECT_NE(with(&Attention::batch, -1), "");
  EXPECT_NE(with(&Attention::queries, -1), "");
  EXPECT_NE(with(&Attention::keys, -1), "");
  EXPECT_NE(with(&Attention::keys, int64_t(1) << 31), "");
  EXPECT_NE(with(&Attention::kv_heads, 0), "");
  EXPECT_NE(with(&Attention::kv_heads, 3), "");
  EXPECT_NE(with(&Attention::dim, 0), "");
  EXPECT_NE(with(&Attention::dim, 257), "");
  EXPECT_NE(with(&Attention::value_dim, 257), "");
  EXPECT_EQ(with(&Attention::dim, 256), "");
  EXPECT_EQ(with(&Attention::queries, 0), "");
}

TEST(Check, Numbers) {
  const auto with = [](double Attention::*member, double value) {
    Attention a = valid();
    a.*member = value;
    return problem_of(a);
  };
  EXPECT_NE(with(&Attention::scale, NAN), "");
  EXPECT_NE(with(&Attention::scale, INFINITY), "");
  EXPECT_NE(with(&Attention::soft_cap, -1), "");
  EXPECT_NE(with(&Attention::soft_cap, INFINITY), "");
  EXPECT_NE(with(&Attention::dropout, 1), "");
  EXPECT_NE(with(&Attention::dropout, -0.1), "");
  EXPECT_NE(with(&Attention::dropout, NAN), "");
  EXPECT_EQ(with(&Attention::dropout, 0.999), "");
}

TEST(Check, Lengths) {
  Attention a = valid();
  const int64_t good[] = {0, 8}, too_long[] = {8, 11}, negative[] = {-1, 3};
  a.key_lengths = a.query_lengths = good;
  EXPECT_EQ(problem_of(a), "");
  a.key_lengths = too_long;
  EXPECT_NE(problem_of(a), "");
  a.key_lengths = good;
  a.query_lengths = negative;
  EXPECT_NE(problem_of(a), "");
}

TEST(Check, PackedSequences) {
  Attention a = valid();
  const int64_t queries[] = {0, 3, 8}, keys[] = {0, 10, 10}, late[] = {1, 3, 8},
                falling[] = {0, 9, 8}, short_of[] = {0, 3, 7};
  a.query_starts = queries;
  EXPECT_NE(problem_of(a), "") << "key_starts is missing";
  a.key_starts = keys;
  EXPECT_EQ(problem_of(a), "");
  for (const int64_t* wrong : {late, falling, short_of}) {
    a.query_starts = wrong;
    EXPECT_NE(problem_of(a), "");
  }
  a.query_starts = queries;
  a.key_lengths = keys;
  EXPECT_NE(problem_of(a), "") << "lengths beside offsets";
}

TEST(Check, Pages) {
  Attention a = valid();
  const int32_t pages[] = {0, 1, 2, 3, 4, 5};
  a.pages = pages;
  EXPECT_NE(problem_of(a), "") << "no page size";
  a.page_size = 4;
  a.pages_per_batch = 2;
  EXPECT_NE(problem_of(a), "") << "8 rows for 10 keys";
  a.pages_per_batch = 3;
  EXPECT_EQ(problem_of(a), "");
}

TEST(Check, BlocksAndDistances) {
  Attention a = valid();
  const uint8_t blocks[] = {1};
  const float biases[] = {0, 0, 0, 0};
  a.block_mask.data = blocks;
  EXPECT_EQ(problem_of(a), "");
  a.block_mask.key_block = 0;
  EXPECT_NE(problem_of(a), "");
  a = valid();
  a.distance_bias = biases;
  EXPECT_EQ(problem_of(a), "");
  a.distance_reach = -1;
  EXPECT_NE(problem_of(a), "");
}

}  // namespace
}  // namespace attend::kernels::testing
