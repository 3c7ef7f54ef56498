// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The n-gram language model that a neural one has to beat: interpolated Kneser-Ney smoothing
// (Kneser and Ney 1995) with the three discounts of Chen and Goodman (1999, "modified").
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "attend/base/random.h"

namespace attend {

struct KneserNeyOptions {
  int64_t order = 5;       ///< longest n-gram, >= 1
  int64_t vocabulary = 0;  ///< symbols are 0 to vocabulary - 1; the end of a text is another one
  /// What is taken from counts of 1, 2 and 3 or more, at every order; negative: estimated from the
  /// training texts (Chen and Goodman 1999, equation 26).
  std::array<double, 3> discounts = {-1, -1, -1};
};

/// p(symbol | context), for which the probabilities of all symbols and of the end add up to 1 in
/// every context. A symbol that never occurred has its share of the lowest order's discount.
class KneserNey {
 public:
  /// Reads `texts` without their ends, which are added here.
  KneserNey(const KneserNeyOptions& options, std::span<const std::vector<int32_t>> texts);

  /// The symbol that ends a text: `vocabulary`.
  int32_t end_symbol() const { return static_cast<int32_t>(options_.vocabulary); }

  /// Of `symbol` in [0, vocabulary] at the place behind `before`, the text from its beginning.
  double probability(std::span<const int32_t> before, int32_t symbol) const;

  /// Of every symbol and the end behind `before`, `[vocabulary + 1]`.
  std::vector<double> distribution(std::span<const int32_t> before) const;

  /// Natural log of the probability of a text with its end.
  double log_likelihood(std::span<const int32_t> text) const;

  /// A text drawn symbol by symbol, at most `longest` symbols, without its end.
  std::vector<int32_t> sample(Random& random, int64_t longest) const;

  /// The discounts used at order k (1-based).
  const std::array<double, 3>& discounts(int64_t k) const {
    return discounts_[static_cast<size_t>(k)];
  }

 private:
  // A k-gram that occurred is a node at depth k of a trie; its children are its continuations.
  struct Node {
    int32_t symbol = 0;
    int32_t parent = -1;
    int64_t first_child = 0;
    int64_t children = 0;
    uint32_t count = 0;  // times seen; below the highest order distinct symbols seen before it
    uint32_t total = 0;  // sum of the children's counts
    std::array<uint32_t, 3> with = {0, 0, 0};  // children of count 1, 2, 3 or more
  };

  void build(std::span<const std::vector<int32_t>> texts);
  void count_continuations(const std::vector<int32_t>& depths);
  void estimate_discounts(const std::vector<int32_t>& depths);
  int64_t child(int64_t node, int32_t symbol) const;
  std::vector<int64_t> contexts(std::span<const int32_t> before) const;
  double left_over(const Node& context, int64_t order) const;
  double discounted(uint32_t count, int64_t order) const;
  int32_t begin_symbol() const { return static_cast<int32_t>(options_.vocabulary) + 1; }

  KneserNeyOptions options_;
  std::vector<Node> nodes_;                       // children of one node stand together, by symbol
  std::vector<std::array<double, 3>> discounts_;  // by order
};

/// exp(-log likelihood / symbols with ends) of `texts`.
double perplexity(const KneserNey& model, std::span<const std::vector<int32_t>> texts);

}  // namespace attend
