// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace attend {

/// Level (平) and oblique (仄) tones as bits, so that a set of them is a number.
inline constexpr int kLevelTone = 1;
inline constexpr int kObliqueTone = 2;
inline constexpr int kAnyTone = kLevelTone | kObliqueTone;

/// One way to pronounce a character.
struct Reading {
  int32_t rhyme = 0;  ///< index into RhymeTable::classes()
  int tone = 0;       ///< kLevelTone or kObliqueTone
};

/// Which characters rhyme, and their tones: a table that the user gives, since both changed over
/// the centuries and differ among dialects.
class RhymeTable {
 public:
  RhymeTable() = default;

  /// Lines "character<TAB>rhyme class<TAB>tone"; the tone is 平 or 仄 (also "level", "oblique"). A
  /// character with several readings has several lines; empty lines and lines that begin with # are
  /// passed over. Throws Error(kData) naming file and line.
  static RhymeTable read(const std::filesystem::path& path);

  /// The same from memory; `name` is for messages.
  static RhymeTable parse(std::string_view bytes, const std::string& name);

  const std::vector<std::string>& classes() const { return classes_; }

  /// The class of that name, or nothing.
  std::optional<int32_t> find_class(const std::string& name) const;

  /// Empty for a character that the table does not have.
  const std::vector<Reading>& readings(const std::string& character) const;

 private:
  std::vector<std::string> classes_;
  std::map<std::string, std::vector<Reading>, std::less<>> readings_;
};

}  // namespace attend
