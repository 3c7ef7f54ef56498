// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/creativity.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>

#include "attend/data/unicode.h"
#include "attend/tasks/constraints.h"

namespace attend {
namespace {

using Gram = std::vector<int32_t>;
using Lines = std::vector<std::vector<int32_t>>;

constexpr int32_t kBreak = 0;         // between lines
constexpr int32_t kTextEnd = -1;      // matches nothing
constexpr double kCommonForm = 0.01;  // share of the training texts

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

template <typename Visit>
void for_each_gram(const Lines& lines, size_t n, Visit&& visit) {
  for (const auto& line : lines) {
    for (size_t i = 0; i + n <= line.size(); ++i) {
      visit(Gram(line.begin() + static_cast<std::ptrdiff_t>(i),
                 line.begin() + static_cast<std::ptrdiff_t>(i + n)));
    }
  }
}

std::map<Gram, int64_t> gram_counts(const Lines& lines, size_t n) {
  std::map<Gram, int64_t> counts;
  for_each_gram(lines, n, [&](Gram gram) { ++counts[std::move(gram)]; });
  return counts;
}

double distinct(const std::vector<Lines>& texts, size_t n) {
  std::set<Gram> different;
  int64_t all = 0;
  for (const Lines& lines : texts) {
    for_each_gram(lines, n, [&](Gram gram) {
      different.insert(std::move(gram));
      ++all;
    });
  }
  return ratio(static_cast<double>(different.size()), static_cast<double>(all));
}

int64_t unit_count(const Lines& lines) {
  int64_t units = 0;
  for (const auto& line : lines) units += static_cast<int64_t>(line.size());
  return units;
}

// Precision of n-grams of each text against all others, clipped by the most that one of them has.
double self_precision(const std::vector<Lines>& texts, size_t n) {
  struct Most {
    int64_t first = 0, second = 0;
    size_t owner = 0;
  };
  std::map<Gram, Most> most;
  std::vector<std::map<Gram, int64_t>> counts;
  for (size_t i = 0; i < texts.size(); ++i) {
    counts.push_back(gram_counts(texts[i], n));
    for (const auto& [gram, count] : counts.back()) {
      Most& of = most[gram];
      if (count > of.first) {
        of = {count, of.first, i};
      } else {
        of.second = std::max(of.second, count);
      }
    }
  }
  int64_t matches = 0;
  int64_t all = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const auto& [gram, count] : counts[i]) {
      const Most& of = most.at(gram);
      matches += std::min(count, of.owner == i ? of.second : of.first);
      all += count;
    }
  }
  return ratio(static_cast<double>(matches), static_cast<double>(all));
}

// Of each text's length against the nearest length among the others.
double self_brevity(const std::vector<Lines>& texts) {
  std::multiset<int64_t> lengths;
  for (const Lines& lines : texts) lengths.insert(unit_count(lines));
  int64_t own = 0;
  int64_t nearest = 0;
  for (const Lines& lines : texts) {
    const int64_t length = unit_count(lines);
    lengths.erase(lengths.find(length));
    const auto above = lengths.lower_bound(length);
    int64_t best = above == lengths.end() ? *std::prev(above) : *above;
    if (above != lengths.begin() && length - *std::prev(above) <= std::abs(best - length)) {
      best = *std::prev(above);
    }
    own += length;
    nearest += best;
    lengths.insert(length);
  }
  if (own >= nearest || own == 0) return 1;
  return std::exp(1 - static_cast<double>(nearest) / static_cast<double>(own));
}

double repeated_units(const std::vector<Lines>& texts) {
  int64_t repeated = 0;
  int64_t all = 0;
  for (const Lines& lines : texts) {
    std::set<int32_t> seen;
    for (const auto& line : lines) {
      for (const int32_t unit : line) {
        repeated += seen.insert(unit).second ? 0 : 1;
        ++all;
      }
    }
  }
  return ratio(static_cast<double>(repeated), static_cast<double>(all));
}

// The letters of a text as strings, by line.
std::vector<std::vector<std::string>> letter_lines(const std::string& text) {
  std::vector<std::vector<std::string>> lines;
  const std::vector<int64_t> form = form_of(text);
  const auto spans = character_spans(text);
  size_t at = 0;
  for (const int64_t letters : form) {
    lines.emplace_back();
    while (static_cast<int64_t>(lines.back().size()) < letters) {
      const Span& span = spans[at++];
      const std::string one =
          text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
      if (!form_of(one).empty()) lines.back().push_back(one);
    }
  }
  return lines;
}

