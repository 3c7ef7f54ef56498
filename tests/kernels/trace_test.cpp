// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What forward() reports besides its output, and the weights on demand.
#include <gtest/gtest.h>

#include <string>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

TEST(Trace, EachFeature) {
  for (const NamedProblem& c : feature_cases()) expect_statistics(c.problem, c.name);
}

TEST(Trace, RandomCombinations) {
  for (const NamedProblem& c : random_cases(80, 17, 90)) expect_statistics(c.problem, c.name);
  for (const NamedProblem& c : random_cases(15, 18, 300)) expect_statistics(c.problem, c.name);
}

TEST(Trace, EachPartAlone) {
  Problem p({.batch = 2,
             .heads = 2,
             .kv_heads = 1,
             .queries = 70,
             .keys = 140,
             .dim = 16,
             .value_dim = 16});
  p.settings.causal = true;
  p.settings.query_offset = 30;
  for (const TraceRequest& request :
       {TraceRequest{}, TraceRequest{.lse = false, .entropy = true},
        TraceRequest{.lse = false, .received = true}, TraceRequest{.lse = false, .top_k = 3},
        TraceRequest{.lse = false, .pooled_rows = 4, .pooled_columns = 4},
        TraceRequest{.entropy = true, .received = true}}) {
    expect_statistics(p, "part of a trace", request);
  }
}

TEST(Trace, TopKeysWithoutTheirWeights) {
  const Problem p({.queries = 20, .keys = 50});
  const Attention a = p.attention();
  Array output(ElementType::kFloat32, Layout::kHeadsFirst, 1, 1, 20, 8);
  Forward f;
  f.top_keys.resize(20 * 4);
  Trace trace;
  trace.top_k = 4;
  trace.top_keys = f.top_keys.data();
  forward(a, output.mutable_view(), trace);
  EXPECT_TRUE(top_keys_right(p, reference_forward(a), f, 4, 1e-5));
}

TEST(Trace, TopKeysOfEveryCount) {
  for (const int64_t top_k : {1, 2, 7, 8, 16, 31, 32}) {
    for (const int64_t keys : {1, 5, 31, 33, 300, 1100}) {
      for (const int64_t queries : {2, 37}) {
        const Problem p({.heads = 2, .kv_heads = 1, .queries = queries, .keys = keys});
        expect_statistics(p, "top " + std::to_string(top_k) + " of " + std::to_string(keys),
                          {.top_k = top_k});
      }
    }
  }
}

// Scores are small whole numbers, so that there are many ties and all are exact.
TEST(Trace, TiesGoToTheLowestKey) {
  for (const int64_t keys : {40, 700}) {
    for (const int64_t queries : {3, 50}) {
      for (const int64_t distinct : {1, 2, 5, 40}) {
        for (const bool causal : {false, true}) {
          Problem p({.heads = 2, .kv_heads = 2, .queries = queries, .keys = keys});
          p.settings.scale = 0.5;
          p.settings.causal = causal;
          for (int64_t h = 0; h < 2; ++h) {
            for (int64_t i = 0; i < queries; ++i) {
              p.query.fill_row(0, h, i, 0);
              p.query.set(0, h, i, 3, 1);
            }
            for (int64_t j = 0; j < keys; ++j) {
              p.key.set(0, h, j, 3, double(p.random() % uint64_t(distinct)));
            }
          }
          const ForwardReference reference = reference_forward(p.attention());
          for (const int64_t top_k : {8, 20}) {
            const Forward f = run_forward(p, {.top_k = top_k});
            EXPECT_TRUE(top_keys_right(p, reference, f, top_k, 0))
                << "top " << top_k << ", " << queries << " queries, " << keys << " keys, "
                << distinct << " distinct scores";
          }
        }
      }
    }
  }
}

// Of neighbouring rows one has every key enter its list, another hardly any, and a third none of
// the first keys, so that few places are as many as a row has.
TEST(Trace, TopKeysInEveryOrder) {
  for (const int64_t keys : {64, 256, 300, 1100}) {
    for (const int64_t low : {0, 1, 16, 70}) {
      Problem p({.heads = 1, .kv_heads = 1, .queries = 27, .keys = keys});
      p.settings.scale = 1;
      for (int64_t i = 0; i < 27; ++i) {
        p.query.fill_row(0, 0, i, 0);
        p.query.set(0, 0, i, i % 3, 1);
      }
      for (int64_t j = 0; j < keys; ++j) {
        const double rising = double(j) / double(keys);
        p.key.set(0, 0, j, 0, 4 * rising);
        p.key.set(0, 0, j, 1, -4 * rising);
        p.key.set(0, 0, j, 2, j < low ? -4 : 4 * rising);
      }
      const ForwardReference reference = reference_forward(p.attention());
      for (const int64_t top_k : {1, 8, 9}) {
        const Forward f = run_forward(p, {.top_k = top_k});
        EXPECT_TRUE(top_keys_right(p, reference, f, top_k, 0))
            << "top " << top_k << " of " << keys << " keys, the first " << low << " low";
      }
    }
  }
}

