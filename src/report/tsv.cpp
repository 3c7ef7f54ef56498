// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/tsv.h"

#include <fmt/format.h>

#include "attend/base/error.h"
#include "attend/report/json.h"
#include "attend/report/text.h"
#include "json_text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

std::string matrix_table(const AttentionMap& map, std::span<const Unit> queries,
                         std::span<const Unit> keys) {
  std::string out = "query";
  for (const Unit& unit : keys) out += '\t' + tsv_escaped(unit.text);
  out += '\n';
  for (int64_t row = 0; row < map.rows; ++row) {
    out += tsv_escaped(queries.empty() ? map_label(map) : queries[row].text);
    for (int64_t column = 0; column < map.columns; ++column) {
      out += '\t' + json_number(map.weights[row * map.columns + column]);
    }
    out += '\n';
  }
  return out;
}

void add_curve(std::string& out, std::string_view method, std::string_view curve,
               const std::vector<int64_t>& steps, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    out += fmt::format("{}\t{}\t{}\t{}\n", tsv_escaped(method), curve, steps[i],
                       json_number(values[i]));
  }
}

}  // namespace

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
  const bool is_square = map.rows == static_cast<int64_t>(units.size());
  return matrix_table(map, is_square ? units : std::span<const Unit>(), units);
}

std::string matrix_to_tsv(const Explanation& explanation, const AttentionMap& map) {
  return matrix_table(map, query_units(explanation, map), key_units(explanation, map));
}

std::string heads_to_tsv(const Explanation& explanation) {
  check_explanation(explanation);
  std::string out = "layer\thead\tentropy\tdistance\tself\tprevious\tnext\tfirst\timportance\n";
  for (const HeadSummary& head : explanation.heads) {
    out +=
        fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", head.layer, head.head,
                    json_number(head.entropy), json_number(head.distance), json_number(head.self),
                    json_number(head.previous), json_number(head.next), json_number(head.first),
                    head.importance ? json_number(*head.importance) : "");
  }
  return out;
}

std::string alignment_to_tsv(const Explanation& explanation) {
  check_explanation(explanation);
  if (explanation.alignments.empty()) {
    throw usage_error("this explanation holds no alignment of an output");
  }
  std::string out = "output_index\toutput\tindex\ttext";
  for (const Alignment& alignment : explanation.alignments) {
    out += '\t' + tsv_escaped(alignment.method);
  }
  out += '\n';
  const std::size_t units = explanation.units.size();
  for (std::size_t o = 0; o < explanation.output_units.size(); ++o) {
    for (std::size_t i = 0; i < units; ++i) {
      out += fmt::format("{}\t{}\t{}\t{}", o, tsv_escaped(explanation.output_units[o].text), i,
                         tsv_escaped(explanation.units[i].text));
      for (const Alignment& alignment : explanation.alignments) {
        out += '\t' + json_number(alignment.scores[o * units + i]);
      }
      out += '\n';
    }
  }
  return out;
}

std::string curve_to_tsv(const Explanation& explanation) {
  check_explanation(explanation);
  std::string out = "method\tcurve\tunits\tprobability\n";
  if (!explanation.test) return out;
  const FaithfulnessTest& test = *explanation.test;
  for (const Attribution& attribution : explanation.attributions) {
    if (!attribution.faithfulness) continue;
    const Faithfulness& f = *attribution.faithfulness;
    add_curve(out, attribution.method, "deletion", test.steps, f.deletion_curve);
    add_curve(out, attribution.method, "insertion", test.steps, f.insertion_curve);
  }
  add_curve(out, "random 2.5 %", "deletion", test.steps, test.random_deletion_low);
  add_curve(out, "random 97.5 %", "deletion", test.steps, test.random_deletion_high);
  add_curve(out, "random 2.5 %", "insertion", test.steps, test.random_insertion_low);
  add_curve(out, "random 97.5 %", "insertion", test.steps, test.random_insertion_high);
  return out;
}

std::string links_to_tsv(const Explanation& explanation) {
  check_explanation(explanation);
  std::string out = "layer\tquery\tkey\tquery_text\tkey_text\tweight\n";
  for (const LayerSummary& layer : explanation.layers) {
    for (const AttentionLink& link : layer.links) {
      out += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\n", layer.layer, link.query, link.key,
                         tsv_escaped(explanation.units[link.query].text),
                         tsv_escaped(explanation.units[link.key].text), json_number(link.weight));
    }
  }
  return out;
}

}  // namespace attend
