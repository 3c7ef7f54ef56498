// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "word_alignment.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attend/data/unicode.h"

namespace attend {
namespace {

bool is_han_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0xE3 && byte <= 0xE9;  // first byte of U+3000 to U+9FFF
}

class AlignmentMetrics : public Metrics {
 public:
  AlignmentMetrics(const std::vector<std::vector<WordLink>>& links,
                   const std::vector<GoldLinks>& gold) {
    const auto has = [](const std::vector<WordLink>& list, const WordLink& link) {
      return std::find(list.begin(), list.end(), link) != list.end();
    };
    for (size_t i = 0; i < links.size(); ++i) {
      Counts counts;
      for (const WordLink& link : links[i]) {
        const bool sure = has(gold[i].sure, link);
        counts.found_sure += sure;
        counts.found_possible += sure || has(gold[i].possible, link);
      }
      counts.found = static_cast<double>(links[i].size());
      counts.sure = static_cast<double>(gold[i].sure.size());
      counts_.push_back(counts);
    }
  }

  void add(const TaskOutput&, const Batch&) override {}
  int64_t examples() const override { return static_cast<int64_t>(counts_.size()); }
  nlohmann::json details() const override { return nlohmann::json::object(); }

  std::map<std::string, double> compute(std::span<const int64_t> sample) const override {
    Counts sum;
    for (const int64_t index : sample) {
      const Counts& one = counts_[static_cast<size_t>(index)];
      sum.found_sure += one.found_sure;
      sum.found_possible += one.found_possible;
      sum.found += one.found;
      sum.sure += one.sure;
    }
    const auto share = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
    return {{"aer", 1 - share(sum.found_sure + sum.found_possible, sum.found + sum.sure)},
            {"precision", share(sum.found_possible, sum.found)},
            {"recall", share(sum.found_sure, sum.sure)}};
  }

 private:
  struct Counts {
    double found_sure = 0;
    double found_possible = 0;
    double found = 0;
    double sure = 0;
  };
  std::vector<Counts> counts_;
};

}  // namespace

std::vector<int64_t> word_of_units(std::span<const Span> units, std::span<const Span> words) {
  std::vector<int64_t> result;
  for (const Span& unit : units) {
    const auto word = std::find_if(words.begin(), words.end(), [&](const Span& one) {
      return one.begin < unit.end && unit.begin < one.end;
    });
    result.push_back(word == words.end() ? -1 : word - words.begin());
  }
  return result;
}

std::vector<Span> white_space_words(const std::string& text) {
  std::vector<Span> words;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find_first_not_of(" \t\n", at);
    if (begin == std::string::npos) break;
    at = std::min(text.find_first_of(" \t\n", begin), text.size());
    words.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(at)});
  }
  return words;
}

std::vector<Span> alignment_words(const std::string& text) {
  std::vector<Span> words = white_space_words(text);
  // A text that is cut into words already stays as it is.
  const bool unsegmented = words.size() <= 1 && std::any_of(text.begin(), text.end(), is_han_byte);
  return unsegmented ? mixed_spans(text) : words;
}

std::vector<WordLink> word_links(const torch::Tensor& scores, std::span<const Span> source_units,
                                 std::span<const Span> target_units,
                                 std::span<const Span> source_words,
                                 std::span<const Span> target_words) {
  const torch::Tensor matrix = scores.to(torch::kDouble).contiguous();
  const auto value = matrix.accessor<double, 2>();
  const std::vector<int64_t> source = word_of_units(source_units, source_words);
  const std::vector<int64_t> target = word_of_units(target_units, target_words);
  std::vector<std::vector<double>> heard(target_words.size(),
                                         std::vector<double>(source_words.size(), 0));
  std::vector<bool> has_source(source_words.size()), has_target(target_words.size());
  for (size_t s = 0; s < source.size(); ++s) {
    if (source[s] >= 0) has_source[static_cast<size_t>(source[s])] = true;
  }
  for (size_t t = 0; t < target.size(); ++t) {
    if (target[t] < 0) continue;
    has_target[static_cast<size_t>(target[t])] = true;
    for (size_t s = 0; s < source.size(); ++s) {
      if (source[s] < 0) continue;
      // All units of a word count alike, so their sum orders source words as their mean does.
      heard[static_cast<size_t>(target[t])][static_cast<size_t>(source[s])] +=
          value[static_cast<int64_t>(t)][static_cast<int64_t>(s)];
    }
  }
  std::vector<WordLink> links;
  for (size_t t = 0; t < target_words.size(); ++t) {
    int64_t best = -1;
    for (size_t s = 0; s < source_words.size(); ++s) {
      if (!has_source[s]) continue;
      if (best < 0 || heard[t][s] > heard[t][static_cast<size_t>(best)]) {
        best = static_cast<int64_t>(s);
      }
    }
    if (has_target[t] && best >= 0) links.push_back({best, static_cast<int64_t>(t)});
  }
  return links;
}

std::unique_ptr<Metrics> new_alignment_metrics(const std::vector<std::vector<WordLink>>& links,
                                               const std::vector<GoldLinks>& gold) {
  return std::make_unique<AlignmentMetrics>(links, gold);
}

}  // namespace attend
