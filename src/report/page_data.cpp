// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "page_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/text.h"
#include "base64.h"
#include "json_text.h"
#include "layout.h"

namespace attend::report {
namespace {

constexpr std::size_t kMostOutputs = 20;
constexpr std::size_t kMostEffectOutputs = 5;
constexpr int64_t kPooledSide = 96;
constexpr std::size_t kMostLinks = 20'000;
constexpr std::size_t kFewLinks = 2'000;

// As visible_text, but line breaks and tabs stay: the page lays the text out as it is.
std::string visible_lines(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find_first_of("\n\t", begin), text.size());
    out += visible_text(text.substr(begin, end - begin));
    if (end < text.size()) out += text[end];
    begin = end + 1;
  }
  return out;
}

// A screen shows no more digits than a float has, and they are half as long.
std::string short_number(double value) {
  const auto narrow = static_cast<float>(value);
  return std::isfinite(narrow) ? json_number(narrow) : json_number(value);
}

std::string numbers(const std::vector<double>& values) { return script_list(values, short_number); }

void append_bytes(std::vector<uint8_t>& bytes, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<uint8_t>(value >> shift));
  }
}

// Long lists of numbers as 32-bit floats, low byte first.
template <class Items, class Value>
std::string packed_floats(const Items& items, std::size_t count, Value value) {
  std::vector<uint8_t> bytes;
  bytes.reserve(4 * count);
  for (std::size_t i = 0; i < count; ++i) {
    append_bytes(bytes, std::bit_cast<uint32_t>(static_cast<float>(value(items[i]))));
  }
  return '"' + to_base64(bytes) + '"';
}

std::string packed(const std::vector<double>& values) {
  return packed_floats(values, values.size(), [](double value) { return value; });
}

bool is_mean(const AttentionMap& map) { return map.head < 0 || map.role == "pooling"; }

bool is_kept(const AttentionMap& map, Detail detail) {
  return detail < Detail::kMeans || (is_mean(map) && detail < Detail::kNoMaps);
}

bool is_pooled(const AttentionMap& map, Detail detail) {
  return detail >= Detail::kPooledMeans || (detail >= Detail::kPooledHeads && !is_mean(map));
}

// Weights as steps of the largest: what a screen shows, at a fraction of the size of decimal text.
std::string packed_weights(const std::vector<float>& weights, double scale, bool eight_bits) {
  std::vector<uint8_t> bytes;
  bytes.reserve((eight_bits ? 1 : 2) * weights.size());
  for (const float weight : weights) {
    const double share = scale > 0 ? std::clamp(weight / scale, 0.0, 1.0) : 0;
    if (eight_bits) {
      // Steps of the square root: most weights are small, and stay apart.
      bytes.push_back(static_cast<uint8_t>(std::lround(std::sqrt(share) * 255)));
      continue;
    }
    const auto step = static_cast<uint16_t>(std::lround(share * 65535));
    bytes.push_back(step & 0xFF);
    bytes.push_back(step >> 8);
  }
  return fmt::format(R"("bits":{},"scale":{},"data":"{}")", eight_bits ? 8 : 16, json_number(scale),
                     to_base64(bytes));
}

std::string map_data(const AttentionMap& map, Detail detail) {
  const int64_t side =
      is_pooled(map, detail) ? kPooledSide : std::max<int64_t>(1, std::max(map.rows, map.columns));
  const PooledMap small = pooled(map, side, side);
  return fmt::format(
      R"({{"layer":{},"head":{},"role":{},"label":{},"rows":{},"columns":{},"row_block":{},)"
      R"("column_block":{},{}}})",
      map.layer, map.head, script_text(map.role), script_text(map_label(map)), small.map.rows,
      small.map.columns, small.row_block, small.column_block,
      packed_weights(small.map.weights, range_of(small.map).high, detail >= Detail::kEightBits));
}

std::string tile_data(const AttentionTile& tile) {
  const double scale =
      tile.weights.empty() ? 0 : *std::max_element(tile.weights.begin(), tile.weights.end());
  return fmt::format(
      R"({{"layer":{},"head":{},"first_row":{},"rows":{},"first_column":{},"columns":{},{}}})",
      tile.layer, tile.head, tile.first_row, tile.rows, tile.first_column, tile.columns,
      packed_weights(tile.weights, scale, false));
}

