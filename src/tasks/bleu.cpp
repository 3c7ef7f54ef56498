// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bleu.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <unordered_map>

#include "attend/base/error.h"
#include "attend/data/unicode.h"

namespace attend {
namespace {

struct CodePoint {
  UChar32 value;
  std::string_view bytes;
};

std::vector<CodePoint> code_points(std::string_view text) {
  std::vector<CodePoint> points;
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t at = 0; at < size;) {
    const int32_t begin = at;
    UChar32 value = 0;
    U8_NEXT(bytes, at, size, value);
    points.push_back(
        {value, text.substr(static_cast<size_t>(begin), static_cast<size_t>(at - begin))});
  }
  return points;
}

// What Python's str.split() takes for a space, which sacreBLEU uses.
bool is_space(UChar32 c) { return u_isUWhiteSpace(c) != 0 || (c >= 0x1c && c <= 0x1f); }

// The characters that sacreBLEU's "zh" sets apart: Han, radicals, strokes, CJK and full-width
// marks, bopomofo, enclosed and compatibility forms, symbols and dingbats.
bool is_chinese(UChar32 c) {
  static constexpr UChar32 kRanges[][2] = {
      {0x2600, 0x27bf},   {0x2e80, 0x2fdf},  {0x2ff0, 0x303f}, {0x3100, 0x312f}, {0x31a0, 0x31bf},
      {0x31c0, 0x31ef},   {0x3200, 0x33ff},  {0x3400, 0x4db5}, {0x4e00, 0x9fbb}, {0xf900, 0xfa2d},
      {0xfa30, 0xfa6a},   {0xfa70, 0xfad9},  {0xfe10, 0xfe1f}, {0xfe30, 0xfe4f}, {0xff00, 0xffef},
      {0x20000, 0x2a6d6}, {0x2f800, 0x2fa1d}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](const UChar32(&range)[2]) { return range[0] <= c && c <= range[1]; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_stop(char c) { return c == '.' || c == ','; }

// The marks that stand apart wherever they are: ASCII punctuation but for ' , - .
bool is_mark(char c) {
  return (c >= '!' && c <= '&') || (c >= '(' && c <= '+') || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~') || c == '/';
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// The rules of mteval-v13a in their order. Each is one pass from left to right over
// non-overlapping places, as a regular expression would be replaced; all they look at is ASCII, so
// bytes of other characters simply pass.
std::string apart_13a(std::string text) {
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "\n", " ");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
  std::string marks = " ";
  for (const char c : text) {
    if (is_mark(c)) {
      marks += {' ', c, ' '};
    } else {
      marks += c;
    }
  }
  marks += ' ';
  // A stop or comma unless a digit comes before it ...
  std::string before;
  for (size_t i = 0; i < marks.size(); ++i) {
    before += marks[i];
    if (!is_digit(marks[i]) && i + 1 < marks.size() && is_stop(marks[i + 1])) {
      before += {' ', marks[++i], ' '};
    }
  }
  // ... or unless one comes behind it ...
  std::string behind;
  for (size_t i = 0; i < before.size(); ++i) {
    if (is_stop(before[i]) && i + 1 < before.size() && !is_digit(before[i + 1])) {
      behind += {' ', before[i], ' ', before[i + 1]};
      ++i;
    } else {
      behind += before[i];
    }
  }
  // ... and a dash behind a digit.
  std::string result;
  for (size_t i = 0; i < behind.size(); ++i) {
    result += behind[i];
    if (is_digit(behind[i]) && i + 1 < behind.size() && behind[i + 1] == '-') {
      result += " - ";
      ++i;
    }
  }
  return result;
}

std::string lower_cased(std::string_view text) {
  std::string result;
  icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())})
      .toLower(icu::Locale::getRoot())
      .toUTF8String(result);
  return result;
}

using Ngrams = std::unordered_map<std::string, int64_t>;

// N-grams of `size` units, joined by a character that no unit holds.
Ngrams ngrams(std::span<const std::string> units, size_t size) {
  Ngrams counts;
  for (size_t at = 0; at + size <= units.size(); ++at) {
    std::string key;
    for (size_t i = 0; i < size; ++i) key += units[at + i] + '\n';
    ++counts[key];
  }
  return counts;
}

int64_t overlap(const Ngrams& hypothesis, const Ngrams& reference) {
  int64_t matches = 0;
  for (const auto& [key, count] : hypothesis) {
    const auto found = reference.find(key);
    if (found != reference.end()) matches += std::min(count, found->second);
  }
  return matches;
}

}  // namespace

BleuTokenizer parse_bleu_tokenizer(const std::string& name) {
  for (const BleuTokenizer known :
       {BleuTokenizer::k13a, BleuTokenizer::kChinese, BleuTokenizer::kCharacter}) {
    if (name == to_string(known)) return known;
  }
  throw usage_error("BLEU tokenizer \"" + name + "\" is not known: use one of 13a, zh, char");
}

std::string to_string(BleuTokenizer tokenizer) {
  switch (tokenizer) {
    case BleuTokenizer::kChinese:
      return "zh";
    case BleuTokenizer::kCharacter:
      return "char";
    default:
      return "13a";
  }
}

