// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Maps, merging, and summaries of long inputs against the whole matrices.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "attend/base/error.h"
#include "attend/explain/explain.h"
#include "fake_tasks.h"

namespace attend {
namespace {

using testing::EncoderTask;
using testing::IdDataset;

EncoderOptions encoder(bool causal = false) {
  EncoderOptions options;
  options.layers = 2;
  options.hidden = 8;
  options.heads = 2;
  options.positions = PositionKind::kAlibi;
  options.attention.causal = causal;
  return options;
}

IdDataset letters(int64_t count) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(1 + (7 * i + i / 5) % 19);
  return IdDataset({ids});
}

std::vector<torch::Tensor> whole_matrices(Task& task, const Dataset& data) {
  torch::NoGradGuard no_grad;
  const std::vector<int64_t> rows = {0};
  std::vector<torch::Tensor> all;
  for (const LayerTrace& layer :
       task.forward(task.collate(data, rows), TraceRequest::all_weights()).trace.layers) {
    all.push_back(layer.weights[0]);
  }
  return all;
}

// Mean over a group's queries of the sum over a group's keys, by the definition.
double merged(const torch::Tensor& weights, const UnitGroup& rows, const UnitGroup& columns) {
  double sum = 0;
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    for (int64_t j = columns.begin; j < columns.end; ++j) sum += weights[i][j].item<double>();
  }
  return sum / static_cast<double>(rows.size());
}

TEST(Views, MapsAreMergedByTheRule) {
  torch::manual_seed(1);
  EncoderTask task(encoder(), PoolingKind::kAttention);
  const IdDataset data = letters(7);
  const auto matrices = whole_matrices(task, data);
  ExplainOptions options;
  options.spans = "1-3,5-6";
  const std::vector<UnitGroup> groups = {{0, 1}, {1, 4}, {4, 5}, {5, 7}};
  const Explanation explanation = explain(task, data, 0, options);
  ASSERT_EQ(explanation.units.size(), 4U);
  EXPECT_EQ(explanation.unit_kind, "span");
  EXPECT_EQ(explanation.units[1].span, (Span{1, 4}));
  int64_t checked = 0;
  for (const AttentionMap& map : explanation.attention) {
    if (map.role == "pooling") continue;
    const torch::Tensor& layer = matrices[static_cast<size_t>(map.layer)];
    const torch::Tensor weights = map.head < 0 ? layer.mean(0) : layer[map.head];
    for (size_t row = 0; row < 4; ++row) {
      double sum = 0;
      for (size_t column = 0; column < 4; ++column) {
        const double weight = map.weights[4 * row + column];
        EXPECT_NEAR(weight, merged(weights, groups[row], groups[column]), 1e-6);
        sum += weight;
      }
      EXPECT_NEAR(sum, 1, 1e-5);
    }
    ++checked;
  }
  EXPECT_EQ(checked, 6);
  EXPECT_EQ(explanation.attention.back().role, "pooling");
  // Scores that are shares stay shares.
  for (const Attribution& one : explanation.attributions) {
    if (one.method != "attention" && one.method != "rollout") continue;
    EXPECT_NEAR(std::accumulate(one.scores.begin(), one.scores.end(), 0.0), 1, 1e-5);
  }
}

TEST(Views, HeadsAreDescribedByTheirMatrix) {
  for (const bool causal : {false, true}) {
    torch::manual_seed(2);
    EncoderTask task(encoder(causal), PoolingKind::kMean);
    const IdDataset data = letters(6);
    const auto matrices = whole_matrices(task, data);
    for (const HeadSummary& head : explain(task, data, 0).heads) {
      const torch::Tensor w = matrices[static_cast<size_t>(head.layer)][head.head];
      double entropy = 0, distance = 0, self = 0, previous = 0, next = 0, first = 0;
      int64_t rows = 0;
      for (int64_t i = 0; i < 6; ++i) {
        double of_row = 0;
        for (int64_t j = 0; j < 6; ++j) {
          const double weight = w[i][j].item<double>();
          if (weight > 0) of_row -= weight * std::log(weight);
          distance += weight * static_cast<double>(std::abs(i - j)) / 6;
          self += j == i ? weight / 6 : 0;
          previous += j == i - 1 ? weight / 6 : 0;
          next += j == i + 1 ? weight / 6 : 0;
          first += j == 0 ? weight / 6 : 0;
        }
        const int64_t allowed = causal ? i + 1 : 6;
        if (allowed == 1) continue;
        entropy += of_row / std::log(static_cast<double>(allowed));
        ++rows;
      }
      EXPECT_NEAR(head.entropy, entropy / static_cast<double>(rows), 1e-6);
      EXPECT_NEAR(head.distance, distance, 1e-5);
      EXPECT_NEAR(head.self, self, 1e-6);
      EXPECT_NEAR(head.previous, previous, 1e-6);
      EXPECT_NEAR(head.next, next, 1e-6);
      EXPECT_NEAR(head.first, first, 1e-6);
      EXPECT_FALSE(head.importance.has_value());
    }
  }
}