std::string layer_data(const LayerSummary& layer, Detail detail) {
  std::vector<AttentionLink> links = layer.links;
  std::stable_sort(links.begin(), links.end(),
                   [](const auto& a, const auto& b) { return a.weight > b.weight; });
  const std::size_t most = detail >= Detail::kNoMaps ? kFewLinks : kMostLinks;
  const std::size_t count = std::min(most, links.size());
  std::vector<uint8_t> queries, keys;
  for (std::size_t i = 0; i < count; ++i) {
    append_bytes(queries, static_cast<uint32_t>(links[i].query));
    append_bytes(keys, static_cast<uint32_t>(links[i].key));
  }
  return fmt::format(
      R"({{"layer":{},"label":{},"entropy":{},"received":{},"all_links":{},"query":"{}",)"
      R"("key":"{}","weight":{},"pooled_rows":{},"pooled_columns":{},"pooled":{}}})",
      layer.layer,
      script_text(layer.label.empty() ? fmt::format("layer {}", layer.layer) : layer.label),
      packed(layer.entropy), packed(layer.received), links.size(), to_base64(queries),
      to_base64(keys),
      packed_floats(links, count, [](const AttentionLink& link) { return link.weight; }),
      layer.pooled_rows, layer.pooled_columns, packed(layer.pooled));
}

// Every `step`-th pixel; boxes shrink with the picture.
std::string surface_data(const Surface& surface, Detail detail) {
  constexpr int64_t kMostSide = 640;
  const int64_t most = detail >= Detail::kNoMaps ? kMostSide / 2 : kMostSide;
  const int64_t step = (std::max(surface.width, surface.height) + most - 1) / most;
  const int64_t width = (surface.width + step - 1) / step;
  const int64_t height = (surface.height + step - 1) / step;
  std::vector<uint8_t> pixels;
  pixels.reserve(width * height * surface.channels);
  for (int64_t y = 0; y < surface.height; y += step) {
    for (int64_t x = 0; x < surface.width; x += step) {
      const int64_t at = (y * surface.width + x) * surface.channels;
      for (int64_t c = 0; c < surface.channels; ++c) pixels.push_back(surface.pixels[at + c]);
    }
  }
  std::vector<double> boxes;
  for (const Surface::Box& box : surface.boxes) {
    for (const int64_t side : {box.x, box.y, box.width, box.height}) {
      boxes.push_back(static_cast<double>(side) / static_cast<double>(step));
    }
  }
  return fmt::format(
      R"({{"width":{},"height":{},"channels":{},"reduced":{},"x_axis":{},"y_axis":{},"boxes":{},)"
      R"("data":"{}"}})",
      width, height, surface.channels, step, script_text(surface.x_axis),
      script_text(surface.y_axis), numbers(boxes), to_base64(pixels));
}

std::string outputs_data(const Prediction& outputs, std::size_t most) {
  const std::size_t count = std::min(most, outputs.size());
  const Prediction listed(outputs.begin(), outputs.begin() + static_cast<int64_t>(count));
  return script_list(listed, [](const OutputScore& output) {
    return fmt::format(R"({{"label":{},"probability":{},"logit":{}}})", script_text(output.label),
                       json_number(output.probability), json_number(output.logit));
  });
}

std::string faithfulness_data(const Attribution& attribution) {
  if (!attribution.faithfulness) return "null";
  const Faithfulness& f = *attribution.faithfulness;
  return fmt::format(R"({{"comprehensiveness":{},"sufficiency":{},"deletion":{},"insertion":{},)"
                     R"("deletion_curve":{},"insertion_curve":{}}})",
                     json_number(f.comprehensiveness), json_number(f.sufficiency),
                     json_number(f.deletion), json_number(f.insertion), numbers(f.deletion_curve),
                     numbers(f.insertion_curve));
}

