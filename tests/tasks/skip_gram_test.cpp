// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "../../src/tasks/skip_gram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"

namespace attend {
namespace {

constexpr int64_t kVocabulary = 26;
constexpr int64_t kFirst = 5;

// Ids 5 to 14 are only seen among each other, as are 15 to 24; 25 is never seen, 1 everywhere.
std::vector<std::vector<int64_t>> two_circles() {
  Random random(11);
  std::vector<std::vector<int64_t>> texts;
  for (int i = 0; i < 600; ++i) {
    std::vector<int64_t> text;
    for (int word = 0; word < 8; ++word) {
      text.push_back(5 + 10 * (i % 2) + static_cast<int64_t>(random.below(10)));
      text.push_back(1);
    }
    texts.push_back(text);
  }
  return texts;
}

SkipGramOptions options() {
  SkipGramOptions chosen;
  chosen.dim = 12;
  chosen.subsample = 0;
  return chosen;
}

double cosine(const std::vector<float>& vectors, int64_t a, int64_t b) {
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (int64_t d = 0; d < 12; ++d) {
    const double x = vectors[static_cast<size_t>(a * 12 + d)];
    const double y = vectors[static_cast<size_t>(b * 12 + d)];
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return dot / std::sqrt(aa * bb);
}

TEST(SkipGram, UnitsOfOneCompanyAreAlike) {
  const auto vectors = train_skip_gram(two_circles(), kVocabulary, kFirst, options());
  double least_alike_inside = 1;
  double most_alike_across = -1;
  for (int64_t a = 5; a < 25; ++a) {
    for (int64_t b = 5; b < a; ++b) {
      const double value = cosine(vectors, a, b);
      if ((a < 15) == (b < 15)) {
        least_alike_inside = std::min(least_alike_inside, value);
      } else {
        most_alike_across = std::max(most_alike_across, value);
      }
    }
  }
  EXPECT_GT(least_alike_inside, most_alike_across + 0.3);
}

TEST(SkipGram, WhatIsNotSeenStaysZero) {
  const auto vectors = train_skip_gram(two_circles(), kVocabulary, kFirst, options());
  for (const int64_t id : {0, 1, 4, 25}) {
    for (int64_t d = 0; d < 12; ++d) EXPECT_EQ(vectors[static_cast<size_t>(id * 12 + d)], 0);
  }
  const std::vector<std::vector<int64_t>> nothing = {{}, {1, 1}};
  const auto zeros = train_skip_gram(nothing, kVocabulary, kFirst, options());
  EXPECT_EQ(zeros, std::vector<float>(zeros.size(), 0.0F));
}

TEST(SkipGram, SeedDecides) {
  SkipGramOptions chosen = options();
  chosen.subsample = 0.01;
  const auto texts = two_circles();
  const auto first = train_skip_gram(texts, kVocabulary, kFirst, chosen);
  EXPECT_EQ(first, train_skip_gram(texts, kVocabulary, kFirst, chosen));
  chosen.seed = 2;
  EXPECT_NE(first, train_skip_gram(texts, kVocabulary, kFirst, chosen));
}

TEST(SkipGram, CtrlCStopsIt) {
  const InterruptGuard guard;
  std::raise(SIGINT);
  EXPECT_THROW(train_skip_gram(two_circles(), kVocabulary, kFirst, options()), Error);
}

}  // namespace
}  // namespace attend
