// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"
#include "json_node.h"
#include "npz.h"

namespace attend {
namespace {

using namespace report;

// float16 sums of hundreds of weights stray by about this.
constexpr double kMostRowSum = 1.02;

// [layer, head, query, key] and what the axes of queries and keys are called.
struct Dump {
  std::vector<int64_t> shape;
  std::vector<float> weights;
  std::optional<std::vector<std::string>> tokens, output_tokens;
};

[[noreturn]] void fail(const std::string& origin, const std::string& what) {
  throw data_error(fmt::format("{}: {}", printable(origin), what));
}

// Nested lists of equal lengths, flattened.
void flatten(const Node& node, std::size_t depth, Dump& dump) {
  if (!node.is_list()) {
    if (depth < dump.shape.size()) node.fail("a number where its neighbours are lists");
    const double weight = node.number();
    dump.weights.push_back(std::abs(weight) < 1e30 ? static_cast<float>(weight) : HUGE_VALF);
    return;
  }
  const auto size = static_cast<int64_t>(node.size());
  const bool first = dump.weights.empty();
  if (first && depth == dump.shape.size()) {
    dump.shape.push_back(size);
  } else if (depth >= dump.shape.size() || dump.shape[depth] != size) {
    node.fail(fmt::format("{} items, but the lists beside it have {}", size,
                          depth < dump.shape.size() ? dump.shape[depth] : 0));
  }
  // One level above the numbers, so that no path is made for each.
  if (size > 0 && !node.item(0).is_list()) {
    if (!first && depth + 1 != dump.shape.size()) {
      node.item(0).fail("a number where its neighbours are lists");
    }
    for (const double weight : node.numbers()) {
      dump.weights.push_back(std::abs(weight) < 1e30 ? static_cast<float>(weight) : HUGE_VALF);
    }
    return;
  }
  node.each([&](const Node& item) { flatten(item, depth + 1, dump); });
}

Dump dump_from_json(std::string_view text, const std::string& origin) {
  const nlohmann::json json = parse_json(text, origin);
  const Node root(json, "$", origin);
  Dump dump;
  if (const auto tokens = root.optional_field("tokens")) dump.tokens = tokens->texts();
  if (const auto tokens = root.optional_field("output_tokens"))
    dump.output_tokens = tokens->texts();
  flatten(root.field("attention"), 0, dump);
  return dump;
}

Dump dump_from_npz(std::string_view bytes, const std::string& origin) {
  Dump dump;
  std::string names;
  bool found = false;
  for (NumpyFile& file : read_npz(bytes, origin)) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", printable(file.name));
    const bool is_tokens = file.name == "tokens" || file.name == "output_tokens";
    if (!is_tokens && file.name != "attention") continue;
    if (file.array.is_text != is_tokens) {
      fail(origin, fmt::format("[{}] holds {}", file.name, is_tokens ? "numbers" : "strings"));
    }
    if (file.name == "tokens") dump.tokens = std::move(file.array.strings);
    if (file.name == "output_tokens") dump.output_tokens = std::move(file.array.strings);
    if (file.name != "attention") continue;
    found = true;
    dump.shape = std::move(file.array.shape);
    dump.weights = std::move(file.array.numbers);
  }
  if (!found) {
    fail(origin,
         fmt::format("no array \"attention\"; it holds {}", names.empty() ? "none" : names));
  }
  return dump;
}

void fit_shape(Dump& dump, const std::string& origin) {
  const std::string given = fmt::format("[{}]", fmt::join(dump.shape, ", "));
  if (dump.shape.size() == 5 && dump.shape[1] == 1) dump.shape.erase(dump.shape.begin() + 1);
  if (dump.shape.size() == 5) {
    fail(origin, fmt::format("attention has the shape {}: a batch; give one input of it", given));
  }
  if (dump.shape.size() < 2 || dump.shape.size() > 4) {
    fail(origin, fmt::format("attention has the shape {}; give [layer, head, query, key]", given));
  }
  while (dump.shape.size() < 4) dump.shape.insert(dump.shape.begin(), 1);
  if (std::any_of(dump.shape.begin(), dump.shape.end(), [](int64_t size) { return size == 0; })) {
    fail(origin, fmt::format("attention has the shape {}: it is empty", given));
  }
}

std::vector<Unit> units_of(const std::optional<std::vector<std::string>>& tokens, int64_t count,
                           std::string_view axis, std::string& text, const std::string& origin) {
  if (tokens && static_cast<int64_t>(tokens->size()) != count) {
    fail(origin, fmt::format("{} tokens for {} {}; give one per {}", tokens->size(), count, axis,
                             axis == "keys" ? "key" : "query"));
  }
  std::vector<Unit> units;
  for (int64_t i = 0; i < count; ++i) {
    const std::string token = tokens ? (*tokens)[i] : std::to_string(i);
    if (i > 0) text += ' ';
    const auto begin = static_cast<int64_t>(text.size());
    // A NumPy byte string need not be UTF-8, but spans stand between characters.
    for (std::size_t at = 0; at < token.size();) {
      const std::size_t length = utf8_length(std::string_view(token).substr(at));
      text += length > 0 ? token.substr(at, length) : "\xEF\xBF\xBD";
      at += std::max<std::size_t>(1, length);
    }
    units.push_back({text.substr(begin), {begin, static_cast<int64_t>(text.size())}});
  }
  return units;
}

void check_weights(const Dump& dump, const std::string& origin) {
  const int64_t columns = dump.shape[3];
  for (std::size_t at = 0; at < dump.weights.size(); at += columns) {
    double sum = 0;
    const auto where = [&] {
      const auto row = static_cast<int64_t>(at) / columns;
      const int64_t queries = dump.shape[2], heads = dump.shape[1];
      return fmt::format("attention[{}][{}][{}]", row / queries / heads, row / queries % heads,
                         row % queries);
    };
    for (int64_t c = 0; c < columns; ++c) {
      const float weight = dump.weights[at + c];
      if (!(weight >= 0 && weight <= 1.0001F)) {
        fail(origin,
             fmt::format("{}[{}]: {} is not between 0 and 1; give weights, after the softmax",
                         where(), c, weight));
      }
      sum += weight;
    }
    if (sum > kMostRowSum) {
      fail(origin, fmt::format("{}: the row sums to {:.4g}; give weights, after the softmax",
                               where(), sum));
    }
  }
}

AttentionMap mean_of(const std::vector<AttentionMap>& maps, int64_t layer,
                     const std::string& label) {
  AttentionMap mean{layer, -1, label, maps[0].rows, maps[0].columns, {}, maps[0].role};
  std::vector<double> sums(maps[0].weights.size(), 0.0);
  for (const AttentionMap& map : maps) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += map.weights[i];
  }
  for (const double sum : sums) {
    mean.weights.push_back(static_cast<float>(sum / static_cast<double>(maps.size())));
  }
  return mean;
}

