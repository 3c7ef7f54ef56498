// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The kinds char, word and mixed: cut the original text, normalise each unit by itself, look it up.
#include <unicode/uchar.h>

#include <algorithm>
#include <cassert>
#include <unordered_map>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "tokenizer_kinds.h"
#include "utf8.h"

namespace attend::internal {
namespace {

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};

template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

std::vector<Span> cut(TokenizerKind kind, std::string_view text) {
  switch (kind) {
    case TokenizerKind::kCharacter:
      return character_spans(text);
    case TokenizerKind::kWord:
      return word_spans(text);
    default:
      return mixed_spans(text);
  }
}

std::string entry_of(const TokenizerOptions& options, std::string_view unit) {
  std::string entry = normalise(unit, {options.normalise, options.fold_case});
  // Folding drops characters that are never seen; a unit of nothing else stays itself.
  return entry.empty() ? repair_utf8(unit) : entry;
}

// Whether a reader expects a space between two entries.
bool space_between(std::string_view left, std::string_view right) {
  size_t last = left.size() - 1;
  while (last > 0 && (static_cast<unsigned char>(left[last]) & 0xC0) == 0x80) --last;
  const auto before = static_cast<UChar32>(next_code_point(left, last).value);
  const auto after = static_cast<UChar32>(next_code_point(right, 0).value);
  if (before >= 0x2E80 || after >= 0x2E80) return false;
  const auto closing = U_GC_PE_MASK | U_GC_PF_MASK | U_GC_PO_MASK;
  if ((U_GET_GC_MASK(after) & closing) != 0 && after != '&' && after != '#') return false;
  return (U_GET_GC_MASK(before) & (U_GC_PS_MASK | U_GC_PI_MASK)) == 0;
}

class VocabularyTokenizer final : public Tokenizer {
 public:
  /// `entries` begins with the special tokens and has no duplicates.
  VocabularyTokenizer(const TokenizerOptions& options, std::vector<std::string> entries)
      : Tokenizer(options), entries_(std::move(entries)) {
    ids_.reserve(entries_.size());
    for (size_t i = 0; i < entries_.size(); ++i) ids_.emplace(entries_[i], static_cast<int64_t>(i));
  }

  Encoding encode(std::string_view text) const override {
    Encoding encoding;
    encoding.spans = cut(kind(), text);
    encoding.ids.reserve(encoding.spans.size());
    for (const Span& span : encoding.spans) {
      const std::string_view unit =
          text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
      const auto found = ids_.find(entry_of(options(), unit));
      // The text "[CLS]" is no special token, should it ever come as one unit.
      const bool known = found != ids_.end() && found->second >= kSpecialCount;
      encoding.ids.push_back(known ? found->second : kUnknownId);
    }
    return encoding;
  }

  std::string decode(std::span<const int64_t> ids) const override {
    std::string text;
    std::string_view previous;
    for (const int64_t id : ids) {
      assert(0 <= id && id < vocab_size());
      if (id < kSpecialCount) continue;
      const std::string& entry = entries_[static_cast<size_t>(id)];
      if (kind() != TokenizerKind::kCharacter && !previous.empty() &&
          space_between(previous, entry))
        text += ' ';
      text += entry;
      previous = entry;
    }
    return text;
  }

  int64_t vocab_size() const override { return static_cast<int64_t>(entries_.size()); }

  std::string token_text(int64_t id) const override {
    assert(0 <= id && id < vocab_size());
    return entries_[static_cast<size_t>(id)];
  }

  std::optional<int64_t> find(std::string_view token) const override {
    const auto found = ids_.find(token);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }

  void save(const std::filesystem::path& folder) const override {
    std::string lines;
    for (const std::string& entry : entries_) lines += entry + '\n';
    write_file_atomically(folder / kVocabularyFile, lines);
    save_tokenizer_config(*this, folder);
  }

 private:
  std::vector<std::string> entries_;
  StringMap<int64_t> ids_;
};

}  // namespace

std::unique_ptr<Tokenizer> train_vocabulary(const TokenizerOptions& options,
                                            std::span<const std::string> texts) {
  StringMap<int64_t> counts;
  for (const std::string& text : texts)
    for (const Span& span : cut(options.kind, text))
      ++counts[entry_of(options,
                        std::string_view(text).substr(static_cast<size_t>(span.begin),
                                                      static_cast<size_t>(span.end - span.begin)))];
  std::vector<std::pair<int64_t, std::string_view>> order;
  order.reserve(counts.size());
  for (const auto& [entry, count] : counts) {
    const bool special =
        std::find(kSpecialTokens.begin(), kSpecialTokens.end(), entry) != kSpecialTokens.end();
    if (count >= options.min_count && !special && entry.find('\n') == std::string::npos)
      order.emplace_back(-count, entry);
  }
  std::sort(order.begin(), order.end());  // ties by bytes, so that the result is reproducible

  std::vector<std::string> entries(kSpecialTokens.begin(), kSpecialTokens.end());
  for (const auto& [count, entry] : order) {
    if (static_cast<int64_t>(entries.size()) >= options.max_vocabulary) break;
    entries.emplace_back(entry);
  }
  return std::make_unique<VocabularyTokenizer>(options, std::move(entries));
}

std::unique_ptr<Tokenizer> load_vocabulary(const TokenizerOptions& options,
                                           const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kVocabularyFile;
  const std::string bytes = read_file(path, ExitCode::kModel);
  const auto fail = [&](size_t line, const std::string& what) {
    return model_error(path.string() + ":" + std::to_string(line) + ": " + what +
                       "; restore the file or train again");
  };
  std::vector<std::string> entries;
  StringMap<size_t> lines;
  for (size_t begin = 0; begin < bytes.size();) {
    size_t end = bytes.find('\n', begin);
    if (end == std::string::npos) end = bytes.size();
    std::string entry = bytes.substr(begin, end - begin);
    if (!entry.empty() && entry.back() == '\r') entry.pop_back();  // saved by an editor on Windows
    const size_t line = entries.size() + 1;
    if (entry.empty()) throw fail(line, "empty line, each line must hold one entry");
    if (!is_valid_utf8(entry)) throw fail(line, "not valid UTF-8");
    if (line <= kSpecialTokens.size() && entry != kSpecialTokens[line - 1])
      throw fail(line, "must be " + std::string(kSpecialTokens[line - 1]) + ", not \"" +
                           printable(entry, 40) + "\"");
    if (const auto [at, added] = lines.emplace(entry, line); !added)
      throw fail(line, "\"" + printable(entry, 40) + "\" stands in line " +
                           std::to_string(at->second) + " already");
    entries.push_back(std::move(entry));
    begin = end + 1;
  }
  if (entries.size() < kSpecialTokens.size())
    throw fail(entries.size() + 1, "ends before the five special tokens");
  return std::make_unique<VocabularyTokenizer>(options, std::move(entries));
}

}  // namespace attend::internal
