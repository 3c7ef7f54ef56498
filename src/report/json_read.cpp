// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"

namespace attend {
namespace {

using Json = nlohmann::json;

constexpr int kMostDepth = 16;
constexpr int kVersion = 1;

// A JSON value that knows where it stands, so that every complaint can name the place.
class Node {
 public:
  Node(const Json& value, std::string path, const std::string& origin)
      : value_(value), path_(std::move(path)), origin_(origin) {}

  [[noreturn]] void fail(const std::string& rule) const {
    throw data_error(fmt::format("{}: {}: {}", printable(origin_), path_, rule));
  }

  Node field(const char* name) const {
    if (!value_.is_object()) fail(expected("an object"));
    const auto found = value_.find(name);
    if (found == value_.end()) fail(fmt::format("\"{}\" is missing", name));
    return {*found, fmt::format("{}.{}", path_, name), origin_};
  }

  std::size_t size() const {
    if (!value_.is_array()) fail(expected("a list"));
    return value_.size();
  }

  Node item(std::size_t index) const {
    return {value_[index], fmt::format("{}[{}]", path_, index), origin_};
  }

  std::string text() const {
    if (!value_.is_string()) fail(expected("a string"));
    return value_.get<std::string>();
  }

  bool truth() const {
    if (!value_.is_boolean()) fail(expected("true or false"));
    return value_.get<bool>();
  }

  int64_t integer() const {
    constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
    const bool too_large = value_.is_number_unsigned() && value_.get<uint64_t>() > kMost;
    if (!value_.is_number_integer() || too_large) fail(expected("an integer"));
    return value_.get<int64_t>();
  }

  double number() const {
    if (!value_.is_number()) fail(expected("a number"));
    return value_.get<double>();
  }

  bool is_null() const { return value_.is_null(); }

  Span span() const {
    if (size() != 2) fail(fmt::format("expected [begin, end], found {} items", size()));
    return {item(0).integer(), item(1).integer()};
  }

 private:
  std::string expected(std::string_view what) const {
    return fmt::format("expected {}, found {}", what, value_.type_name());
  }

  const Json& value_;
  std::string path_;
  const std::string& origin_;
};

// Deep nesting is never an explanation; refusing it before parsing keeps a hostile file from
// costing memory per level.
void check_depth(std::string_view text, const std::string& origin) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string &= c != '"';
      continue;
    }
    in_string = c == '"';
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMostDepth) {
      throw data_error(
          fmt::format("{}: nested deeper than {} levels at byte {}; not an explanation",
                      printable(origin), kMostDepth, i));
    }
  }
}

Json parsed(std::string_view text, const std::string& origin) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the tag
    std::string reason = error.what();
    reason.erase(0, reason.find(']') == std::string::npos ? 0 : reason.find(']') + 2);
    throw data_error(fmt::format("{}: not JSON: {}", printable(origin), printable(reason)));
  }
}

Attribution read_attribution(const Node& node) {
  Attribution attribution;
  attribution.method = node.field("method").text();
  attribution.is_signed = node.field("is_signed").truth();
  attribution.meaning = node.field("meaning").text();
  attribution.seconds = node.field("seconds").number();
  const Node scores = node.field("scores");
  for (std::size_t i = 0; i < scores.size(); ++i) {
    attribution.scores.push_back(scores.item(i).number());
  }
  return attribution;
}

AttentionMap read_map(const Node& node) {
  AttentionMap map;
  map.layer = node.field("layer").integer();
  map.head = node.field("head").integer();
  map.label = node.field("label").text();
  map.rows = node.field("rows").integer();
  map.columns = node.field("columns").integer();
  const Node weights = node.field("weights");
  if (static_cast<int64_t>(weights.size()) != map.rows) {
    weights.fail(fmt::format("{} rows, but \"rows\" says {}", weights.size(), map.rows));
  }
  for (std::size_t r = 0; r < weights.size(); ++r) {
    const Node row = weights.item(r);
    if (static_cast<int64_t>(row.size()) != map.columns) {
      row.fail(fmt::format("{} weights, but \"columns\" says {}", row.size(), map.columns));
    }
    for (std::size_t c = 0; c < row.size(); ++c) {
      const double weight = row.item(c).number();
      // Before the cast: a double past float's range has no float.
      if (std::abs(weight) > 2) row.item(c).fail(fmt::format("{} is not between 0 and 1", weight));
      map.weights.push_back(static_cast<float>(weight));
    }
  }
  return map;
}

Explanation read_explanation(const Node& root) {
  const Node format = root.field("format");
  if (format.text() != "attend-explanation") format.fail("expected \"attend-explanation\"");
  const Node version = root.field("version");
  if (version.integer() != kVersion) {
    version.fail(fmt::format("version {} is not known; this program reads version {}",
                             version.integer(), kVersion));
  }
  Explanation e;
  e.task = root.field("task").text();
  e.model = root.field("model").text();
  e.command = root.field("command").text();
  e.input = root.field("input").text();
  e.unit_kind = root.field("unit_kind").text();
  const Node units = root.field("units");
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Node unit = units.item(i);
    e.units.push_back({unit.field("text").text(), unit.field("span").span()});
  }
  const Node outputs = root.field("outputs");
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Node output = outputs.item(i);
    e.outputs.push_back({output.field("label").text(), output.field("probability").number(),
                         output.field("logit").number()});
  }
  e.target = root.field("target").text();
  const Node evidence = root.field("evidence");
  if (!evidence.is_null()) e.evidence = evidence.span();
  const Node attributions = root.field("attributions");
  for (std::size_t i = 0; i < attributions.size(); ++i) {
    e.attributions.push_back(read_attribution(attributions.item(i)));
  }
  const Node attention = root.field("attention");
  for (std::size_t i = 0; i < attention.size(); ++i) {
    e.attention.push_back(read_map(attention.item(i)));
  }
  const Node notices = root.field("notices");
  for (std::size_t i = 0; i < notices.size(); ++i) e.notices.push_back(notices.item(i).text());
  return e;
}

}  // namespace

Explanation explanation_from_json(std::string_view text, const std::string& origin) {
  check_depth(text, origin);
  const Json json = parsed(text, origin);
  Explanation explanation = read_explanation(Node(json, "$", origin));
  check_explanation(explanation, origin);
  return explanation;
}

}  // namespace attend
