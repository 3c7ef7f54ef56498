// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "attend/report/json.h"
#include "base64.h"
#include "json_text.h"

namespace attend {
namespace {

using namespace report;

// "[a, b, c]" of visit(0), visit(1), ...
template <class Visit>
std::string list(std::size_t count, std::string_view separator, Visit visit) {
  std::string out = "[";
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out += separator;
    out += visit(i);
  }
  return out + ']';
}

// A list with one item per line, indented by two levels.
template <class Items, class Visit>
std::string lines(const Items& items, Visit visit) {
  if (items.empty()) return "[]";
  std::string out = "[";
  for (const auto& item : items) {
    out += out.size() > 1 ? ",\n    " : "\n    ";
    out += visit(item);
  }
  return out + "\n  ]";
}

template <class Number>
std::string numbers(const std::vector<Number>& values) {
  return list(values.size(), ", ", [&](std::size_t i) { return json_number(values[i]); });
}

std::string span_json(Span span) { return fmt::format("[{}, {}]", span.begin, span.end); }

std::string unit_json(const Unit& unit) {
  return fmt::format(R"({{"text": {}, "span": {}}})", json_string(unit.text), span_json(unit.span));
}

std::string output_json(const OutputScore& output) {
  return fmt::format(R"({{"label": {}, "probability": {}, "logit": {}}})",
                     json_string(output.label), json_number(output.probability),
                     json_number(output.logit));
}

std::string faithfulness_json(const Faithfulness& f) {
  return fmt::format(
      R"({{"comprehensiveness": {}, "sufficiency": {}, "deletion": {}, "insertion": {},)"
      "\n       \"deletion_curve\": {},\n       \"insertion_curve\": {}}}",
      json_number(f.comprehensiveness), json_number(f.sufficiency), json_number(f.deletion),
      json_number(f.insertion), numbers(f.deletion_curve), numbers(f.insertion_curve));
}

std::string attribution_json(const Attribution& attribution) {
  std::string out = fmt::format(R"({{"method": {}, "is_signed": {}, "meaning": {}, "seconds": {},)",
                                json_string(attribution.method), attribution.is_signed,
                                json_string(attribution.meaning), json_number(attribution.seconds));
  if (!attribution.note.empty()) {
    out += fmt::format("\n     \"note\": {},", json_string(attribution.note));
  }
  if (attribution.faithfulness) {
    out += "\n     \"faithfulness\": " + faithfulness_json(*attribution.faithfulness) + ',';
  }
  return out + "\n     \"scores\": " + numbers(attribution.scores) + '}';
}

std::string alignment_json(const Alignment& alignment) {
  return fmt::format("{{\"method\": {}, \"is_signed\": {}, \"meaning\": {},\n     \"scores\": {}}}",
                     json_string(alignment.method), alignment.is_signed,
                     json_string(alignment.meaning), numbers(alignment.scores));
}

std::string weight_rows(const std::vector<float>& weights, int64_t rows, int64_t columns) {
  return list(rows, ",\n                 ", [&](std::size_t row) {
    return list(columns, ", ",
                [&](std::size_t column) { return json_number(weights[row * columns + column]); });
  });
}

std::string map_json(const AttentionMap& map) {
  const std::string role =
      map.role == "self" ? "" : fmt::format(" \"role\": {},", json_string(map.role));
  return fmt::format(R"({{"layer": {}, "head": {}, "label": {},{} "rows": {}, "columns": {},)"
                     "\n     \"weights\": {}}}",
                     map.layer, map.head, json_string(map.label), role, map.rows, map.columns,
                     weight_rows(map.weights, map.rows, map.columns));
}

std::string head_json(const HeadSummary& head) {
  std::string out = fmt::format(
      R"({{"layer": {}, "head": {}, "entropy": {}, "distance": {}, "self": {}, "previous": {},)"
      R"( "next": {}, "first": {})",
      head.layer, head.head, json_number(head.entropy), json_number(head.distance),
      json_number(head.self), json_number(head.previous), json_number(head.next),
      json_number(head.first));
  if (head.importance) out += ", \"importance\": " + json_number(*head.importance);
  return out + '}';
}

std::string layer_json(const LayerSummary& layer) {
  const auto link_json = [&](std::size_t i) {
    const AttentionLink& link = layer.links[i];
    return fmt::format("[{}, {}, {}]", link.query, link.key, json_number(link.weight));
  };
  return fmt::format(
      "{{\"layer\": {}, \"label\": {},\n     \"entropy\": {},\n     \"received\": {},\n"
      "     \"links\": {},\n     \"pooled_rows\": {}, \"pooled_columns\": {},\n"
      "     \"pooled\": {}}}",
      layer.layer, json_string(layer.label), numbers(layer.entropy), numbers(layer.received),
      list(layer.links.size(), ", ", link_json), layer.pooled_rows, layer.pooled_columns,
      numbers(layer.pooled));
}

std::string tile_json(const AttentionTile& tile) {
  return fmt::format(
      R"({{"layer": {}, "head": {}, "first_row": {}, "rows": {}, "first_column": {}, "columns": {},)"
      "\n     \"weights\": {}}}",
      tile.layer, tile.head, tile.first_row, tile.rows, tile.first_column, tile.columns,
      weight_rows(tile.weights, tile.rows, tile.columns));
}

std::string surface_json(const Surface& surface) {
  const auto box_json = [&](std::size_t i) {
    const Surface::Box& box = surface.boxes[i];
    return fmt::format("[{}, {}, {}, {}]", box.x, box.y, box.width, box.height);
  };
  return fmt::format(
      "{{\"width\": {}, \"height\": {}, \"channels\": {}, \"x_axis\": {}, \"y_axis\": {},\n"
      "    \"pixels\": \"{}\",\n    \"boxes\": {}}}",
      surface.width, surface.height, surface.channels, json_string(surface.x_axis),
      json_string(surface.y_axis), to_base64(surface.pixels),
      list(surface.boxes.size(), ", ", box_json));
}

std::string test_json(const FaithfulnessTest& test) {
  return fmt::format(
      "{{\"removal\": {},\n    \"steps\": {},\n"
      "    \"random_deletion_low\": {},\n    \"random_deletion_high\": {},\n"
      "    \"random_insertion_low\": {},\n    \"random_insertion_high\": {}}}",
      json_string(test.removal),
      list(test.steps.size(), ", ", [&](std::size_t i) { return std::to_string(test.steps[i]); }),
      numbers(test.random_deletion_low), numbers(test.random_deletion_high),
      numbers(test.random_insertion_low), numbers(test.random_insertion_high));
}

std::string effect_json(const Effect& effect) {
  const auto outputs = [](const Prediction& prediction) {
    return list(prediction.size(), ",\n                ",
                [&](std::size_t i) { return output_json(prediction[i]); });
  };
  return fmt::format("{{\"edit\": {}, \"change\": {},\n     \"before\": {},\n     \"after\": {}}}",
                     json_string(effect.edit), json_number(effect.change), outputs(effect.before),
                     outputs(effect.after));
}

}  // namespace

