// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attend/data/unit.h"

// Reading JSON whose every complaint names the place. Private to the report layer.
namespace attend::report {

/// A JSON value that knows where it stands. Every accessor throws Error(kData) in one line with
/// the origin and the path when the value is something else.
class Node {
 public:
  Node(const nlohmann::json& value, std::string path, const std::string& origin)
      : value_(value), path_(std::move(path)), origin_(origin) {}

  [[noreturn]] void fail(const std::string& rule) const;

  Node field(const char* name) const;
  /// Nothing where the field is missing or null.
  std::optional<Node> optional_field(const char* name) const;
  std::string optional_text(const char* name) const;  ///< "" where the field is missing

  std::size_t size() const;
  Node item(std::size_t index) const;
  bool is_list() const { return value_.is_array(); }
  bool is_null() const { return value_.is_null(); }

  std::string text() const;
  bool truth() const;
  int64_t integer() const;
  double number() const;
  Span span() const;
  std::vector<double> numbers() const;
  std::vector<std::string> texts() const;

  /// `rows` lists of `columns` numbers each, row-major. Numbers beyond 2 are refused before the
  /// cast to float: they are no weights, and a double past float's range has no float.
  std::vector<float> weights(int64_t rows, int64_t columns) const;

  /// visit(item) for every item of a list.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 0; i < size(); ++i) visit(item(i));
  }

 private:
  std::string expected(std::string_view what) const;

  const nlohmann::json& value_;
  std::string path_;
  const std::string& origin_;
};

/// Parses `text`; Error(kData) in one line for broken JSON and for nesting that no file of ours has
/// (refused before parsing, so that a hostile file costs no memory per level).
nlohmann::json parse_json(std::string_view text, const std::string& origin);

}  // namespace attend::report