std::string attribution_data(const Attribution& attribution) {
  return fmt::format(
      R"({{"method":{},"heading":{},"is_signed":{},"meaning":{},"note":{},"seconds":{},)"
      R"("faithfulness":{},"scores":{}}})",
      script_text(attribution.method), script_text(family_heading(family_of(attribution))),
      attribution.is_signed, script_text(attribution.meaning), script_text(attribution.note),
      json_number(attribution.seconds), faithfulness_data(attribution),
      numbers(attribution.scores));
}

std::string alignment_data(const Alignment& alignment) {
  return fmt::format(R"({{"method":{},"is_signed":{},"meaning":{},"scores":{}}})",
                     script_text(alignment.method), alignment.is_signed,
                     script_text(alignment.meaning), numbers(alignment.scores));
}

std::string head_data(const HeadSummary& head) {
  return fmt::format(
      R"({{"layer":{},"head":{},"entropy":{},"distance":{},"self":{},"previous":{},"next":{},)"
      R"("first":{}{}}})",
      head.layer, head.head, json_number(head.entropy), json_number(head.distance),
      json_number(head.self), json_number(head.previous), json_number(head.next),
      json_number(head.first),
      head.importance ? ",\"importance\":" + json_number(*head.importance) : "");
}

std::string test_data(const Explanation& e) {
  if (!e.test) return "null";
  const FaithfulnessTest& test = *e.test;
  return fmt::format(
      R"({{"removal":{},"steps":{},"random_deletion_low":{},"random_deletion_high":{},)"
      R"("random_insertion_low":{},"random_insertion_high":{}}})",
      script_text(test.removal),
      script_list(test.steps, [](int64_t step) { return std::to_string(step); }),
      numbers(test.random_deletion_low), numbers(test.random_deletion_high),
      numbers(test.random_insertion_low), numbers(test.random_insertion_high));
}

std::string effect_data(const Effect& effect) {
  return fmt::format(R"({{"edit":{},"change":{},"before":{},"after":{}}})",
                     script_text(effect.edit), json_number(effect.change),
                     outputs_data(effect.before, kMostEffectOutputs),
                     outputs_data(effect.after, kMostEffectOutputs));
}

std::string evidence_data(const Explanation& e) {
  const std::string_view input = e.input;
  const Span span = e.evidence.value_or(Span{0, 0});
  const auto part = [&](std::size_t begin, std::size_t end) {
    return script_text(input.substr(begin, end - begin), true);
  };
  return fmt::format("[{},{},{}]", part(0, span.begin), part(span.begin, span.end),
                     part(span.end, input.size()));
}

// A unit whose shown text is its own is its number alone: most are, and texts are long.
std::string piece_data(const Explanation& e, const Piece& piece) {
  if (piece.unit == Piece::kGap) return script_text(piece.text, true);
  if (piece.text == e.units[piece.unit].text) return std::to_string(piece.unit);
  return fmt::format("[{},{}]", script_text(piece.text, true), piece.unit);
}

std::string unit_data(const Unit& unit) { return script_text(unit.text); }

std::string ramp_data(bool is_signed, Theme theme) {
  constexpr int kSteps = 65;
  std::string out = "[";
  for (int i = 0; i < kSteps; ++i) {
    const double t = static_cast<double>(i) / (kSteps - 1);
    const Rgb color = is_signed ? diverging_color(2 * t - 1, theme) : sequential_color(t, theme);
    out += fmt::format("{}[\"{}\",\"{}\"]", i > 0 ? "," : "", to_hex(color),
                       to_hex(text_color_on(color)));
  }
  return out + ']';
}

}  // namespace

std::string script_text(std::string_view text, bool lines) {
  return json_string(lines ? visible_lines(text) : visible_text(text), true);
}

std::string ramps_data() {
  const auto theme_data = [](Theme theme) {
    return fmt::format(R"({{"unsigned":{},"signed":{}}})", ramp_data(false, theme),
                       ramp_data(true, theme));
  };
  return fmt::format(R"({{"light":{},"dark":{}}})", theme_data(Theme::kLight),
                     theme_data(Theme::kDark));
}

std::size_t maps_left_out(const Explanation& explanation, Detail detail) {
  return static_cast<std::size_t>(
      std::count_if(explanation.attention.begin(), explanation.attention.end(),
                    [&](const AttentionMap& map) { return !is_kept(map, detail); }));
}