bool rhymes(const std::vector<std::vector<std::string>>& lines, const RhymeTable& table) {
  std::set<int32_t> common;
  bool first = true;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (i % 2 == 0 && i + 1 < lines.size()) continue;
    std::set<int32_t> here;
    for (const Reading& reading : table.readings(lines[i].back())) here.insert(reading.rhyme);
    if (first) common = here;
    first = false;
    std::set<int32_t> both;
    std::set_intersection(common.begin(), common.end(), here.begin(), here.end(),
                          std::inserter(both, both.end()));
    common = std::move(both);
  }
  return !common.empty();
}

int tones_of(const RhymeTable& table, const std::string& character) {
  int tones = 0;
  for (const Reading& reading : table.readings(character)) tones |= reading.tone;
  return tones;
}

// Right and counted; see TextMeasures::measure.
std::pair<int64_t, int64_t> tones_right(const std::vector<std::vector<std::string>>& lines,
                                        const MeasureOptions& options) {
  std::vector<int> pattern;
  for (const Span& span : character_spans(options.tones)) {
    const auto mark =
        std::string_view(options.tones)
            .substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
    if (mark == "平" || mark == "P") pattern.push_back(kLevelTone);
    if (mark == "仄" || mark == "Z") pattern.push_back(kObliqueTone);
    if (mark == "中" || mark == "*") pattern.push_back(kAnyTone);
  }
  int64_t right = 0;
  int64_t counted = 0;
  size_t at = 0;
  for (const auto& line : lines) {
    if (!pattern.empty()) {
      for (const std::string& letter : line) {
        const int wanted = pattern[at++ % pattern.size()];
        const int tones = tones_of(*options.table, letter);
        if (tones == 0) continue;
        right += (tones & wanted) != 0 ? 1 : 0;
        ++counted;
      }
      continue;
    }
    if (line.size() < 4) continue;
    int previous = 0;
    bool known = true;
    bool alternate = true;
    for (size_t place = 1; place < std::min<size_t>(line.size(), 6); place += 2) {
      const int tones = tones_of(*options.table, line[place]);
      known = known && tones != 0;
      // Two different tones can be read off unless both have one and the same only.
      if (place > 1 && tones == previous && tones != kAnyTone) alternate = false;
      previous = tones;
    }
    if (!known) continue;
    right += alternate ? 1 : 0;
    ++counted;
  }
  return {right, counted};
}

}  // namespace

int32_t TextMeasures::number(const std::string& unit) {
  return numbers_.emplace(unit, static_cast<int32_t>(numbers_.size()) + 1).first->second;
}

TextMeasures::TextMeasures(std::span<const std::string> training) {
  std::vector<int32_t> all;
  for (const std::string& text : training) {
    for (const Span& span : mixed_spans(text)) {
      number(
          text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin)));
    }
    const Lines lines = lines_of(text);
    std::vector<int32_t> units;
    for (const auto& line : lines) {
      all.insert(all.end(), line.begin(), line.end());
      all.push_back(kBreak);
      units.insert(units.end(), line.begin(), line.end());
    }
    all.push_back(kTextEnd);
    std::sort(units.begin(), units.end());
    units.erase(std::unique(units.begin(), units.end()), units.end());
    training_.push_back(std::move(units));
    ++forms_[form_of(text)];
  }
  text_ = SuffixArray(std::move(all));
}

// Units that training did not have get numbers of their own: they are distinct all the same.
TextMeasures::Lines TextMeasures::lines_of(std::string_view text) const {
  Lines lines;
  bool open = false;
  int64_t previous_end = 0;
  for (const Span& span : mixed_spans(text)) {
    const auto gap = text.substr(static_cast<size_t>(previous_end),
                                 static_cast<size_t>(span.begin - previous_end));
    if (gap.find('\n') != std::string_view::npos) open = false;
    previous_end = span.end;
    const std::string unit(
        text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin)));
    if (form_of(unit).empty()) {
      open = false;
      continue;
    }
    if (!open) lines.emplace_back();
    open = true;
    const auto known = numbers_.find(unit);
    lines.back().push_back(known != numbers_.end()
                               ? known->second
                               : unseen_
                                     .emplace(unit, std::numeric_limits<int32_t>::max() -
                                                        static_cast<int32_t>(unseen_.size()))
                                     .first->second);
  }
  return lines;
}

