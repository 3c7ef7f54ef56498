// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// An n-gram is known by a 64-bit hash of its code points. All lengths that start at one place share
// one running hash, so a place costs one multiplication per length; nothing is copied or allocated
// per n-gram. A million distinct n-grams collide with probability 10^12 / 2^65 = 3e-8.
#include "attend/data/ngrams.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/data/unicode.h"
#include "utf8.h"

namespace attend {
namespace {

constexpr uint64_t kCharacterSeed = 0x61747465'6e642d63;  // "attend-c"
constexpr uint64_t kWordSeed = 0x61747465'6e642d77;       // "attend-w"
constexpr uint64_t kWordEnd = 0x110000;                   // no code point
constexpr char32_t kBoundary = ' ';
constexpr int kLongest = 16;

uint64_t extend(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 32);
}

// splitmix64's finaliser: the running hash is not yet even in its low bits.
uint64_t finish(uint64_t hash) {
  hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9u;
  hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBu;
  return hash ^ (hash >> 31);
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  return !internal::is_cjk_ideograph(c) && u_isUWhiteSpace(static_cast<UChar32>(c));
}

struct Character {
  char32_t value;
  Span source;  // empty for a boundary mark
};

// Calls visit(hash, first, last) for the n-grams of line [begin, end), where first and last are the
// real characters at its ends.
template <typename Visit>
void visit_run(const NgramOptions& options, const std::vector<Character>& line, size_t begin,
               size_t end, Visit& visit) {
  const auto shortest = static_cast<size_t>(options.char_min);
  const auto longest = static_cast<size_t>(options.char_max);
  const bool padded = options.reach == NgramReach::kWord;
  for (size_t at = begin; at < end; ++at) {
    uint64_t hash = kCharacterSeed;
    for (size_t n = 1; n <= longest && at + n <= end; ++n) {
      const size_t last = at + n - 1;
      hash = extend(hash, line[last].value);
      if (n < shortest) continue;
      // Boundary marks stand at the ends only; a mark alone says nothing.
      const size_t first_real = padded && at == begin ? at + 1 : at;
      const size_t last_real = padded && last + 1 == end ? last - 1 : last;
      if (first_real > last_real || last_real >= end) continue;
      visit(finish(hash), line[first_real].source, line[last_real].source);
    }
  }
}

template <typename Visit>
void visit_characters(const NgramOptions& options, const NormalizedText& text, Visit& visit) {
  if (options.char_max <= 0) return;
  const bool by_word = options.reach == NgramReach::kWord;
  std::vector<Character> line;
  const auto flush = [&] {
    if (line.size() > 1 || (!by_word && !line.empty())) {
      if (by_word) line.push_back({kBoundary, {}});
      visit_run(options, line, 0, line.size(), visit);
    }
    line.clear();
  };
  for (size_t at = 0; at < text.text.size();) {
    const internal::CodePoint c = internal::next_code_point(text.text, at);
    const auto begin = static_cast<int64_t>(at);
    if (is_space(c.value)) {
      if (by_word)
        flush();
      else if (!line.empty() && line.back().value != kBoundary)
        line.push_back({kBoundary, text.original(begin, begin + c.length)});
    } else {
      if (by_word && line.empty()) line.push_back({kBoundary, {}});
      line.push_back({c.value, text.original(begin, begin + c.length)});
    }
    at += static_cast<size_t>(c.length);
  }
  if (!by_word && !line.empty() && line.back().value == kBoundary) line.pop_back();
  flush();
}

bool is_punctuation_only(std::string_view word) {
  for (size_t at = 0; at < word.size();) {
    const internal::CodePoint c = internal::next_code_point(word, at);
    if (internal::is_cjk_ideograph(c.value) || u_isalnum(static_cast<UChar32>(c.value)))
      return false;
    at += static_cast<size_t>(c.length);
  }
  return true;
}

template <typename Visit>
void visit_words(const NgramOptions& options, std::string_view text, const NormalizedText& folded,
                 Visit& visit) {
  if (options.word_max <= 0) return;
  struct Word {
    uint64_t hash;
    Span source;
  };
  std::vector<Word> words;
  // Words are cut on the original text, so that a span is that of a word as it was written; the
  // normalised bytes from within it are then read off in step.
  size_t at = 0;
  for (const Span& span : word_spans(text)) {
    while (at < folded.text.size() && folded.source[at].begin < span.begin) ++at;
    const size_t begin = at;
    while (at < folded.text.size() && folded.source[at].begin < span.end) ++at;
    const std::string_view word = std::string_view(folded.text).substr(begin, at - begin);
    if (word.empty() || (!options.punctuation && is_punctuation_only(word))) continue;
    uint64_t hash = kWordSeed;
    for (size_t i = 0; i < word.size();) {
      const internal::CodePoint c = internal::next_code_point(word, i);
      hash = extend(hash, c.value);
      i += static_cast<size_t>(c.length);
    }
    words.push_back({hash, span});
  }
  const auto longest = static_cast<size_t>(options.word_max);
  for (size_t first = 0; first < words.size(); ++first) {
    uint64_t hash = kWordSeed;
    for (size_t n = 1; n <= longest && first + n <= words.size(); ++n) {
      const Word& last = words[first + n - 1];
      hash = extend(extend(hash, last.hash), kWordEnd);
      if (n >= static_cast<size_t>(options.word_min))
        visit(finish(hash), words[first].source, last.source);
    }
  }
}

// Calls visit(hash, span of the first character or word, span of the last one, whether of words)
// for every n-gram.
template <typename Visit>
void visit_ngrams(const NgramOptions& options, std::string_view text, Visit visit) {
  const NormalizedText folded = normalise_with_offsets(text, {options.nfkc, options.fold_case});
  const auto visit_as = [&](bool of_words) {
    return [&visit, of_words](uint64_t hash, const Span& first, const Span& last) {
      visit(hash, first, last, of_words);
    };
  };
  auto visit_character = visit_as(false);
  auto visit_word = visit_as(true);
  visit_characters(options, folded, visit_character);
  visit_words(options, text, folded, visit_word);
}

void check_options(const NgramOptions& options) {
  const auto fail = [](const std::string& what) { return model_error("n-grams: " + what); };
  const auto check = [&](const char* what, int low, int high) {
    if (high < 0 || high > kLongest || (high > 0 && (low < 1 || low > high)))
      throw fail(std::string(what) + " n-grams of " + std::to_string(low) + " to " +
                 std::to_string(high) + ": need 1 <= shortest <= longest <= 16, or longest 0");
  };
  check("character", options.char_min, options.char_max);
  check("word", options.word_min, options.word_max);
  if (options.min_count < 1 || options.min_documents < 1 || options.max_features < 0)
    throw fail("min_count and min_documents must be 1 or more, max_features 0 or more");
}

// Counts by open addressing with linear probing; 24 bytes a hash. Inserting a document's hashes in
// one go lets the next slots be fetched while one is counted: the table is far larger than a cache.
class Counter {
 public:
  struct Entry {
    uint64_t hash = 0;
    uint32_t count = 0;  // saturates; 0 = free
    uint32_t documents = 0;
    uint32_t last_document = 0;
  };

