// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "views.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"
#include "attention_chain.h"
#include "layer_summary.h"

namespace attend {
namespace {

std::vector<float> flat(const torch::Tensor& weights) {
  const auto values = weights.detach().to(torch::kFloat32).clamp(0.0, 1.0).contiguous();
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

AttentionMap map_of(const torch::Tensor& weights, int64_t layer, int64_t head, std::string label,
                    const std::string& role) {
  AttentionMap map;
  map.layer = layer;
  map.head = head;
  map.label = std::move(label);
  map.rows = weights.size(0);
  map.columns = weights.size(1);
  map.weights = flat(weights);
  map.role = role;
  return map;
}

// [groups, positions]: what the positions of each group count.
torch::Tensor indicator(const std::vector<UnitGroup>& groups, int64_t positions, bool mean) {
  torch::Tensor matrix = torch::zeros({static_cast<int64_t>(groups.size()), positions});
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].size() == 0) continue;
    matrix[static_cast<int64_t>(g)]
        .slice(0, groups[g].begin, groups[g].end)
        .fill_(mean ? 1.0 / static_cast<double>(groups[g].size()) : 1.0);
  }
  return matrix;
}

std::string role_name(const LayerSides& sides) {
  return sides.role == AttentionRole::kCross     ? "cross"
         : sides.role == AttentionRole::kDecoder ? "decoder"
                                                 : "self";
}

// Statistics of one head's map [rows, columns] in shown units.
HeadSummary head_summary(const torch::Tensor& map, double entropy, const LayerSides& sides) {
  HeadSummary summary;
  summary.entropy = entropy;
  const torch::Tensor weights = map.to(torch::kDouble);
  const double total = weights.sum().item<double>();
  if (!(total > 0)) return summary;
  const auto share = [&](const torch::Tensor& part) { return part.sum().item<double>() / total; };
  summary.first = share(weights.select(1, 0));
  if (sides.role == AttentionRole::kCross) return summary;  // places cannot be compared
  // A decoder's row i stands before unit i: its own column would be the future.
  const torch::Tensor distance = torch::arange(map.size(1), torch::kDouble).unsqueeze(0) -
                                 torch::arange(map.size(0), torch::kDouble).unsqueeze(1);
  summary.distance = (weights * distance.abs()).sum().item<double>() / total;
  summary.self = share(weights.diagonal());
  summary.previous = share(weights.diagonal(-1));
  summary.next = share(weights.diagonal(1));
  return summary;
}

void add_maps(const MethodInput& input, Explanation& explanation) {
  const TaskOutput& output = input.shared().output();
  double dropped = 0;
  for (const LayerTrace& layer : output.trace.layers) {
    const LayerSides sides = sides_of(input, layer, output.trace, explanation.output_units.size());
    const torch::Tensor weights =
        merged_weights(layer, sides.rows, sides.columns).to(torch::kFloat32);
    dropped = std::max(dropped, 1.0 - weights.sum(2).mean().item<double>());
    const std::string name =
        layer.label.empty() ? fmt::format("layer {}", layer.layer) : layer.label;
    const std::string role = role_name(sides);
    explanation.attention.push_back(
        map_of(weights.mean(0), layer.layer, -1, name + ", mean of heads", role));
    for (int64_t head = 0; head < weights.size(0); ++head) {
      explanation.attention.push_back(
          map_of(weights[head], layer.layer, head, fmt::format("{}, head {}", name, head), role));
      HeadSummary summary = head_summary(weights[head], entropy_share(layer, head), sides);
      summary.layer = layer.layer;
      summary.head = head;
      explanation.heads.push_back(summary);
    }
  }
  if (dropped > 1e-3) {
    explanation.notices.push_back(
        fmt::format("up to {:.1f} % of the attention goes to positions that stand for no unit "
                    "([CLS], the start of the output, or a sink); the maps leave it out",
                    100 * dropped));
  }
}

// How the head reads the last layer, as a map of one row; not where it reads the output's
// positions.
void add_pooling(const MethodInput& input, Explanation& explanation) {
  const TaskOutput& output = input.shared().output();
  if (has_cross(output.trace)) return;
  const torch::Tensor readout = merged_positions(input.task.target_readout(output, input.target),
                                                 input.task.leading_positions(), input.groups);
  const int64_t behind = output.trace.layers.empty() ? 0 : output.trace.layers.back().layer + 1;
  explanation.attention.push_back(
      map_of(readout, behind, -1, "pooling: what the head reads", "pooling"));
}

std::string layers_there(const Trace& trace) {
  if (trace.layers.empty()) return "no attention layer";
  return trace.layers.size() == 1 ? "layer 0 only"
                                  : fmt::format("layers 0 to {}", trace.layers.back().layer);
}

