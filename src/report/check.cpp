// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"

namespace attend {
namespace {

// Sums of softmax outputs in float, and means of them, may end a little above 1.
constexpr double kMostShare = 1.0 + 1e-4;

class Checker {
 public:
  Checker(const Explanation& explanation, std::string_view origin)
      : explanation_(explanation), origin_(origin) {}

  void check() const {
    check_units();
    check_outputs();
    check_effects();
    check_test();
    check_attributions();
    check_alignments();
    for (std::size_t i = 0; i < explanation_.attention.size(); ++i) check_map(i);
    check_heads();
    for (std::size_t i = 0; i < explanation_.layers.size(); ++i) check_layer(i);
    for (std::size_t i = 0; i < explanation_.tiles.size(); ++i) check_tile(i);
    if (explanation_.surface) check_surface(*explanation_.surface);
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(const std::string& path, fmt::format_string<Args...> rule,
                         Args&&... args) const {
    throw data_error(fmt::format("{}: $.{}: {}", printable(origin_), path,
                                 fmt::format(rule, std::forward<Args>(args)...)));
  }

  void check_units() const {
    const Explanation& e = explanation_;
    for (std::size_t i = 0; i < e.units.size(); ++i) {
      check_span(fmt::format("units[{}].span", i), e.units[i].span, e.input, "input");
    }
    if (e.evidence) check_span("evidence", *e.evidence, e.input, "input");
    for (std::size_t i = 0; i < e.output_units.size(); ++i) {
      check_span(fmt::format("output_units[{}].span", i), e.output_units[i].span, e.output,
                 "output");
    }
    // The unit behind the last is the one that a language model would write next.
    const auto outputs = static_cast<int64_t>(e.output_units.size());
    if (e.target_position < 0 || e.target_position > outputs) {
      fail("target_position", "{} is not one of the {} output units, nor the one behind them",
           e.target_position, outputs);
    }
  }

  void check_span(const std::string& path, Span span, std::string_view text,
                  std::string_view name) const {
    const auto size = static_cast<int64_t>(text.size());
    if (span.begin < 0) fail(path, "begins at {}, before the {}", span.begin, name);
    if (span.end < span.begin)
      fail(path, "ends at {}, before it begins at {}", span.end, span.begin);
    if (span.end > size) fail(path, "ends at {}, past the {}'s {} bytes", span.end, name, size);
    for (const int64_t at : {span.begin, span.end}) {
      const bool inside = at < size && (text[at] & 0xC0) == 0x80;
      if (inside) fail(path, "byte {} is inside a UTF-8 character, not between two", at);
    }
  }

  void check_finite(const std::string& path, double value) const {
    if (!std::isfinite(value)) fail(path, "{} is not a finite number", value);
  }

  void check_share(const std::string& path, double value) const {
    check_finite(path, value);
    if (value < 0 || value > kMostShare) fail(path, "{} is not between 0 and 1", value);
  }

  // A number that no path is made for unless it is wrong: lists are long.
  void check_numbers(const std::string& path, const std::vector<double>& values,
                     void (Checker::*check_one)(const std::string&, double) const) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= 0 && values[i] <= 1) continue;
      (this->*check_one)(fmt::format("{}[{}]", path, i), values[i]);
    }
  }

  void check_not_negative(const std::string& path, double value) const {
    check_finite(path, value);
    if (value < 0) fail(path, "{} is negative", value);
  }

  void check_count(const std::string& path, std::size_t count, std::size_t wanted,
                   std::string_view what) const {
    if (count != wanted) fail(path, "{} numbers for {} {}", count, wanted, what);
  }