  Counter() : entries_(size_t{1} << 12) {}

  void add(const std::vector<uint64_t>& hashes, uint32_t document) {
    constexpr size_t kAhead = 12;
    for (size_t i = 0; i < hashes.size(); ++i) {
      if (2 * (used_ + 1) > entries_.size()) grow();
      if (i + kAhead < hashes.size())
        __builtin_prefetch(&entries_[hashes[i + kAhead] & (entries_.size() - 1)], 1);
      Entry& entry = slot(hashes[i]);
      if (entry.count == 0) {
        entry.hash = hashes[i];
        ++used_;
      }
      if (entry.documents == 0 || entry.last_document != document) ++entry.documents;
      entry.last_document = document;
      if (entry.count != std::numeric_limits<uint32_t>::max()) ++entry.count;
    }
  }

  std::vector<Entry> kept(const NgramOptions& options) const {
    std::vector<Entry> result;
    for (const Entry& entry : entries_)
      if (entry.count > 0 && entry.count >= options.min_count &&
          entry.documents >= options.min_documents)
        result.push_back(entry);
    return result;
  }

 private:
  Entry& slot(uint64_t hash) {
    const size_t mask = entries_.size() - 1;
    size_t at = hash & mask;
    while (entries_[at].count != 0 && entries_[at].hash != hash) at = (at + 1) & mask;
    return entries_[at];
  }

  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& entry : old)
      if (entry.count != 0) slot(entry.hash) = entry;
  }

  std::vector<Entry> entries_;
  size_t used_ = 0;
};

}  // namespace

nlohmann::json to_json(const NgramOptions& options) {
  return {{"char_min", options.char_min},
          {"char_max", options.char_max},
          {"word_min", options.word_min},
          {"word_max", options.word_max},
          {"reach", options.reach == NgramReach::kWord ? "word" : "text"},
          {"punctuation", options.punctuation},
          {"min_count", options.min_count},
          {"min_documents", options.min_documents},
          {"max_features", options.max_features},
          {"nfkc", options.nfkc},
          {"fold_case", options.fold_case}};
}

NgramOptions ngram_options_from_json(const nlohmann::json& json) {
  NgramOptions options;
  try {
    options.char_min = json.value("char_min", options.char_min);
    options.char_max = json.value("char_max", options.char_max);
    options.word_min = json.value("word_min", options.word_min);
    options.word_max = json.value("word_max", options.word_max);
    const std::string reach = json.value("reach", std::string("word"));
    if (reach != "word" && reach != "text")
      throw model_error("n-grams: \"reach\" must be \"word\" or \"text\"");
    options.reach = reach == "word" ? NgramReach::kWord : NgramReach::kText;
    options.punctuation = json.value("punctuation", options.punctuation);
    options.min_count = json.value("min_count", options.min_count);
    options.min_documents = json.value("min_documents", options.min_documents);
    options.max_features = json.value("max_features", options.max_features);
    options.nfkc = json.value("nfkc", options.nfkc);
    options.fold_case = json.value("fold_case", options.fold_case);
  } catch (const nlohmann::json::exception&) {
    throw model_error("n-grams: not a JSON object, or a value of the wrong type");
  }
  check_options(options);
  return options;
}