void add_tile(const MethodInput& input, const TileRequest& asked, Explanation& explanation) {
  constexpr int64_t kMostWeights = 1 << 22;
  const Trace& trace = input.shared().output().trace;
  const LayerTrace* layer = trace.find(asked.layer);
  const auto wrong = [&](const std::string& what) {
    throw usage_error(fmt::format("--tile of layer {}: {}", asked.layer, what));
  };
  if (layer == nullptr || !layer->inputs) wrong("this model has " + layers_there(trace));
  if (asked.head >= layer->inputs->heads()) {
    wrong(fmt::format("head {} does not exist, it has heads 0 to {}", asked.head,
                      layer->inputs->heads() - 1));
  }
  const LayerSides sides = sides_of(input, *layer, trace, explanation.output_units.size());
  const auto check = [&](const char* side, int64_t first, int64_t count, size_t there) {
    if (count >= 1 && first + count <= static_cast<int64_t>(there)) return;
    wrong(fmt::format("there are no {} {} to {}; they go from 0 to {}", side, first,
                      first + count - 1, there - 1));
  };
  check("rows", asked.first_row, asked.rows, sides.rows.size());
  check("columns", asked.first_column, asked.columns, sides.columns.size());
  if (asked.rows * asked.columns > kMostWeights) {
    wrong(fmt::format("{} x {} weights are too many, ask for at most {}", asked.rows, asked.columns,
                      kMostWeights));
  }
  const auto part = [](const std::vector<UnitGroup>& all, int64_t first, int64_t count) {
    return std::vector<UnitGroup>(all.begin() + first, all.begin() + first + count);
  };
  std::vector<UnitGroup> rows = part(sides.rows, asked.first_row, asked.rows);
  std::vector<UnitGroup> columns = part(sides.columns, asked.first_column, asked.columns);
  WeightsTile tile;
  tile.head = asked.head;
  tile.first_query = rows.front().begin;
  tile.queries = rows.back().end - rows.front().begin;
  tile.first_key = columns.front().begin;
  tile.keys = columns.back().end - columns.front().begin;
  const torch::Tensor weights = layer->inputs->tile(tile)[0].mean(0).to(torch::kFloat32);
  const auto moved = [](std::vector<UnitGroup> groups) {
    const int64_t by = groups.front().begin;
    for (UnitGroup& group : groups) group = {group.begin - by, group.end - by};
    return groups;
  };
  const torch::Tensor merged =
      torch::matmul(torch::matmul(indicator(moved(rows), tile.queries, true), weights),
                    indicator(moved(columns), tile.keys, false).t());
  AttentionTile result;
  result.layer = asked.layer;
  result.head = asked.head;
  result.first_row = asked.first_row;
  result.rows = asked.rows;
  result.first_column = asked.first_column;
  result.columns = asked.columns;
  result.weights = flat(merged);
  explanation.tiles.push_back(std::move(result));
}

}  // namespace

LayerSides sides_of(const MethodInput& input, const LayerTrace& layer, const Trace& trace,
                    size_t output_units) {
  const auto outputs = static_cast<int64_t>(output_units);
  const int64_t leading = input.task.leading_positions();
  std::vector<UnitGroup> inputs;
  for (const UnitGroup& group : input.groups) {
    inputs.push_back({group.begin + leading, group.end + leading});
  }
  LayerSides sides;
  sides.role = layer.role == AttentionRole::kDecoder && !has_cross(trace) ? AttentionRole::kSelf
                                                                          : layer.role;
  if (sides.role == AttentionRole::kSelf) {
    sides.rows = sides.columns = inputs;
    return sides;
  }
  const auto positions = std::min(outputs, layer.inputs->queries());
  for (int64_t i = 0; i < positions; ++i) sides.rows.push_back({i, i + 1});
  if (sides.role == AttentionRole::kCross) {
    sides.columns = inputs;
    return sides;
  }
  // Position i gives unit i and stands for unit i - 1, which it reads; the last unit may be read by
  // none.
  const int64_t keys = layer.inputs->keys();
  for (int64_t i = 0; i < positions; ++i) {
    sides.columns.push_back({std::min(i + 1, keys), std::min(i + 2, keys)});
  }
  return sides;
}

double entropy_share(const LayerTrace& layer, int64_t head) {
  const AttentionInputs& call = *layer.inputs;
  const AttentionArguments& a = call.arguments;
  const torch::Tensor place =
      torch::arange(call.queries(), torch::kDouble) + static_cast<double>(a.query_offset);
  const auto last_key = static_cast<double>(call.keys() - 1);
  torch::Tensor low = torch::zeros_like(place), high = torch::full_like(place, last_key);
  if (a.window_left >= 0) low = (place - static_cast<double>(a.window_left)).clamp_min(0.0);
  if (a.causal) {
    high = place.clamp_max(last_key);
  } else if (a.window_right >= 0) {
    high = (place + static_cast<double>(a.window_right)).clamp_max(last_key);
  }
  const torch::Tensor most = (high - low + 1).log();  // of equal weights
  const torch::Tensor choice = most > 0;              // a query of one key has none
  const double queries = choice.sum().item<double>();
  if (queries == 0) return 0;
  const torch::Tensor entropy = layer.entropy[0][head].detach().to(torch::kDouble);
  const torch::Tensor shares = torch::where(choice, entropy / most, torch::zeros_like(most));
  return std::clamp(shares.sum().item<double>() / queries, 0.0, 1.0);
}

torch::Tensor merged_weights(const LayerTrace& layer, const std::vector<UnitGroup>& rows,
                             const std::vector<UnitGroup>& columns) {
  const int64_t queries = layer.inputs->queries(), keys = layer.inputs->keys();
  const torch::Tensor all =
      times_weights(layer, indicator(rows, queries, true));  // [r, heads, key]
  const torch::Tensor sums = indicator(columns, keys, false).to(all.scalar_type());
  return torch::matmul(all, sums.t()).transpose(0, 1);
}

void add_views(const MethodInput& input, Explanation& explanation) {
  const auto shown = static_cast<int64_t>(explanation.units.size());
  if (shown <= input.options.max_map_units) {
    add_maps(input, explanation);
    add_pooling(input, explanation);
  } else {
    add_layer_summaries(input, explanation);
    explanation.notices.push_back(fmt::format(
        "{} units: attention matrices are kept up to {}; the scores per unit are complete, and "
        "--tile gives any part of a matrix",
        shown, input.options.max_map_units));
  }
  for (const TileRequest& tile : input.options.tiles) add_tile(input, tile, explanation);
}

}  // namespace attend