void TextMeasures::add_copied(const std::vector<Lines>& texts,
                              std::map<std::string, double>& values) const {
  int64_t lines = 0, copied_lines = 0, grams = 0, copied_grams = 0, runs = 0, longest = 0;
  for (const Lines& text : texts) {
    std::vector<int32_t> whole;
    for (const auto& line : text) {
      copied_lines += text_.count(line) > 0 ? 1 : 0;
      ++lines;
      whole.insert(whole.end(), line.begin(), line.end());
      whole.push_back(kBreak);
    }
    for_each_gram(text, 5, [&](const Gram& gram) {
      copied_grams += text_.count(gram) > 0 ? 1 : 0;
      ++grams;
    });
    int64_t run = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      const auto rest = std::span<const int32_t>(whole).subspan(i);
      const auto length = static_cast<size_t>(text_.longest_prefix(rest));
      // A break is no unit of the run.
      run = std::max(
          run,
          static_cast<int64_t>(length) -
              std::count(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length), kBreak));
    }
    runs += run;
    longest = std::max(longest, run);
  }
  values["copied_lines"] = ratio(static_cast<double>(copied_lines), static_cast<double>(lines));
  values["copied_5grams"] = ratio(static_cast<double>(copied_grams), static_cast<double>(grams));
  values["copied_run"] = ratio(static_cast<double>(runs), static_cast<double>(texts.size()));
  values["longest_copied_run"] = static_cast<double>(longest);
}

double TextMeasures::theme_adherence(const std::vector<Lines>& texts,
                                     const std::string& theme) const {
  std::set<int32_t> wanted;
  for (const auto& line : lines_of(theme)) wanted.insert(line.begin(), line.end());
  std::map<int32_t, double> nearest;  // unit of `texts` -> association
  for (const Lines& lines : texts) {
    for (const auto& line : lines) {
      for (const int32_t unit : line) nearest[unit] = wanted.contains(unit) ? 1 : 0;
    }
  }
  std::unordered_map<int32_t, double> alone;
  for (const auto& units : training_) {
    for (const int32_t unit : units) ++alone[unit];
  }
  const auto total = static_cast<double>(training_.size());
  for (const int32_t target : wanted) {
    std::unordered_map<int32_t, double> together;
    for (const auto& units : training_) {
      if (!std::binary_search(units.begin(), units.end(), target)) continue;
      for (const int32_t unit : units) ++together[unit];
    }
    for (auto& [unit, value] : nearest) {
      const auto both = together.find(unit);
      if (both == together.end() || both->second >= total) continue;
      const double p = both->second / total;
      const double information = std::log(p * total * total / (alone[unit] * alone[target]));
      value = std::max(value, information / -std::log(p));
    }
  }
  double sum = 0;
  double units = 0;
  for (const Lines& lines : texts) {
    for (const auto& line : lines) {
      for (const int32_t unit : line) sum += nearest[unit];
      units += static_cast<double>(line.size());
    }
  }
  return ratio(sum, units);
}

std::map<std::string, double> TextMeasures::measure(std::span<const std::string> texts,
                                                    const MeasureOptions& options) const {
  std::vector<Lines> lined;
  for (const std::string& text : texts) lined.push_back(lines_of(text));
  std::map<std::string, double> values;
  for (size_t n = 1; n <= 4; ++n) {
    values["distinct_" + std::to_string(n)] = distinct(lined, n);
  }
  if (texts.size() > 1) {
    const double brevity = self_brevity(lined);
    double product = self_precision(lined, 1);
    for (size_t n = 2; n <= 4; ++n) {
      product *= self_precision(lined, n);
      values["self_bleu_" + std::to_string(n)] =
          brevity * std::pow(product, 1.0 / static_cast<double>(n));
    }
  }
  add_copied(lined, values);
  values["repeated_units"] = repeated_units(lined);

  double formed = 0, rhyming = 0, rhymable = 0, right = 0, toned = 0;
  for (const std::string& text : texts) {
    const std::vector<int64_t> form = form_of(text);
    const auto common = forms_.find(form);
    const bool usual =
        common != forms_.end() &&
        static_cast<double>(common->second) >= kCommonForm * static_cast<double>(training_.size());
    formed += options.form.empty() ? usual : form == options.form;
    if (!options.table) continue;
    const auto lines = letter_lines(text);
    if (lines.size() > 2) {
      rhyming += rhymes(lines, *options.table);
      ++rhymable;
    }
    const auto [of_text, counted] = tones_right(lines, options);
    right += static_cast<double>(of_text);
    toned += static_cast<double>(counted);
  }
  values["form_rate"] = ratio(formed, static_cast<double>(texts.size()));
  if (options.table) {
    values["rhyme_rate"] = ratio(rhyming, rhymable);
    values["tone_rate"] = ratio(right, toned);
  }
  if (!options.theme.empty()) values["theme_adherence"] = theme_adherence(lined, options.theme);
  return values;
}

}  // namespace attend
