// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "layer_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "attention_chain.h"

namespace attend {
namespace {

constexpr int64_t kCells = 64;
constexpr int64_t kLinksPerUnit = 4;
constexpr size_t kMostLinks = 8192;

std::vector<double> numbers(const torch::Tensor& tensor) {
  const auto values = tensor.detach().to(torch::kFloat64).contiguous();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

// The range that each position belongs to, -1 for none.
std::vector<int64_t> range_of_position(const std::vector<UnitGroup>& ranges, int64_t positions) {
  std::vector<int64_t> range(static_cast<size_t>(positions), -1);
  for (size_t r = 0; r < ranges.size(); ++r) {
    std::fill(range.begin() + ranges[r].begin, range.begin() + ranges[r].end,
              static_cast<int64_t>(r));
  }
  return range;
}

// Cell c holds units [c * units / cells, (c + 1) * units / cells): the positions of each cell.
std::vector<UnitGroup> cells_of(const std::vector<UnitGroup>& units) {
  const auto count = static_cast<int64_t>(units.size());
  const int64_t cells = std::min(kCells, count);
  std::vector<UnitGroup> all;
  for (int64_t c = 0; c < cells; ++c) {
    const int64_t first = c * count / cells, last = (c + 1) * count / cells - 1;
    all.push_back({units[static_cast<size_t>(first)].begin, units[static_cast<size_t>(last)].end});
  }
  return all;
}

// Sums over the positions of each range, along the last axis.
torch::Tensor summed(const torch::Tensor& positions, const std::vector<UnitGroup>& ranges) {
  const torch::Tensor running =
      torch::constant_pad_nd(positions.detach().to(torch::kDouble).cumsum(-1), {1, 0});
  std::vector<int64_t> begins, ends;
  for (const UnitGroup& range : ranges) {
    begins.push_back(range.begin);
    ends.push_back(range.end);
  }
  return running.index_select(-1, torch::tensor(ends, torch::kInt64)) -
         running.index_select(-1, torch::tensor(begins, torch::kInt64));
}

// The heaviest links of each row. A key whose mean over heads is above 1 / (k + 1) is among the k
// heaviest of some head, so only those (the groups of those) are candidates; they are weighed anew
// in every head.
class Links {
 public:
  Links(const LayerTrace& layer, const LayerSides& sides)
      : layer_(layer),
        sides_(sides),
        column_of_(range_of_position(sides.columns, layer.inputs->keys())) {}

  std::vector<AttentionLink> find() {
    for (size_t row = 0; row < sides_.rows.size(); ++row) {
      propose(row);
      if (queries_.size() >= kPairsAtOnce) weigh();
    }
    weigh();
    std::stable_sort(
        links_.begin(), links_.end(),
        [](const AttentionLink& a, const AttentionLink& b) { return a.weight > b.weight; });
    return std::move(links_);
  }

 private:
  static constexpr size_t kPairsAtOnce = 1 << 16;

  void propose(size_t row) {
    const UnitGroup& group = sides_.rows[row];
    const torch::Tensor top = layer_.top_keys[0].slice(1, group.begin, group.end).contiguous();
    const auto* keys = top.data_ptr<int64_t>();
    std::vector<int64_t> columns;
    for (int64_t i = 0; i < top.numel(); ++i) {
      if (keys[i] < 0) continue;
      const int64_t column = column_of_[static_cast<size_t>(keys[i])];
      if (column >= 0) columns.push_back(column);
    }
    std::sort(columns.begin(), columns.end());
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    for (const int64_t column : columns) {
      const UnitGroup& range = sides_.columns[static_cast<size_t>(column)];
      for (int64_t query = group.begin; query < group.end; ++query) {
        for (int64_t key = range.begin; key < range.end; ++key) {
          queries_.push_back(query);
          keys_.push_back(key);
          candidate_.push_back(candidates_.size());
        }
      }
      candidates_.push_back({static_cast<int64_t>(row), column, 0});
    }
  }

  void weigh() {
    if (queries_.empty()) return;
    const std::vector<double> weights =
        numbers(layer_.inputs
                    ->weights_at(torch::tensor(queries_, torch::kInt64),
                                 torch::tensor(keys_, torch::kInt64))
                    .mean(0));
    for (size_t pair = 0; pair < weights.size(); ++pair) {
      AttentionLink& link = candidates_[candidate_[pair]];
      link.weight +=
          weights[pair] / static_cast<double>(sides_.rows[static_cast<size_t>(link.query)].size());
    }
    std::sort(
        candidates_.begin(), candidates_.end(), [](const AttentionLink& a, const AttentionLink& b) {
          return std::tuple(a.query, -a.weight, a.key) < std::tuple(b.query, -b.weight, b.key);
        });
    int64_t of_row = 0;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      of_row = i > 0 && candidates_[i].query == candidates_[i - 1].query ? of_row + 1 : 0;
      if (of_row < kLinksPerUnit) links_.push_back(candidates_[i]);
    }
    queries_.clear();
    keys_.clear();
    candidate_.clear();
    candidates_.clear();
  }

  const LayerTrace& layer_;
  const LayerSides& sides_;
  std::vector<int64_t> column_of_;
  std::vector<int64_t> queries_, keys_;    // pairs to weigh
  std::vector<size_t> candidate_;          // whose pair it is
  std::vector<AttentionLink> candidates_;  // of whole rows
  std::vector<AttentionLink> links_;
};

// Share of a head's weight on the keys `offset` places from their queries.
std::vector<double> diagonal_shares(const LayerTrace& layer, int64_t offset) {
  const int64_t first = std::max<int64_t>(0, -offset);
  const int64_t last = std::min(layer.inputs->queries(), layer.inputs->keys() - offset);
  if (first >= last) return std::vector<double>(static_cast<size_t>(layer.inputs->heads()), 0.0);
  const torch::Tensor queries = torch::arange(first, last, torch::kInt64);
  const torch::Tensor weights = layer.inputs->weights_at(queries, queries + offset);
  return numbers(weights.to(torch::kDouble).sum(1) / static_cast<double>(layer.inputs->queries()));
}

// In the model's own positions; `reached` [cells, heads, key] are the sums over cells of queries.
void add_heads(const LayerTrace& layer, const LayerSides& sides, const torch::Tensor& reached,
               Explanation& explanation) {
  const std::vector<UnitGroup> cells = cells_of(sides.rows);
  const torch::Tensor weights = reached.to(torch::kDouble);
  const torch::Tensor totals = weights.sum(c10::IntArrayRef{0, 2}).clamp_min(1e-30);  // [heads]
  const std::vector<double> first =
      numbers(weights.select(2, sides.columns.front().begin).sum(0) / totals);
  torch::Tensor distance = torch::zeros_like(totals);
  const torch::Tensor place = torch::arange(layer.inputs->keys(), torch::kDouble);
  for (size_t c = 0; c < cells.size(); ++c) {
    // The middle of a cell stands for its queries.
    const double middle = 0.5 * static_cast<double>(cells[c].begin + cells[c].end - 1);
    distance += torch::matmul(weights[static_cast<int64_t>(c)], (place - middle).abs());
  }
  const bool comparable = sides.role != AttentionRole::kCross;
  const std::vector<double> far = numbers(distance / totals);
  const auto self = diagonal_shares(layer, 0), previous = diagonal_shares(layer, -1),
             next = diagonal_shares(layer, 1);
  for (size_t head = 0; head < first.size(); ++head) {
    HeadSummary summary;
    summary.layer = layer.layer;
    summary.head = static_cast<int64_t>(head);
    summary.entropy = entropy_share(layer, summary.head);
    summary.first = first[head];
    if (comparable) {
      summary.distance = far[head];
      summary.self = self[head];
      summary.previous = previous[head];
      summary.next = next[head];
    }
    explanation.heads.push_back(summary);
  }
}

}  // namespace

void add_layer_summaries(const MethodInput& input, Explanation& explanation) {
  torch::NoGradGuard no_grad;
  const Trace& trace = input.shared().output().trace;
  double dropped = 0;
  bool links_cut = false;
  for (const LayerTrace& layer : trace.layers) {
    const LayerSides sides = sides_of(input, layer, trace, explanation.output_units.size());
    const auto row_cells = cells_of(sides.rows), column_cells = cells_of(sides.columns);
    // A query counts as its share of the unit that it belongs to.
    torch::Tensor rows = torch::zeros(
        {static_cast<int64_t>(row_cells.size()), layer.inputs->queries()}, torch::kFloat32);
    size_t cell = 0;
    for (const UnitGroup& row : sides.rows) {
      if (row.begin >= row_cells[cell].end) ++cell;
      rows[static_cast<int64_t>(cell)]
          .slice(0, row.begin, row.end)
          .fill_(1.0 / static_cast<double>(row.size()));
    }
    const torch::Tensor reached = times_weights(layer, rows);  // [cells, heads, key]
    const torch::Tensor mean = reached.mean(1);
    LayerSummary summary;
    summary.layer = layer.layer;
    summary.label = layer.label;
    summary.received = numbers(summed(mean.to(torch::kDouble).sum(0), sides.columns));
    summary.pooled_rows = static_cast<int64_t>(row_cells.size());
    summary.pooled_columns = static_cast<int64_t>(column_cells.size());
    summary.pooled = numbers(summed(mean, column_cells));
    std::vector<double> sizes;
    for (const UnitGroup& row : sides.rows) sizes.push_back(static_cast<double>(row.size()));
    summary.entropy = numbers(summed(layer.entropy[0].mean(0), sides.rows) /
                              torch::tensor(sizes, torch::kDouble));
    summary.links = Links(layer, sides).find();
    if (summary.links.size() > kMostLinks) {
      summary.links.resize(kMostLinks);
      links_cut = true;
    }
    const double kept = torch::tensor(summary.received, torch::kDouble).sum().item<double>();
    dropped = std::max(dropped, 1 - kept / static_cast<double>(sides.rows.size()));
    explanation.layers.push_back(std::move(summary));
    add_heads(layer, sides, reached, explanation);
  }
  if (links_cut) {
    explanation.notices.push_back(fmt::format(
        "of each layer the {} heaviest links are kept, at most {} from a unit; sums and "
        "the pooled map are over all",
        kMostLinks, kLinksPerUnit));
  }
  if (dropped > 1e-3) {
    explanation.notices.push_back(
        fmt::format("up to {:.1f} % of the attention goes to positions that stand for no unit "
                    "([CLS], the start of the output, or a sink); the summaries leave it out",
                    100 * dropped));
  }
}

}  // namespace attend
