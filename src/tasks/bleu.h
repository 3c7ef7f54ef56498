// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// BLEU (Papineni et al. 2002) as sacreBLEU computes it (Post 2018, "A Call for Clarity in Reporting
// BLEU Scores").
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// How a sentence is cut before n-grams are counted.
enum class BleuTokenizer {
  k13a,       ///< mteval-v13a: punctuation apart, for languages with spaces
  kChinese,   ///< "zh": every Han character and full-width mark alone, the rest as 13a
  kCharacter  ///< "char": every character alone
};

/// "13a", "zh", "char". Throws Error(kUsage) on another.
BleuTokenizer parse_bleu_tokenizer(const std::string& name);
std::string to_string(BleuTokenizer tokenizer);

struct BleuOptions {
  BleuTokenizer tokenizer = BleuTokenizer::k13a;
  bool lower_case = false;
};

/// The words that are compared.
std::vector<std::string> bleu_words(std::string_view text, const BleuOptions& options);

/// Counts of one sentence, or summed over any set of them.
struct BleuCounts {
  std::array<int64_t, 4> matches{};  ///< n-grams of length 1..4 that a reference has, clipped
  std::array<int64_t, 4> total{};    ///< n-grams of the hypothesis
  int64_t length = 0;                ///< words of the hypothesis
  int64_t reference_length = 0;      ///< of the reference that is nearest in length

  BleuCounts& operator+=(const BleuCounts& other);
};

/// `references`: at least one. Of references equally near in length the shorter counts.
BleuCounts count_bleu(std::string_view hypothesis, const std::vector<std::string>& references,
                      const BleuOptions& options);

/// In [0, 1]. Exponential smoothing: the k-th n-gram order without a match counts 1 / 2^k matches.
double bleu(const BleuCounts& counts);

/// "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:attend-0.1": what a score must be quoted
/// with. `references`: the most that a sentence has; "var" where their number differs.
std::string bleu_signature(const BleuOptions& options, const std::string& references,
                           const std::string& version);

/// Counts for chrF (Popovic 2015): character n-grams of length 1..6, white space left out.
struct ChrfCounts {
  std::array<int64_t, 6> matches{};
  std::array<int64_t, 6> hypothesis{};
  std::array<int64_t, 6> reference{};

  ChrfCounts& operator+=(const ChrfCounts& other);
};

struct ChrfOptions {
  double beta = 2;  ///< weight of recall against precision
  bool keep_white_space = false;
};

/// Of several references the one with the best score of its own counts.
ChrfCounts count_chrf(std::string_view hypothesis, const std::vector<std::string>& references,
                      const ChrfOptions& options = {});

/// F-beta of mean precision and mean recall over the orders that both sides have; in [0, 1].
double chrf(const ChrfCounts& counts, const ChrfOptions& options = {});

std::string chrf_signature(const std::string& references, const std::string& version);

}  // namespace attend