std::vector<std::string> bleu_words(std::string_view text, const BleuOptions& options) {
  std::string prepared = options.lower_case ? lower_cased(text) : std::string(text);
  if (options.tokenizer == BleuTokenizer::kChinese) {
    std::string apart;
    for (const CodePoint& point : code_points(trim(prepared))) {
      if (is_chinese(point.value)) {
        (apart += ' ').append(point.bytes) += ' ';
      } else {
        apart.append(point.bytes);
      }
    }
    prepared = apart_13a(apart);
  } else if (options.tokenizer == BleuTokenizer::k13a) {
    prepared = apart_13a(prepared);
  }
  std::vector<std::string> words;
  std::string word;
  for (const CodePoint& point : code_points(prepared)) {
    const bool space = is_space(point.value);
    if (!space) word.append(point.bytes);
    if (!word.empty() && (space || options.tokenizer == BleuTokenizer::kCharacter)) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (size_t n = 0; n < 4; ++n) {
    matches[n] += other.matches[n];
    total[n] += other.total[n];
  }
  length += other.length;
  reference_length += other.reference_length;
  return *this;
}

BleuCounts count_bleu(std::string_view hypothesis, const std::vector<std::string>& references,
                      const BleuOptions& options) {
  const std::vector<std::string> words = bleu_words(hypothesis, options);
  BleuCounts counts;
  counts.length = static_cast<int64_t>(words.size());
  std::array<Ngrams, 4> known;
  bool first = true;
  for (const std::string& reference : references) {
    const std::vector<std::string> others = bleu_words(reference, options);
    const auto size = static_cast<int64_t>(others.size());
    const int64_t distance = std::abs(size - counts.length);
    const int64_t best = std::abs(counts.reference_length - counts.length);
    if (first || distance < best || (distance == best && size < counts.reference_length)) {
      counts.reference_length = size;
    }
    first = false;
    for (size_t n = 0; n < 4; ++n) {
      for (const auto& [key, count] : ngrams(others, n + 1)) {
        known[n][key] = std::max(known[n][key], count);
      }
    }
  }
  for (size_t n = 0; n < 4; ++n) {
    counts.total[n] = std::max<int64_t>(0, counts.length - static_cast<int64_t>(n));
    counts.matches[n] = overlap(ngrams(words, n + 1), known[n]);
  }
  return counts;
}

double bleu(const BleuCounts& counts) {
  if (counts.length == 0 || std::all_of(counts.matches.begin(), counts.matches.end(),
                                        [](int64_t matches) { return matches == 0; })) {
    return 0;
  }
  double log_precision = 0, smoothed = 1;
  for (size_t n = 0; n < 4; ++n) {
    if (counts.total[n] == 0) return 0;
    double matches = static_cast<double>(counts.matches[n]);
    if (counts.matches[n] == 0) {
      smoothed *= 2;
      matches = 1 / smoothed;
    }
    log_precision += std::log(matches / static_cast<double>(counts.total[n])) / 4;
  }
  const double ratio =
      static_cast<double>(counts.reference_length) / static_cast<double>(counts.length);
  return std::exp(log_precision + std::min(0.0, 1 - ratio));
}

std::string bleu_signature(const BleuOptions& options, const std::string& references,
                           const std::string& version) {
  return "nrefs:" + references + "|case:" + (options.lower_case ? "lc" : "mixed") +
         "|eff:no|tok:" + to_string(options.tokenizer) + "|smooth:exp|version:attend-" + version;
}

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  for (size_t n = 0; n < 6; ++n) {
    matches[n] += other.matches[n];
    hypothesis[n] += other.hypothesis[n];
    reference[n] += other.reference[n];
  }
  return *this;
}

ChrfCounts count_chrf(std::string_view hypothesis, const std::vector<std::string>& references,
                      const ChrfOptions& options) {
  const auto characters = [&](std::string_view text) {
    std::vector<std::string> units;
    for (const CodePoint& point : code_points(text)) {
      if (options.keep_white_space || !is_space(point.value)) units.emplace_back(point.bytes);
    }
    return units;
  };
  const std::vector<std::string> said = characters(hypothesis);
  std::array<Ngrams, 6> of_hypothesis;
  for (size_t n = 0; n < 6; ++n) of_hypothesis[n] = ngrams(said, n + 1);
  const auto positions = [](size_t units, size_t n) {
    return units > n ? static_cast<int64_t>(units - n) : 0;
  };
  ChrfCounts best;
  double best_score = -1;
  for (const std::string& reference : references) {
    const std::vector<std::string> units = characters(reference);
    ChrfCounts counts;
    for (size_t n = 0; n < 6; ++n) {
      counts.reference[n] = positions(units.size(), n);
      // An order that the reference is too short for counts on neither side.
      counts.hypothesis[n] = counts.reference[n] > 0 ? positions(said.size(), n) : 0;
      counts.matches[n] = overlap(of_hypothesis[n], ngrams(units, n + 1));
    }
    const double score = chrf(counts, options);
    if (score > best_score) {
      best = counts;
      best_score = score;
    }
  }
  return best;
}

double chrf(const ChrfCounts& counts, const ChrfOptions& options) {
  double precision = 0, recall = 0;
  int orders = 0;
  for (size_t n = 0; n < 6; ++n) {
    if (counts.hypothesis[n] == 0 || counts.reference[n] == 0) continue;
    precision += static_cast<double>(counts.matches[n]) / static_cast<double>(counts.hypothesis[n]);
    recall += static_cast<double>(counts.matches[n]) / static_cast<double>(counts.reference[n]);
    ++orders;
  }
  if (orders == 0 || precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  const double factor = options.beta * options.beta;
  return (1 + factor) * precision * recall / (factor * precision + recall);
}

std::string chrf_signature(const std::string& references, const std::string& version) {
  return "nrefs:" + references + "|case:mixed|eff:yes|nc:6|nw:0|space:no|version:attend-" + version;
}

}  // namespace attend