class LongInput : public ::testing::TestWithParam<std::tuple<bool, bool>> {};

// The same input explained with matrices and without: nothing may differ.
TEST_P(LongInput, SummariesAreExact) {
  const auto [causal, in_groups] = GetParam();
  torch::manual_seed(3);
  EncoderTask task(encoder(causal), PoolingKind::kAttention);
  const IdDataset data = letters(150);
  const auto matrices = whole_matrices(task, data);
  ExplainOptions options;
  options.methods = {"attention", "rollout", "attention-mean", "grad-attention", "norm-based"};
  options.evidence = false;
  if (in_groups) options.spans = "0-2,10-11,100-103";
  ExplainOptions without = options;
  without.max_map_units = 100;
  without.tiles = {parse_tile("1.0:3-5,100-120"), parse_tile("0:0-1,0-9")};
  const Explanation with_maps = explain(task, data, 0, options);
  const Explanation summary = explain(task, data, 0, without);
  const auto units = static_cast<int64_t>(summary.units.size());
  EXPECT_TRUE(summary.attention.empty());
  EXPECT_TRUE(with_maps.layers.empty());
  ASSERT_EQ(summary.layers.size(), 2U);
  for (size_t method = 0; method < options.methods.size(); ++method) {
    for (size_t unit = 0; unit < summary.units.size(); ++unit) {
      EXPECT_NEAR(summary.attributions[method].scores[unit],
                  with_maps.attributions[method].scores[unit], 1e-8);
    }
  }
  const auto mean_map = [&](int64_t layer) {
    const auto found =
        std::find_if(with_maps.attention.begin(), with_maps.attention.end(),
                     [&](const auto& map) { return map.layer == layer && map.head == -1; });
    return torch::tensor(std::vector<double>(found->weights.begin(), found->weights.end()),
                         torch::kDouble)
        .view({units, units});
  };
  for (const LayerSummary& layer : summary.layers) {
    const torch::Tensor map = mean_map(layer.layer);
    const torch::Tensor matrix = matrices[static_cast<size_t>(layer.layer)];
    for (int64_t j = 0; j < units; ++j) {
      EXPECT_NEAR(layer.received[static_cast<size_t>(j)], map.select(1, j).sum().item<double>(),
                  1e-4);
    }
    ASSERT_EQ(layer.pooled_rows, 64);
    ASSERT_EQ(layer.pooled.size(), 64U * 64U);
    for (int64_t r = 0; r < 64; r += 9) {
      for (int64_t c = 0; c < 64; ++c) {
        const double block = map.slice(0, r * units / 64, (r + 1) * units / 64)
                                 .slice(1, c * units / 64, (c + 1) * units / 64)
                                 .sum()
                                 .item<double>();
        EXPECT_NEAR(layer.pooled[static_cast<size_t>(64 * r + c)], block, 1e-5);
      }
    }
    // The weight of every link, and the heaviest key of every unit. (A group that is heavy by many
    // light units may be missed.)
    std::set<int64_t> queries;
    double last = 2;
    for (const AttentionLink& link : layer.links) {
      EXPECT_NEAR(link.weight, map[link.query][link.key].item<double>(), 1e-6);
      EXPECT_LE(link.weight, last + 1e-12);
      last = link.weight;
      if (queries.insert(link.query).second && !in_groups) {
        EXPECT_NEAR(link.weight, map[link.query].max().item<double>(), 1e-6);
      }
    }
    EXPECT_EQ(static_cast<int64_t>(queries.size()), units);
    if (in_groups) continue;
    const torch::Tensor entropy = -(matrix * matrix.clamp_min(1e-300).log()).sum(-1).mean(0);
    for (int64_t i = 0; i < units; ++i) {
      EXPECT_NEAR(layer.entropy[static_cast<size_t>(i)], entropy[i].item<double>(), 1e-8);
    }
  }
  ASSERT_EQ(summary.heads.size(), with_maps.heads.size());
  for (size_t head = 0; head < summary.heads.size(); ++head) {
    const HeadSummary &a = summary.heads[head], &b = with_maps.heads[head];
    EXPECT_NEAR(a.entropy, b.entropy, 1e-8);
    if (in_groups) continue;  // places are then those of the model's units
    EXPECT_NEAR(a.distance, b.distance, 150.0 / 64);
    EXPECT_NEAR(a.self, b.self, 1e-6);
    EXPECT_NEAR(a.previous, b.previous, 1e-6);
    EXPECT_NEAR(a.next, b.next, 1e-6);
    EXPECT_NEAR(a.first, b.first, 1e-6);
  }
  ASSERT_EQ(summary.tiles.size(), 2U);
  const AttentionTile& tile = summary.tiles[1];
  EXPECT_EQ(tile.head, -1);
  for (int64_t r = 0; r < tile.rows; ++r) {
    for (int64_t c = 0; c < tile.columns; ++c) {
      EXPECT_NEAR(tile.weights[static_cast<size_t>(tile.columns * r + c)],
                  mean_map(0)[tile.first_row + r][tile.first_column + c].item<double>(), 1e-6);
    }
  }
  EXPECT_EQ(summary.tiles[0].rows, 3);
  EXPECT_EQ(summary.tiles[0].columns, 21);
  ASSERT_EQ(summary.notices.size(), 1U);
  EXPECT_NE(summary.notices[0].find("kept up to 100"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LongInput,
                         ::testing::Combine(::testing::Bool(), ::testing::Bool()));

// Few groups of a long input have a whole map, which no N x N matrix was made for.
TEST(Views, SpansMakeALongInputFit) {
  torch::manual_seed(3);
  EncoderTask task(encoder(), PoolingKind::kMean);
  const IdDataset data = letters(150);
  const torch::Tensor matrix = whole_matrices(task, data)[1][1];
  ExplainOptions options;
  options.methods = {"attention"};
  options.max_map_units = 60;
  options.spans = "0-49,50-99,100-149";
  const Explanation explanation = explain(task, data, 0, options);
  const auto map =
      std::find_if(explanation.attention.begin(), explanation.attention.end(),
                   [](const AttentionMap& one) { return one.layer == 1 && one.head == 1; });
  ASSERT_NE(map, explanation.attention.end());
  EXPECT_NEAR(map->weights[3 * 1 + 2], merged(matrix, {50, 100}, {100, 150}), 1e-6);
}

TEST(Views, SlowMethodsAreLeftOutOfAllAndNamed) {
  torch::manual_seed(3);
  EncoderTask task(encoder(), PoolingKind::kMean);
  const IdDataset data = letters(60);
  ExplainOptions options;
  options.evidence = false;
  options.max_positions = 60 * 10;  // ten passes, or nearly
  const Explanation explanation = explain(task, data, 0, options);
  std::vector<std::string> names;
  for (const Attribution& one : explanation.attributions) names.push_back(one.method);
  EXPECT_EQ(names, (std::vector<std::string>{"attention", "attention-mean", "rollout", "norm-based",
                                             "grad-attention", "attention-x-gradient", "gradient",
                                             "gradient-x-input", "random"}));
  ASSERT_EQ(explanation.notices.size(), 1U);
  EXPECT_NE(explanation.notices[0].find(
                "value-zeroing, integrated-attention, integrated-gradients, occlusion"),
            std::string::npos);
  // Asked for by name, they run.
  options.methods = {"occlusion"};
  EXPECT_EQ(explain(task, data, 0, options).attributions.size(), 1U);
}

TEST(Views, WrongPlacesSayWhatThereIs) {
  torch::manual_seed(3);
  EncoderTask task(encoder(), PoolingKind::kMean);
  const IdDataset data = letters(6);
  const auto error_of = [&](const std::function<void(ExplainOptions&)>& change) {
    ExplainOptions options;
    options.methods = {"attention"};
    try {
      change(options);
      explain(task, data, 0, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto tile = [&](const std::string& text) {
    return error_of([&](ExplainOptions& options) { options.tiles = {parse_tile(text)}; });
  };
  EXPECT_NE(tile("2:0-1,0-1").find("layers 0 to 1"), std::string::npos);
  EXPECT_NE(tile("1.2:0-1,0-1").find("heads 0 to 1"), std::string::npos);
  EXPECT_NE(tile("1:0-1,0-6").find("from 0 to 5"), std::string::npos);
  for (const char* text : {"", "1", "1:0-1", "1:0-1,1", "1:1-0,0-1", "1.x:0-1,0-1", "1:0-1,0-1 "}) {
    EXPECT_NE(tile(text).find("give LAYER[.HEAD]"), std::string::npos) << text;
  }
  EXPECT_NE(error_of([](ExplainOptions& options) { options.layer = 5; }).find("layers 0 to 1"),
            std::string::npos);
  EXPECT_NE(error_of([](ExplainOptions& options) { options.head = 2; }).find("heads 0 to 1"),
            std::string::npos);
  EXPECT_NE(error_of([](ExplainOptions& options) { options.spans = "4-6"; }).find("units 0 to 5"),
            std::string::npos);
  EXPECT_NE(error_of([](ExplainOptions& options) { options.spans = "0-2,2-3"; }).find("unit 2"),
            std::string::npos);
  EXPECT_NE(error_of([](ExplainOptions& options) {
              options.spans = "0-1";
              options.units = "word";
            }).find("one of them"),
            std::string::npos);
}

}  // namespace
}  // namespace attend
