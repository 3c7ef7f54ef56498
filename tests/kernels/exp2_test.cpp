// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The table test of the exponential that every softmax goes through.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine.h"

namespace attend::kernels::testing {
namespace {

// The engines' polynomial is off by 1.6e-7 at most, 2.7 units in the last place just below a power
// of two; the last addition rounds by half a unit. What takes a table instead is off by less.
constexpr double kUlpBound = 3.2;

std::vector<float> exp2_of(const std::vector<float>& in, bool bounded = false) {
  std::vector<float> out(in.size(), 5.0f);
  active_engine().exp2(in.data(), out.data(), int64_t(in.size()), bounded);
  return out;
}

/// Distance from the exact 2^x in units in the last place of that.
double ulps(float x, float actual) {
  const double exact = std::exp2(double(x));
  const double ulp = std::exp2(std::floor(double(x)) - 23);
  return std::abs(actual - exact) / ulp;
}

TEST(Exp2, EveryInputWithinTheBound) {
  std::vector<float> in;
  // Steps of 1 / 2048 over the whole range, and every float near 0 and 1 that the steps leave out.
  for (int n = -126 * 2048; n <= 127 * 2048; ++n) in.push_back(float(n) / 2048);
  for (int n = 0; n < 200000; ++n) {
    in.push_back(-1.0f + float(n) * std::ldexp(1.0f, -24));
    in.push_back(-float(n) * std::ldexp(1.0f, -18));
    in.push_back(std::bit_cast<float>(0x80000000u + uint32_t(n) * 5300u));
  }
  for (const bool bounded : {false, true}) {
    const std::vector<float> out = exp2_of(in, bounded);
    double worst = 0;
    float worst_input = 0;
    for (size_t n = 0; n < in.size(); ++n) {
      if (in[n] < -126) continue;
      const double error = ulps(in[n], out[n]);
      if (!(error <= worst)) {
        worst = error;
        worst_input = in[n];
      }
    }
    RecordProperty(bounded ? "worst_ulps_bounded" : "worst_ulps", std::to_string(worst));
    EXPECT_LE(worst, kUlpBound) << "at " << worst_input << (bounded ? ", bounded" : "");
  }
}

TEST(Exp2, WholeNumbersAreExact) {
  std::vector<float> in;
  for (int n = -126; n <= 127; ++n) in.push_back(float(n));
  for (const bool bounded : {false, true}) {
    const std::vector<float> out = exp2_of(in, bounded);
    for (size_t n = 0; n < in.size(); ++n) EXPECT_EQ(out[n], std::exp2(in[n])) << in[n];
  }
}

TEST(Exp2, SmallerResultsVanish) {
  std::vector<float> in{-std::numeric_limits<float>::infinity(), -1e30f, -1e4f, -200.0f, -150.0f};
  for (const float result : exp2_of(in)) EXPECT_EQ(result, 0);
  in.clear();
  for (int n = 0; n <= 2400; ++n) in.push_back(-126.0f - float(n) / 100);
  const std::vector<float> out = exp2_of(in);
  for (size_t n = 0; n < in.size(); ++n) {
    // Denormal results may be flushed to 0.
    EXPECT_GE(out[n], 0);
    EXPECT_LE(std::abs(out[n] - std::exp2(double(in[n]))), std::exp2(-126)) << in[n];
  }
}

TEST(Exp2, NeverFallsAsItsInputRises) {
  std::vector<float> in;
  for (int n = -40 * 4096; n <= 0; ++n) in.push_back(float(n) / 4096);
  for (const bool bounded : {false, true}) {
    const std::vector<float> out = exp2_of(in, bounded);
    EXPECT_TRUE(std::is_sorted(out.begin(), out.end())) << (bounded ? "bounded" : "");
  }
}

TEST(Exp2, AnyCountAndNoElementMore) {
  for (size_t count = 0; count <= 70; ++count) {
    std::vector<float> in(count, -1.0f), out(count + 1, 5.0f);
    active_engine().exp2(in.data(), out.data(), int64_t(count), false);
    for (size_t n = 0; n < count; ++n) EXPECT_EQ(out[n], 0.5f) << n << " of " << count;
    EXPECT_EQ(out[count], 5.0f) << count;
  }
}

}  // namespace
}  // namespace attend::kernels::testing