std::string to_json(const Explanation& explanation) {
  check_explanation(explanation);
  const Explanation& e = explanation;
  std::string out = "{\n  \"format\": \"attend-explanation\",\n  \"version\": 2";
  const auto field = [&](std::string_view name, const std::string& value) {
    out += fmt::format(",\n  \"{}\": {}", name, value);
  };
  const auto text_field = [&](std::string_view name, const std::string& text) {
    if (!text.empty()) field(name, json_string(text));
  };
  const auto list_field = [&](std::string_view name, const auto& items, auto visit) {
    if (!items.empty()) field(name, lines(items, visit));
  };
  field("task", json_string(e.task));
  field("model", json_string(e.model));
  field("command", json_string(e.command));
  field("input", json_string(e.input));
  field("unit_kind", json_string(e.unit_kind));
  field("units", lines(e.units, unit_json));
  field("outputs", lines(e.outputs, output_json));
  text_field("output", e.output);
  list_field("output_units", e.output_units, unit_json);
  field("target", json_string(e.target));
  if (!e.output_units.empty()) field("target_position", std::to_string(e.target_position));
  field("evidence", e.evidence ? span_json(*e.evidence) : "null");
  text_field("best_method", e.best_method);
  text_field("verdict", e.verdict);
  field("attributions", lines(e.attributions, attribution_json));
  if (e.test) field("test", test_json(*e.test));
  list_field("alignments", e.alignments, alignment_json);
  field("attention", lines(e.attention, map_json));
  list_field("heads", e.heads, head_json);
  list_field("layers", e.layers, layer_json);
  list_field("tiles", e.tiles, tile_json);
  if (e.surface) field("surface", surface_json(*e.surface));
  list_field("effects", e.effects, effect_json);
  field("notices", lines(e.notices, [](const std::string& notice) { return json_string(notice); }));
  return out + "\n}\n";
}

}  // namespace attend