std::vector<Ngram> hashed_ngrams(const NgramOptions& options, std::string_view text) {
  check_options(options);
  std::vector<Ngram> result;
  visit_ngrams(
      options, text, [&](uint64_t hash, const Span& first, const Span& last, bool of_words) {
        result.push_back({hash, {first.begin, std::max(first.end, last.end)}, last, of_words});
      });
  return result;
}

NgramVocabulary::NgramVocabulary(const NgramOptions& options, std::vector<uint64_t> hashes,
                                 std::vector<uint32_t> document_frequency, int64_t document_count)
    : options_(options),
      hashes_(std::move(hashes)),
      document_frequency_(std::move(document_frequency)),
      document_count_(document_count) {
  check_options(options_);
  if (hashes_.size() > (size_t{1} << 30)) throw model_error("n-grams: more than 2^30 features");
  if (std::adjacent_find(hashes_.begin(), hashes_.end(), std::greater_equal<>()) != hashes_.end())
    throw model_error("n-grams: the hashes are not in ascending order; the model file is damaged");
  if (!document_frequency_.empty() && document_frequency_.size() != hashes_.size())
    throw model_error("n-grams: " + std::to_string(document_frequency_.size()) +
                      " document frequencies for " + std::to_string(hashes_.size()) +
                      " features; the model file is damaged");
  index();
}

void NgramVocabulary::index() {
  size_t size = 16;
  while (size < 2 * hashes_.size()) size *= 2;
  slots_.assign(size, -1);
  for (size_t i = 0; i < hashes_.size(); ++i) {
    size_t at = hashes_[i] & (size - 1);
    while (slots_[at] >= 0) at = (at + 1) & (size - 1);
    slots_[at] = static_cast<int32_t>(i);
  }
}

int32_t NgramVocabulary::find(uint64_t hash) const {
  if (slots_.empty()) return -1;
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at] >= 0; at = (at + 1) & mask)
    if (hashes_[static_cast<size_t>(slots_[at])] == hash) return slots_[at];
  return -1;
}

NgramVocabulary NgramVocabulary::build(const NgramOptions& options,
                                       std::span<const std::string> texts) {
  check_options(options);
  Counter counter;
  std::vector<uint64_t> hashes;
  for (size_t i = 0; i < texts.size(); ++i) {
    hashes.clear();
    visit_ngrams(options, texts[i],
                 [&](uint64_t hash, const Span&, const Span&, bool) { hashes.push_back(hash); });
    counter.add(hashes, static_cast<uint32_t>(i));
  }
  std::vector<Counter::Entry> kept = counter.kept(options);
  const auto limit = static_cast<size_t>(options.max_features);
  if (limit > 0 && kept.size() > limit) {
    const auto more_frequent = [](const Counter::Entry& a, const Counter::Entry& b) {
      return a.count != b.count ? a.count > b.count : a.hash < b.hash;
    };
    std::nth_element(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(limit), kept.end(),
                     more_frequent);
    kept.resize(limit);
  }
  std::sort(kept.begin(), kept.end(),
            [](const Counter::Entry& a, const Counter::Entry& b) { return a.hash < b.hash; });
  std::vector<uint64_t> sorted;
  std::vector<uint32_t> documents;
  sorted.reserve(kept.size());
  documents.reserve(kept.size());
  for (const Counter::Entry& entry : kept) {
    sorted.push_back(entry.hash);
    documents.push_back(entry.documents);
  }
  return {options, std::move(sorted), std::move(documents), static_cast<int64_t>(texts.size())};
}

std::vector<NgramHit> NgramVocabulary::extract(std::string_view text,
                                               std::span<const Span> units) const {
  // unit_at[i]: the unit to which a character that begins at byte i belongs.
  std::vector<int32_t> unit_at(text.size() + 1, -1);
  int32_t current = -1;
  size_t filled = 0;
  for (size_t u = 0; u < units.size(); ++u) {
    if (units[u].begin >= units[u].end) continue;
    const auto begin = std::min(static_cast<size_t>(units[u].begin), text.size());
    const int32_t before = current < 0 ? static_cast<int32_t>(u) : current;
    for (; filled < begin; ++filled) unit_at[filled] = before;
    current = static_cast<int32_t>(u);
  }
  for (; filled < unit_at.size(); ++filled) unit_at[filled] = current;

  std::vector<NgramHit> hits;
  if (hashes_.empty()) return hits;
  visit_ngrams(options_, text, [&](uint64_t hash, const Span&, const Span& last, bool of_words) {
    const int32_t feature = find(hash);
    if (feature >= 0) {
      hits.push_back({feature, unit_at[static_cast<size_t>(last.begin)], of_words});
    }
  });
  return hits;
}

}  // namespace attend
