// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace attend::internal {

/// Parses JSON from an untrusted source; on failure returns false and says in `error` what is wrong
/// and at which byte. Nesting is limited, because a bomb of brackets costs memory at every level.
inline bool parse_json(std::string_view text, nlohmann::json& out, std::string& error) {
  constexpr int kDeepest = 64;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) {
        error = "JSON nested more than 64 levels deep at byte " + std::to_string(i + 1);
        return false;
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  try {
    out = nlohmann::json::parse(text);
    return true;
  } catch (const nlohmann::json::parse_error& e) {
    error = "not valid JSON at byte " + std::to_string(e.byte);
    return false;
  } catch (const nlohmann::json::exception&) {
    error = "not valid JSON (a number is out of range)";
    return false;
  }
}

}  // namespace attend::internal
