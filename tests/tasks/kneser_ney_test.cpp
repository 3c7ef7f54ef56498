// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/kneser_ney.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace attend {
namespace {

using Text = std::vector<int32_t>;
using Texts = std::vector<Text>;

Texts random_texts(uint64_t seed, int count, uint64_t vocabulary) {
  Random random(seed);
  Texts texts(static_cast<size_t>(count));
  for (Text& text : texts) {
    text.resize(random.below(9));
    for (auto& symbol : text) {
      // Uneven, so that counts of 1 to 4 and more all occur.
      symbol = static_cast<int32_t>(random.below(1 + random.below(vocabulary)));
    }
  }
  return texts;
}

KneserNeyOptions with_discount(int64_t order, int64_t vocabulary, double discount) {
  return {order, vocabulary, {discount, discount, discount}};
}

// "a b a", "a c" with a = 0, b = 1, c = 2 and a fourth symbol that never occurs. Bigrams: Ba 2, ab
// 1, ba 1, aE 1, ac 1, cE 1. Distinct symbols before a unigram: a 2 (B, b), b 1, c 1, E 2 (a, c);
// six in all. Discount 1/2.
TEST(KneserNey, EqualsAComputationByHand) {
  const KneserNey model(with_discount(2, 4, 0.5), Texts{{0, 1, 0}, {0, 2}});
  const double base = 0.5 * 4 / 6 / 5;  // what the unigrams leave, over five outcomes
  const double a = 1.5 / 6 + base, b = 0.5 / 6 + base, end = 1.5 / 6 + base;
  EXPECT_NEAR(model.probability({}, 0), 1.5 / 2 + 0.5 / 2 * a, 1e-12);
  EXPECT_NEAR(model.probability({}, 1), 0.5 / 2 * b, 1e-12);
  // Behind a: b, c and the end once each.
  EXPECT_NEAR(model.probability(Text{0}, 1), 0.5 / 3 + 1.5 / 3 * b, 1e-12);
  EXPECT_NEAR(model.probability(Text{0}, model.end_symbol()), 0.5 / 3 + 1.5 / 3 * end, 1e-12);
  EXPECT_NEAR(model.probability(Text{0}, 3), 1.5 / 3 * base, 1e-12);
  // Nothing was ever seen behind the fourth symbol.
  EXPECT_NEAR(model.probability(Text{3}, 0), a, 1e-12);
  EXPECT_NEAR(model.log_likelihood(Text{0}),
              std::log(1.5 / 2 + 0.5 / 2 * a) + std::log(0.5 / 3 + 1.5 / 3 * end), 1e-12);
  EXPECT_NEAR(perplexity(model, Texts{{0}}), std::exp(-model.log_likelihood(Text{0}) / 2), 1e-12);
}

// The definition, by maps and recursion.
class SlowModel {
 public:
  SlowModel(int64_t order, int64_t vocabulary, double discount, const Texts& texts)
      : order_(order), vocabulary_(vocabulary), discount_(discount) {
    for (const Text& inner : texts) {
      Text text = {kBegin};
      text.insert(text.end(), inner.begin(), inner.end());
      text.push_back(static_cast<int32_t>(vocabulary));
      for (size_t begin = 0; begin < text.size(); ++begin) {
        for (size_t end = begin + 1; end <= text.size(); ++end) {
          const Text gram(text.begin() + static_cast<long>(begin),
                          text.begin() + static_cast<long>(end));
          ++seen_[gram];
          if (begin > 0) before_[gram].insert(text[begin - 1]);
        }
      }
    }
  }

  double probability(const Text& text, int32_t symbol) const {
    Text context = {kBegin};
    context.insert(context.end(), text.begin(), text.end());
    const auto keep = std::min<size_t>(context.size(), static_cast<size_t>(order_ - 1));
    return recursive(Text(context.end() - static_cast<long>(keep), context.end()), symbol);
  }

 private:
  static constexpr int32_t kBegin = 1000;

  double count(const Text& gram) const {
    if (static_cast<int64_t>(gram.size()) == order_ || gram[0] == kBegin) {
      const auto found = seen_.find(gram);
      return found == seen_.end() ? 0 : found->second;
    }
    const auto found = before_.find(gram);
    return found == before_.end() ? 0 : static_cast<double>(found->second.size());
  }