std::string detail_notice(Detail detail, std::size_t left_out, std::size_t maps) {
  if (detail == Detail::kAll || maps == 0) return "";
  std::string what = "weights are rounded to 8 bits";
  if (detail == Detail::kPooledHeads) what += ", single heads pooled into 96 x 96 blocks";
  if (detail >= Detail::kPooledMeans && left_out < maps)
    what += ", maps pooled into 96 x 96 blocks";
  if (left_out > 0) {
    what =
        fmt::format("{}{} of {} attention maps are left out{}", left_out < maps ? what + ", " : "",
                    left_out, maps, left_out < maps ? " (the means are kept)" : "");
  }
  return what;
}

std::size_t estimated_size(const Explanation& explanation, Detail detail) {
  // 4 / 3 for base64; texts may double by escapes.
  std::size_t size = 20'000 + 6 * explanation.input.size() + 40 * explanation.units.size();
  size += 14 * explanation.units.size() * explanation.attributions.size();
  for (const Alignment& alignment : explanation.alignments) size += 14 * alignment.scores.size();
  for (const AttentionMap& map : explanation.attention) {
    if (!is_kept(map, detail)) continue;
    std::size_t weights = map.weights.size();
    if (is_pooled(map, detail)) {
      weights = std::min<std::size_t>(weights, kPooledSide * kPooledSide);
    }
    size += 200 + weights * (detail >= Detail::kEightBits ? 4 : 8) / 3;
  }
  for (const LayerSummary& layer : explanation.layers) {
    const std::size_t most = detail >= Detail::kNoMaps ? kFewLinks : kMostLinks;
    size += 400 + 11 * layer.entropy.size() + 6 * layer.pooled.size() +
            16 * std::min(most, layer.links.size());
  }
  for (const AttentionTile& tile : explanation.tiles) size += 200 + 8 * tile.weights.size() / 3;
  return size;
}

std::string explanation_data(const Explanation& e, Detail detail) {
  std::vector<Attribution> attributions = e.attributions;
  std::stable_sort(attributions.begin(), attributions.end(),
                   [](const auto& a, const auto& b) { return family_of(a) < family_of(b); });
  std::vector<std::string> maps;
  std::size_t shown = 0;
  for (std::size_t i = 0; i < e.attention.size(); ++i) {
    if (!is_kept(e.attention[i], detail)) continue;
    if (i == default_map_index(e)) shown = maps.size();
    maps.push_back(map_data(e.attention[i], detail));
  }
  std::string out = fmt::format(
      R"({{"task":{},"model":{},"command":{},"unit_kind":{},"target":{},"evidence":{},)"
      R"("outputs":{},"more_outputs":{},"output":{},"output_units":{},"target_position":{},)",
      script_text(e.task), script_text(e.model), script_text(e.command), script_text(e.unit_kind),
      script_text(e.target), evidence_data(e), outputs_data(e.outputs, kMostOutputs),
      e.outputs.size() - std::min(kMostOutputs, e.outputs.size()), script_text(e.output, true),
      script_list(e.output_units, unit_data), e.target_position);
  out += fmt::format(R"("units":{},"pieces":{},"best_method":{},"verdict":{},"attributions":{},)",
                     script_list(e.units, unit_data),
                     script_list(pieces_of(e), [&](const Piece& p) { return piece_data(e, p); }),
                     script_text(e.best_method), script_text(e.verdict),
                     script_list(attributions, attribution_data));
  out += fmt::format(
      R"("test":{},"alignments":{},"heads":{},"layers":{},"tiles":{},"surface":{},"effects":{},)",
      test_data(e), script_list(e.alignments, alignment_data), script_list(e.heads, head_data),
      script_list(e.layers, [&](const LayerSummary& layer) { return layer_data(layer, detail); }),
      script_list(e.tiles, tile_data), e.surface ? surface_data(*e.surface, detail) : "null",
      script_list(e.effects, effect_data));
  out += fmt::format(R"("default_map":{},"attention":{}}})", shown,
                     script_list(maps, [](const std::string& map) { return map; }));
  return out;
}

}  // namespace attend::report