  void check_prediction(const std::string& path, const Prediction& outputs) const {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      check_share(fmt::format("{}[{}].probability", path, i), outputs[i].probability);
      check_finite(fmt::format("{}[{}].logit", path, i), outputs[i].logit);
    }
  }

  void check_outputs() const { check_prediction("outputs", explanation_.outputs); }

  void check_effects() const {
    for (std::size_t i = 0; i < explanation_.effects.size(); ++i) {
      const std::string path = fmt::format("effects[{}]", i);
      check_prediction(path + ".before", explanation_.effects[i].before);
      check_prediction(path + ".after", explanation_.effects[i].after);
      check_finite(path + ".change", explanation_.effects[i].change);
    }
  }

  void check_test() const {
    if (!explanation_.test) return;
    const FaithfulnessTest& test = *explanation_.test;
    const auto units = static_cast<int64_t>(explanation_.units.size());
    for (std::size_t i = 0; i < test.steps.size(); ++i) {
      const std::string path = fmt::format("test.steps[{}]", i);
      const int64_t step = test.steps[i];
      if (i == 0 && step != 0) fail(path, "{}: the first step removes 0 units", step);
      if (i > 0 && step <= test.steps[i - 1]) fail(path, "{} does not ascend", step);
      if (step > units) fail(path, "removes {} of {} units", step, units);
    }
    const auto check_band = [&](const char* name, const std::vector<double>& band) {
      if (band.empty()) return;
      check_count(fmt::format("test.{}", name), band.size(), test.steps.size(), "steps");
      check_numbers(fmt::format("test.{}", name), band, &Checker::check_share);
    };
    check_band("random_deletion_low", test.random_deletion_low);
    check_band("random_deletion_high", test.random_deletion_high);
    check_band("random_insertion_low", test.random_insertion_low);
    check_band("random_insertion_high", test.random_insertion_high);
  }

  void check_faithfulness(const std::string& path, const Faithfulness& f) const {
    check_finite(path + ".comprehensiveness", f.comprehensiveness);
    check_finite(path + ".sufficiency", f.sufficiency);
    check_finite(path + ".deletion", f.deletion);
    check_finite(path + ".insertion", f.insertion);
    const std::size_t steps = explanation_.test ? explanation_.test->steps.size() : 0;
    for (const auto& [name, curve] : {std::pair{".deletion_curve", &f.deletion_curve},
                                      {".insertion_curve", &f.insertion_curve}}) {
      if (!curve->empty()) check_count(path + name, curve->size(), steps, "steps of the test");
      check_numbers(path + name, *curve, &Checker::check_share);
    }
  }

  void check_attributions() const {
    const std::size_t units = explanation_.units.size();
    for (std::size_t i = 0; i < explanation_.attributions.size(); ++i) {
      const Attribution& attribution = explanation_.attributions[i];
      const std::string path = fmt::format("attributions[{}]", i);
      if (attribution.scores.size() != units) {
        fail(path + ".scores", "{} scores for {} units; give one per unit",
             attribution.scores.size(), units);
      }
      for (std::size_t k = 0; k < units; ++k) {
        if (std::isfinite(attribution.scores[k])) continue;
        check_finite(fmt::format("{}.scores[{}]", path, k), attribution.scores[k]);
      }
      check_finite(path + ".seconds", attribution.seconds);
      if (attribution.seconds < 0) fail(path + ".seconds", "is negative");
      if (attribution.faithfulness) {
        check_faithfulness(path + ".faithfulness", *attribution.faithfulness);
      }
    }
  }

  void check_alignments() const {
    const std::size_t cells = explanation_.output_units.size() * explanation_.units.size();
    for (std::size_t i = 0; i < explanation_.alignments.size(); ++i) {
      const auto& scores = explanation_.alignments[i].scores;
      const std::string path = fmt::format("alignments[{}].scores", i);
      if (scores.size() != cells) {
        fail(path, "{} scores for {} output units and {} units; give one per pair", scores.size(),
             explanation_.output_units.size(), explanation_.units.size());
      }
      check_numbers(path, scores, &Checker::check_finite);
    }
  }

  void check_heads() const {
    for (std::size_t i = 0; i < explanation_.heads.size(); ++i) {
      const HeadSummary& head = explanation_.heads[i];
      const std::string path = fmt::format("heads[{}]", i);
      if (head.layer < 0) fail(path + ".layer", "{} is negative", head.layer);
      if (head.head < 0) fail(path + ".head", "{} is negative", head.head);
      check_share(path + ".entropy", head.entropy);
      check_not_negative(path + ".distance", head.distance);
      check_share(path + ".self", head.self);
      check_share(path + ".previous", head.previous);
      check_share(path + ".next", head.next);
      check_share(path + ".first", head.first);
      if (head.importance) check_finite(path + ".importance", *head.importance);
    }
  }

  void check_layer(std::size_t index) const {
    const LayerSummary& layer = explanation_.layers[index];
    const std::string path = fmt::format("layers[{}]", index);
    const std::size_t units = explanation_.units.size();
    if (layer.layer < 0) fail(path + ".layer", "{} is negative", layer.layer);
    check_count(path + ".entropy", layer.entropy.size(), units, "units");
    check_count(path + ".received", layer.received.size(), units, "units");
    check_numbers(path + ".entropy", layer.entropy, &Checker::check_not_negative);
    check_numbers(path + ".received", layer.received, &Checker::check_not_negative);
    for (std::size_t i = 0; i < layer.links.size(); ++i) {
      const AttentionLink& link = layer.links[i];
      const auto is_unit = [&](int64_t at) { return at >= 0 && at < static_cast<int64_t>(units); };
      if (!is_unit(link.query) || !is_unit(link.key)) {
        fail(fmt::format("{}.links[{}]", path, i), "links unit {} to {}, but units are 0 to {}",
             link.query, link.key, static_cast<int64_t>(units) - 1);
      }
      if (link.weight >= 0 && link.weight <= kMostShare) continue;
      check_share(fmt::format("{}.links[{}][2]", path, i), link.weight);
    }
    check_size(path + ".pooled", layer.pooled.size(), layer.pooled_rows, layer.pooled_columns);
    check_numbers(path + ".pooled", layer.pooled, &Checker::check_not_negative);
  }

  void check_tile(std::size_t index) const {
    const AttentionTile& tile = explanation_.tiles[index];
    const std::string path = fmt::format("tiles[{}]", index);
    const auto units = static_cast<int64_t>(explanation_.units.size());
    const auto check_range = [&](const char* name, int64_t first, int64_t count) {
      if (first >= 0 && count >= 0 && first <= units && count <= units - first) return;
      fail(path + name, "units {} to {} of {}", first, first + count - 1, units);
    };
    check_range(".rows", tile.first_row, std::min(tile.rows, units + 1));
    check_range(".columns", tile.first_column, std::min(tile.columns, units + 1));
    check_size(path + ".weights", tile.weights.size(), tile.rows, tile.columns);
    for (const float weight : tile.weights) {
      if (!(weight >= 0 && weight <= kMostShare)) check_share(path + ".weights", weight);
    }
  }

  // count == rows * columns, without a product that can overflow.
  void check_size(const std::string& path, std::size_t count, int64_t rows, int64_t columns) const {
    const auto have = static_cast<int64_t>(count);
    const bool fits =
        rows >= 0 && columns >= 0 &&
        (rows == 0 || columns == 0 ? have == 0 : have % rows == 0 && have / rows == columns);
    if (!fits) fail(path, "{} weights for {} x {}", have, rows, columns);
  }

  void check_surface(const Surface& surface) const {
    constexpr int64_t kMostSide = 16384;
    const auto check_side = [&](const char* name, int64_t side) {
      if (side < 1 || side > kMostSide) {
        fail(name, "{} is not between 1 and {} pixels", side, kMostSide);
      }
    };
    check_side("surface.width", surface.width);
    check_side("surface.height", surface.height);
    if (surface.channels != 1 && surface.channels != 3) {
      fail("surface.channels", "{}: give 1 (grey) or 3 (RGB)", surface.channels);
    }
    const int64_t bytes = surface.width * surface.height * surface.channels;
    if (static_cast<int64_t>(surface.pixels.size()) != bytes) {
      fail("surface.pixels", "{} bytes for {} x {} x {}", surface.pixels.size(), surface.width,
           surface.height, surface.channels);
    }
    check_count("surface.boxes", surface.boxes.size(), explanation_.units.size(), "units");
    for (std::size_t i = 0; i < surface.boxes.size(); ++i) {
      const Surface::Box& box = surface.boxes[i];
      const bool inside = box.x >= 0 && box.y >= 0 && box.width >= 0 && box.height >= 0 &&
                          box.x <= surface.width && box.width <= surface.width - box.x &&
                          box.y <= surface.height && box.height <= surface.height - box.y;
      if (!inside) fail(fmt::format("surface.boxes[{}]", i), "is not inside the surface");
    }
  }

  void check_map(std::size_t index) const {
    const AttentionMap& map = explanation_.attention[index];
    const std::string path = fmt::format("attention[{}]", index);
    const bool of_output = map.role == "decoder" || map.role == "cross";
    if (!of_output && map.role != "self" && map.role != "pooling") {
      fail(path + ".role", "\"{}\": give self, decoder, cross or pooling", printable(map.role));
    }
    const auto units = static_cast<int64_t>(explanation_.units.size());
    const auto outputs = static_cast<int64_t>(explanation_.output_units.size());
    const int64_t keys = map.role == "decoder" ? outputs : units;
    const int64_t queries = of_output ? outputs : units;
    const std::string_view key_kind = map.role == "decoder" ? "output units" : "units";
    if (map.columns != keys) {
      fail(path + ".columns", "{} columns for {} {}; give one per unit", map.columns, keys,
           key_kind);
    }
    if (map.rows != queries && (of_output || map.rows != 1)) {
      fail(path + ".rows", "{} rows for {} {}units; give one per unit{}", map.rows, queries,
           of_output ? "output " : "", of_output ? "" : ", or a single one");
    }
    const auto weights = static_cast<int64_t>(map.weights.size());
    if (weights != map.rows * map.columns) {
      fail(path + ".weights", "{} weights for {} x {}", weights, map.rows, map.columns);
    }
    for (int64_t i = 0; i < weights; ++i) {
      const float weight = map.weights[i];
      if (weight >= 0 && weight <= kMostShare) continue;
      check_share(fmt::format("{}.weights[{}][{}]", path, i / map.columns, i % map.columns),
                  weight);
    }
  }

  const Explanation& explanation_;
  std::string_view origin_;
};

}  // namespace

void check_explanation(const Explanation& explanation, std::string_view origin) {
  Checker(explanation, origin).check();
}

}  // namespace attend
