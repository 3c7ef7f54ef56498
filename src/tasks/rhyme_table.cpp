// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/rhyme_table.h"

#include <algorithm>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/data/bytes.h"
#include "attend/data/unicode.h"

namespace attend {
namespace {

std::optional<int> tone_of(std::string_view name) {
  if (name == "平" || name == "level") return kLevelTone;
  if (name == "仄" || name == "oblique") return kObliqueTone;
  return std::nullopt;
}

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find('\t', begin), line.size());
    cells.push_back(trim(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  return cells;
}

}  // namespace

RhymeTable RhymeTable::read(const std::filesystem::path& path) {
  return parse(read_bytes(path).bytes, path.string());
}

RhymeTable RhymeTable::parse(std::string_view bytes, const std::string& name) {
  RhymeTable table;
  int64_t number = 0;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const std::string_view line = trim(bytes.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line[0] == '#') continue;
    const auto fail = [&](const std::string& rule) {
      return data_error(name + ":" + std::to_string(number) + ": " + rule +
                        "; a line is: character, tab, rhyme class, tab, 平 or 仄");
    };
    const auto cells = cells_of(line);
    if (cells.size() != 3) throw fail(std::to_string(cells.size()) + " columns instead of 3");
    if (!is_valid_utf8(line) || count_characters(cells[0]) != 1) {
      throw fail("\"" + printable(cells[0], 40) + "\" is not one character");
    }
    if (cells[1].empty()) throw fail("the rhyme class is empty");
    const auto tone = tone_of(cells[2]);
    if (!tone) throw fail("\"" + printable(cells[2], 40) + "\" is not a tone");
    auto index = table.find_class(std::string(cells[1]));
    if (!index) {
      index = static_cast<int32_t>(table.classes_.size());
      table.classes_.emplace_back(cells[1]);
    }
    table.readings_[std::string(cells[0])].push_back({*index, *tone});
  }
  if (table.readings_.empty()) throw data_error(name + ": no rhymes in it");
  return table;
}

std::optional<int32_t> RhymeTable::find_class(const std::string& name) const {
  const auto found = std::find(classes_.begin(), classes_.end(), name);
  if (found == classes_.end()) return std::nullopt;
  return static_cast<int32_t>(found - classes_.begin());
}

const std::vector<Reading>& RhymeTable::readings(const std::string& character) const {
  static const std::vector<Reading> kNone;
  const auto found = readings_.find(character);
  return found == readings_.end() ? kNone : found->second;
}

}  // namespace attend
