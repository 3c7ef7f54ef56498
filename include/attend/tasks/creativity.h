// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Creativity measured, not claimed: how varied a set of texts is, how much of it was copied from
// the training texts, and how well it keeps a form and a theme. A measure says little by itself:
// put texts written by people, and those of an n-gram model, through the same measures.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "attend/tasks/rhyme_table.h"
#include "attend/tasks/suffix_array.h"

namespace attend {

struct MeasureOptions {
  std::vector<int64_t> form;  ///< that was asked for; empty: any form of at least 1 % of the
                              ///< training texts counts
  std::string tones;          ///< as ConstraintOptions::tones; empty: see tone_rate
  std::string theme;          ///< what the texts should be about; empty: not measured
  std::shared_ptr<const RhymeTable> table;  ///< for rhymes and tones; null: not measured
};

/// Measures texts against the texts that a model was trained on. Units are Chinese characters and
/// words of other scripts; punctuation and line breaks end a line, and n-grams stay within lines.
class TextMeasures {
 public:
  explicit TextMeasures(std::span<const std::string> training);

  /// Name -> value; shares are fractions.
  ///
  /// distinct_1 .. distinct_4: different n-grams / n-grams, over all texts together (Li et al.
  ///   2016). Falls with the number of texts: compare sets of the same size.
  /// self_bleu_2 .. self_bleu_4: BLEU of each text against all others, counts pooled as corpus BLEU
  ///   does (after Zhu et al. 2018); high: the texts are alike.
  /// copied_run, longest_copied_run: units in a row that stand so in a training text, line breaks
  ///   included; mean over texts of each one's longest, and the longest of all.
  /// copied_lines, copied_5grams: share found anywhere in the training texts.
  /// repeated_units: share of units that occurred before in the same text.
  /// form_rate: texts in the form of MeasureOptions.
  /// rhyme_rate: texts whose even lines (and the last) rhyme in one class of the table.
  /// tone_rate: with a pattern, units that follow it; without, lines whose 2nd, 4th and 6th tones
  ///   alternate. Units that the table lacks are passed over, as are lines with one at those
  ///   places.
  /// theme_adherence: mean over units of the association with the nearest unit of the theme:
  ///   normalised pointwise mutual information (Bouma 2009) of standing in the same training text,
  ///   at least 0; 1 for a unit of the theme itself.
  std::map<std::string, double> measure(std::span<const std::string> texts,
                                        const MeasureOptions& options = {}) const;

 private:
  using Line = std::vector<int32_t>;
  using Lines = std::vector<Line>;

  int32_t number(const std::string& unit);
  Lines lines_of(std::string_view text) const;
  void add_copied(const std::vector<Lines>& texts, std::map<std::string, double>& values) const;
  double theme_adherence(const std::vector<Lines>& texts, const std::string& theme) const;

  std::unordered_map<std::string, int32_t> numbers_;         // of units in training, from 1
  mutable std::unordered_map<std::string, int32_t> unseen_;  // of others, behind them
  std::vector<std::vector<int32_t>> training_;               // distinct units of each text, sorted
  std::map<std::vector<int64_t>, int64_t> forms_;
  SuffixArray text_;
};

}  // namespace attend