Explanation explanation_of(Dump dump, const std::string& origin) {
  fit_shape(dump, origin);
  const int64_t layers = dump.shape[0], heads = dump.shape[1];
  const int64_t rows = dump.shape[2], columns = dump.shape[3];
  Explanation e;
  e.task = "attention";
  e.model = origin;
  e.unit_kind = "token";
  e.units = units_of(dump.tokens, columns, "keys", e.input, origin);
  const bool crosses = dump.output_tokens.has_value();
  if (crosses) {
    e.output_units = units_of(dump.output_tokens, rows, "queries", e.output, origin);
  } else if (rows != columns) {
    fail(origin,
         fmt::format("{} queries for {} keys; give output_tokens, one per query", rows, columns));
  }
  check_weights(dump, origin);
  std::vector<AttentionMap> means;
  for (int64_t layer = 0; layer < layers; ++layer) {
    std::vector<AttentionMap> of_layer;
    for (int64_t head = 0; head < heads; ++head) {
      const auto begin = dump.weights.begin() + (layer * heads + head) * rows * columns;
      AttentionMap map{layer,
                       head,
                       fmt::format("layer {}, head {}", layer, head),
                       rows,
                       columns,
                       std::vector<float>(begin, begin + rows * columns),
                       crosses ? "cross" : "self"};
      e.heads.push_back(summary_of(map));
      of_layer.push_back(std::move(map));
    }
    means.push_back(mean_of(of_layer, layer, fmt::format("layer {}, mean of heads", layer)));
    std::move(of_layer.begin(), of_layer.end(), std::back_inserter(e.attention));
    if (heads > 1) e.attention.push_back(means.back());
  }
  if (layers > 1) e.attention.push_back(mean_of(means, -1, "mean of layers and heads"));
  check_explanation(e, origin);
  return e;
}

}  // namespace

HeadSummary summary_of(const AttentionMap& map) {
  HeadSummary summary;
  summary.layer = map.layer;
  summary.head = map.head;
  const double most = std::log(static_cast<double>(std::max<int64_t>(2, map.columns)));
  double mass = 0;
  for (int64_t r = 0; r < map.rows; ++r) {
    for (int64_t c = 0; c < map.columns; ++c) {
      const double weight = map.weights[r * map.columns + c];
      if (weight <= 0) continue;
      mass += weight;
      summary.entropy -= weight * std::log(weight) / most;
      summary.distance += weight * static_cast<double>(std::abs(r - c));
      if (c == r) summary.self += weight;
      if (c == r - 1) summary.previous += weight;
      if (c == r + 1) summary.next += weight;
      if (c == 0) summary.first += weight;
    }
  }
  summary.entropy = std::clamp(summary.entropy / static_cast<double>(map.rows), 0.0, 1.0);
  if (mass > 0) {
    for (double* share :
         {&summary.distance, &summary.self, &summary.previous, &summary.next, &summary.first}) {
      *share /= mass;
    }
  }
  return summary;
}

bool is_foreign_attention(std::string_view bytes) {
  if (bytes.starts_with("PK\3\4") || bytes.starts_with("\x93NUMPY")) return true;
  // A token may read "format"; a field is followed by a colon.
  const auto has_field = [&](std::string_view name) {
    for (std::size_t at = bytes.find(name); at != std::string_view::npos;
         at = bytes.find(name, at + 1)) {
      const std::size_t next = bytes.find_first_not_of(" \t\r\n", at + name.size());
      if (next != std::string_view::npos && bytes[next] == ':') return true;
    }
    return false;
  };
  return has_field("\"attention\"") && !has_field("\"format\"");
}

Explanation attention_from_bytes(std::string_view bytes, const std::string& origin) {
  if (bytes.starts_with("PK\3\4")) return explanation_of(dump_from_npz(bytes, origin), origin);
  if (bytes.starts_with("\x93NUMPY")) {
    NumpyArray array = read_npy(bytes, origin, "attention");
    if (array.is_text) fail(origin, "[attention] holds strings");
    return explanation_of({std::move(array.shape), std::move(array.numbers), {}, {}}, origin);
  }
  return explanation_of(dump_from_json(bytes, origin), origin);
}

}  // namespace attend
