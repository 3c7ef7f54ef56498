// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "attend/report/json.h"
#include "attend/report/text.h"
#include "json_text.h"
#include "layout.h"

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
template <class Visit>
std::string lines(std::size_t count, Visit visit) {
  if (count == 0) return "[]";
  std::string out = "[";
  for (std::size_t i = 0; i < count; ++i) {
    out += i > 0 ? ",\n    " : "\n    ";
    out += visit(i);
  }
  return out + "\n  ]";
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

std::string attribution_json(const Attribution& attribution) {
  return fmt::format(R"({{"method": {}, "is_signed": {}, "meaning": {}, "seconds": {},)"
                     "\n     \"scores\": {}}}",
                     json_string(attribution.method), attribution.is_signed,
                     json_string(attribution.meaning), json_number(attribution.seconds),
                     list(attribution.scores.size(), ", ",
                          [&](std::size_t i) { return json_number(attribution.scores[i]); }));
}

std::string map_json(const AttentionMap& map) {
  const auto row_json = [&](std::size_t row) {
    return list(map.columns, ", ", [&](std::size_t column) {
      return json_number(map.weights[row * map.columns + column]);
    });
  };
  return fmt::format(R"({{"layer": {}, "head": {}, "label": {}, "rows": {}, "columns": {},)"
                     "\n     \"weights\": {}}}",
                     map.layer, map.head, json_string(map.label), map.rows, map.columns,
                     list(map.rows, ",\n                 ", row_json));
}

}  // namespace

std::string to_json(const Explanation& explanation) {
  check_explanation(explanation);
  const Explanation& e = explanation;
  std::string out = "{\n  \"format\": \"attend-explanation\",\n  \"version\": 1";
  const auto field = [&](std::string_view name, const std::string& value) {
    out += fmt::format(",\n  \"{}\": {}", name, value);
  };
  field("task", json_string(e.task));
  field("model", json_string(e.model));
  field("command", json_string(e.command));
  field("input", json_string(e.input));
  field("unit_kind", json_string(e.unit_kind));
  field("units", lines(e.units.size(), [&](std::size_t i) { return unit_json(e.units[i]); }));
  field("outputs",
        lines(e.outputs.size(), [&](std::size_t i) { return output_json(e.outputs[i]); }));
  field("target", json_string(e.target));
  field("evidence", e.evidence ? span_json(*e.evidence) : "null");
  field("attributions", lines(e.attributions.size(),
                              [&](std::size_t i) { return attribution_json(e.attributions[i]); }));
  field("attention",
        lines(e.attention.size(), [&](std::size_t i) { return map_json(e.attention[i]); }));
  field("notices",
        lines(e.notices.size(), [&](std::size_t i) { return json_string(e.notices[i]); }));
  return out + "\n}\n";
}

std::string to_tsv(const Explanation& explanation) {
  check_explanation(explanation);
  std::string out = "index\tbegin\tend\ttext";
  for (const Attribution& attribution : explanation.attributions) {
    out += '\t' + tsv_escaped(attribution.method);
  }
  out += '\n';
  for (std::size_t i = 0; i < explanation.units.size(); ++i) {
    const Unit& unit = explanation.units[i];
    out += fmt::format("{}\t{}\t{}\t{}", i, unit.span.begin, unit.span.end, tsv_escaped(unit.text));
    for (const Attribution& attribution : explanation.attributions) {
      out += '\t' + json_number(attribution.scores[i]);
    }
    out += '\n';
  }
  return out;
}

std::string matrix_to_tsv(const AttentionMap& map, std::span<const Unit> units) {
  std::string out = "query";
  for (const Unit& unit : units) out += '\t' + tsv_escaped(unit.text);
  out += '\n';
  for (int64_t row = 0; row < map.rows; ++row) {
    const bool is_unit = map.rows == static_cast<int64_t>(units.size());
    out += tsv_escaped(is_unit ? units[row].text : map_label(map));
    for (int64_t column = 0; column < map.columns; ++column) {
      out += '\t' + json_number(map.weights[row * map.columns + column]);
    }
    out += '\n';
  }
  return out;
}

}  // namespace attend
