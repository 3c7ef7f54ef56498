// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "json_node.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "attend/base/error.h"
#include "attend/base/text.h"

namespace attend::report {
namespace {

using Json = nlohmann::json;

constexpr int kMostDepth = 16;

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

}  // namespace

Json parse_json(std::string_view text, const std::string& origin) {
  check_depth(text, origin);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the tag
    std::string reason = error.what();
    reason.erase(0, reason.find(']') == std::string::npos ? 0 : reason.find(']') + 2);
    throw data_error(fmt::format("{}: not JSON: {}", printable(origin), printable(reason)));
  }
}

void Node::fail(const std::string& rule) const {
  throw data_error(fmt::format("{}: {}: {}", printable(origin_), path_, rule));
}

std::string Node::expected(std::string_view what) const {
  return fmt::format("expected {}, found {}", what, value_.type_name());
}

Node Node::field(const char* name) const {
  if (!value_.is_object()) fail(expected("an object"));
  const auto found = value_.find(name);
  if (found == value_.end()) fail(fmt::format("\"{}\" is missing", name));
  return {*found, fmt::format("{}.{}", path_, name), origin_};
}

std::optional<Node> Node::optional_field(const char* name) const {
  if (!value_.is_object()) fail(expected("an object"));
  const auto found = value_.find(name);
  if (found == value_.end() || found->is_null()) return std::nullopt;
  return Node(*found, fmt::format("{}.{}", path_, name), origin_);
}

std::string Node::optional_text(const char* name) const {
  const auto found = optional_field(name);
  return found ? found->text() : "";
}

std::size_t Node::size() const {
  if (!value_.is_array()) fail(expected("a list"));
  return value_.size();
}

Node Node::item(std::size_t index) const {
  return {value_[index], fmt::format("{}[{}]", path_, index), origin_};
}

std::string Node::text() const {
  if (!value_.is_string()) fail(expected("a string"));
  return value_.get<std::string>();
}

bool Node::truth() const {
  if (!value_.is_boolean()) fail(expected("true or false"));
  return value_.get<bool>();
}

int64_t Node::integer() const {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  const bool too_large = value_.is_number_unsigned() && value_.get<uint64_t>() > kMost;
  if (!value_.is_number_integer() || too_large) fail(expected("an integer"));
  return value_.get<int64_t>();
}

double Node::number() const {
  if (!value_.is_number()) fail(expected("a number"));
  return value_.get<double>();
}

Span Node::span() const {
  if (size() != 2) fail(fmt::format("expected [begin, end], found {} items", size()));
  return {item(0).integer(), item(1).integer()};
}

std::vector<double> Node::numbers() const {
  std::vector<double> values;
  values.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) {
    // The path of an item costs more than the item; it is only made when it is needed.
    if (!value_[i].is_number()) item(i).number();
    values.push_back(value_[i].get<double>());
  }
  return values;
}

std::vector<std::string> Node::texts() const {
  std::vector<std::string> values;
  each([&](const Node& node) { values.push_back(node.text()); });
  return values;
}

std::vector<float> Node::weights(int64_t rows, int64_t columns) const {
  if (static_cast<int64_t>(size()) != rows) {
    fail(fmt::format("{} rows, but \"rows\" says {}", size(), rows));
  }
  std::vector<float> weights;
  for (std::size_t r = 0; r < size(); ++r) {
    const Node row = item(r);
    if (static_cast<int64_t>(row.size()) != columns) {
      row.fail(fmt::format("{} weights, but \"columns\" says {}", row.size(), columns));
    }
    const std::vector<double> values = row.numbers();
    for (std::size_t c = 0; c < values.size(); ++c) {
      if (std::abs(values[c]) > 2) {
        row.item(c).fail(fmt::format("{} is not between 0 and 1", values[c]));
      }
      weights.push_back(static_cast<float>(values[c]));
    }
  }
  return weights;
}

}  // namespace attend::report
