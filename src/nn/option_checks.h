// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "attend/base/error.h"

namespace attend::detail {

inline void require_at_least(const char* name, int64_t value, int64_t least) {
  if (value >= least) return;
  throw usage_error(std::string(name) + " is " + std::to_string(value) + ", but must be at least " +
                    std::to_string(least) + ": set " + name);
}

inline void require_at_most(const char* name, int64_t value, int64_t most) {
  if (value <= most) return;
  throw usage_error(std::string(name) + " is " + std::to_string(value) + ", but may be at most " +
                    std::to_string(most) + ": set " + name);
}

inline void require_probability(const char* name, double value) {
  if (value >= 0 && value < 1) return;  // false for NaN
  throw usage_error(std::string(name) + " is " + std::to_string(value) +
                    ", but must be in [0, 1): 0 switches it off");
}

/// An enumerator and the name that a configuration file calls it by.
template <typename Enum>
struct NamedValue {
  const char* name;
  Enum value;
};

template <typename Enum, std::size_t count>
Enum parse_named(const char* option, const std::string& name,
                 const NamedValue<Enum> (&table)[count]) {
  std::string known;
  for (const auto& entry : table) {
    if (name == entry.name) return entry.value;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw usage_error(std::string(option) + " \"" + name + "\" is not known: use one of " + known);
}

template <typename Enum, std::size_t count>
std::string name_of(Enum value, const NamedValue<Enum> (&table)[count]) {
  for (const auto& entry : table) {
    if (entry.value == value) return entry.name;
  }
  return "unknown";
}

}  // namespace attend::detail