TEST(Trace, PooledMapsOfEverySize) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {2, 5}, {64, 64}, {90, 130}, {100, 200}}) {
    for (const bool causal : {false, true}) {
      Problem p({.batch = 2, .heads = 2, .kv_heads = 1, .queries = 90, .keys = 130});
      p.settings.causal = causal;
      expect_statistics(p, "pooled " + std::to_string(rows) + " x " + std::to_string(columns),
                        {.pooled_rows = rows, .pooled_columns = columns});
    }
  }
}

TEST(Trace, PooledMapsOfPackedSequencesFollowTheirOwnLengths) {
  Problem p = Problem::packed({.heads = 2, .kv_heads = 1}, {30, 0, 64, 3}, {50, 10, 64, 200});
  expect_statistics(p, "packed and pooled", {.pooled_rows = 4, .pooled_columns = 8});
}

TEST(Trace, SharpAndFlatRows) {
  for (const double scores : {0.01, 1.0, 10.0, 32.0}) {
    Problem p({.heads = 2, .kv_heads = 2, .queries = 40, .keys = 400, .dim = 32});
    p.scale_scores_to(scores);
    expect_statistics(p, "scores up to " + std::to_string(scores), kWholeTrace,
                      forward_bound(scores));
  }
}

TEST(Trace, ManyKeys) {
  for (const int64_t keys : {8192, 8193, 16500}) {
    for (const int64_t queries : {2, 40}) {
      for (const int threads : {1, 2}) {
        Problem p({.heads = 2, .kv_heads = 1, .queries = queries, .keys = keys});
        p.settings.threads = threads;
        expect_statistics(p, std::to_string(queries) + " queries, " + std::to_string(keys) +
                                 " keys, threads " + std::to_string(threads));
      }
    }
  }
}

TEST(Trace, ReceivedSumsToTheRows) {
  Problem p({.queries = 300, .keys = 260, .dim = 16});
  p.settings.threads = 2;
  const Forward f = run_forward(p, {.received = true, .pooled_rows = 3, .pooled_columns = 3});
  double received = 0, pooled = 0;
  for (const float mass : f.received) received += mass;
  for (const float mass : f.pooled) pooled += mass;
  EXPECT_NEAR(received, 300, 300 * kStatisticsBound);
  EXPECT_NEAR(pooled, 300, 300 * kStatisticsBound);
}

/// Any tile of the weights, by weights().
Worst tile_error(const Problem& p, WeightsRequest request) {
  const Attention a = p.attention();
  const ForwardReference reference = reference_forward(a);
  const Forward f = run_forward(p);
  const int64_t batches = request.batch < 0 ? a.batch : 1;
  const int64_t heads = request.head < 0 ? a.heads : 1;
  std::vector<float> tile(size_t(batches * heads * request.queries * request.keys), 7.0f);
  request.lse = f.lse.data();
  request.weights = tile.data();
  weights(a, request);
  Worst worst;
  size_t at = 0;
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t slice =
          std::max<int64_t>(request.batch, b) * a.heads + std::max<int64_t>(request.head, h);
      for (int64_t i = 0; i < request.queries; ++i) {
        for (int64_t j = 0; j < request.keys; ++j) {
          const size_t from = size_t((request.first_query + i) * a.keys + request.first_key + j);
          worst.see(tile[at++], reference.weights[size_t(slice)][from], 1,
                    "weight " + std::to_string(i) + ", " + std::to_string(j));
        }
      }
    }
  }
  return worst;
}

TEST(Weights, WholeMatrixUnderEachFeature) {
  for (const NamedProblem& c : feature_cases()) {
    if (!c.problem.query_starts.empty()) continue;
    const Attention& a = c.problem.settings;
    EXPECT_TRUE(
        within(tile_error(c.problem, {.queries = a.queries, .keys = a.keys}), kStatisticsBound))
        << c.name;
  }
}

TEST(Weights, AnyTileOfAnyHead) {
  Problem p({.batch = 2, .heads = 4, .kv_heads = 2, .queries = 50, .keys = 90, .dim = 20});
  p.settings.causal = true;
  p.settings.query_offset = 40;
  for (int n = 0; n < 40; ++n) {
    WeightsRequest request;
    request.batch = int64_t(p.random() % 3) - 1;
    request.head = int64_t(p.random() % 5) - 1;
    request.first_query = int64_t(p.random() % 50);
    request.queries = int64_t(p.random() % uint64_t(51 - request.first_query));
    request.first_key = int64_t(p.random() % 90);
    request.keys = int64_t(p.random() % uint64_t(91 - request.first_key));
    EXPECT_TRUE(within(tile_error(p, request), kStatisticsBound)) << "tile " << n;
  }
}

TEST(Weights, OfPages) {
  Problem p({.batch = 2, .heads = 2, .kv_heads = 1, .queries = 5, .keys = 60, .dim = 16});
  p.move_to_pages(7);
  EXPECT_TRUE(within(tile_error(p, {.queries = 5, .keys = 60}), kStatisticsBound));
}

}  // namespace
}  // namespace attend::kernels::testing