  double recursive(const Text& context, int32_t symbol) const {
    double total = 0, kinds = 0, own = 0;
    for (int32_t s = 0; s <= vocabulary_; ++s) {
      Text gram = context;
      gram.push_back(s);
      const double c = count(gram);
      total += c;
      kinds += c > 0;
      if (s == symbol) own = c;
    }
    const double lower = context.empty()
                             ? 1.0 / static_cast<double>(vocabulary_ + 1)
                             : recursive(Text(context.begin() + 1, context.end()), symbol);
    if (total == 0) return lower;
    return std::max(0.0, own - discount_) / total + discount_ * kinds / total * lower;
  }

  int64_t order_, vocabulary_;
  double discount_;
  std::map<Text, double> seen_;
  std::map<Text, std::set<int32_t>> before_;
};

TEST(KneserNey, EqualsTheDefinitionByRecursion) {
  for (const int64_t order : {1, 2, 3, 5}) {
    const Texts texts = random_texts(static_cast<uint64_t>(order), 30, 5);
    const KneserNey model(with_discount(order, 5, 0.7), texts);
    const SlowModel slow(order, 5, 0.7, texts);
    for (const Text& text : random_texts(99, 20, 5)) {
      for (int32_t symbol = 0; symbol <= 5; ++symbol) {
        EXPECT_NEAR(model.probability(text, symbol), slow.probability(text, symbol), 1e-12)
            << "order " << order;
      }
    }
  }
}

TEST(KneserNey, SumsToOneInEveryContext) {
  const Texts texts = random_texts(3, 400, 12);
  const KneserNey model({5, 14, {-1, -1, -1}}, texts);
  for (int64_t order = 1; order <= 5; ++order) {
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_GE(model.discounts(order)[i], 0);
      EXPECT_LE(model.discounts(order)[i], static_cast<double>(i + 1));
    }
  }
  for (const Text& text : random_texts(4, 60, 14)) {
    const auto p = model.distribution(text);
    ASSERT_EQ(p.size(), 15u);
    EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1, 1e-12);
    for (int32_t symbol = 0; symbol <= 14; ++symbol) {
      EXPECT_GT(p[static_cast<size_t>(symbol)], 0);
      EXPECT_NEAR(model.probability(text, symbol), p[static_cast<size_t>(symbol)], 1e-15);
    }
  }
}

// Unigrams 0 to 9 with 1, 1, 1, 1, 2, 2, 2, 3, 3 and 4 occurrences, and 10 ends: n1 = 4, n2 = 3,
// n3 = 2, n4 = 1, Y = 0.4.
TEST(KneserNey, DiscountsAreThoseOfChenAndGoodman) {
  Texts texts(10);
  const int counts[] = {1, 1, 1, 1, 2, 2, 2, 3, 3, 4};
  for (int32_t symbol = 0; symbol < 10; ++symbol) {
    for (int i = 0; i < counts[symbol]; ++i) texts[0].push_back(symbol);
  }
  const KneserNey model({1, 10, {-1, -1, -1}}, texts);
  EXPECT_NEAR(model.discounts(1)[0], 1 - 2 * 0.4 * 3 / 4, 1e-12);
  EXPECT_NEAR(model.discounts(1)[1], 2 - 3 * 0.4 * 2 / 3, 1e-12);
  EXPECT_NEAR(model.discounts(1)[2], 3 - 4 * 0.4 * 1 / 2, 1e-12);
}

TEST(KneserNey, SamplesFollowTheDistribution) {
  const KneserNey model(with_discount(3, 4, 0.5), random_texts(5, 40, 4));
  Random random(11);
  const int draws = 40000;
  std::vector<double> first(5, 0);
  for (int i = 0; i < draws; ++i) {
    const Text text = model.sample(random, 6);
    EXPECT_LE(text.size(), 6u);
    ++first[static_cast<size_t>(text.empty() ? model.end_symbol() : text[0])];
  }
  const auto p = model.distribution({});
  for (size_t i = 0; i < p.size(); ++i) {
    // Five standard deviations.
    EXPECT_NEAR(first[i] / draws, p[i], 5 * std::sqrt(p[i] * (1 - p[i]) / draws)) << i;
  }
}

TEST(KneserNey, WithoutTextsEverythingIsEquallyLikely) {
  const KneserNey model({5, 3, {-1, -1, -1}}, Texts{});
  EXPECT_NEAR(model.probability(Text{1, 2}, 0), 0.25, 1e-12);
  Random random(1);
  EXPECT_LE(model.sample(random, 3).size(), 3u);
}

}  // namespace
}  // namespace attend
