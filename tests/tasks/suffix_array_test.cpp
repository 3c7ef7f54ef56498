// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/suffix_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "attend/base/random.h"

namespace attend {
namespace {

using Symbols = std::vector<int32_t>;

Symbols symbols(const std::string& text) { return {text.begin(), text.end()}; }

// By looking at every place.
int64_t slow_count(const Symbols& text, const Symbols& stretch) {
  int64_t found = 0;
  for (size_t i = 0; i + stretch.size() <= text.size(); ++i) {
    found += std::equal(stretch.begin(), stretch.end(), text.begin() + static_cast<long>(i));
  }
  return found;
}

TEST(SuffixArray, OrdersBanana) {
  const SuffixArray array(symbols("banana"));
  EXPECT_EQ(Symbols(array.order().begin(), array.order().end()), (Symbols{5, 3, 1, 0, 4, 2}));
  EXPECT_EQ(array.count(symbols("ana")), 2);
  EXPECT_EQ(array.count(symbols("nab")), 0);
  EXPECT_EQ(array.count({}), 0);
  EXPECT_EQ(array.longest_prefix(symbols("nanas")), 4);
  EXPECT_EQ(array.longest_prefix(symbols("x")), 0);
}

TEST(SuffixArray, AnswersAsALinearSearchOnRandomTexts) {
  Random random(7);
  for (int trial = 0; trial < 60; ++trial) {
    Symbols text(random.below(80));
    const uint64_t kinds = 1 + random.below(4);  // few, so that repeats are long
    for (auto& symbol : text) symbol = static_cast<int32_t>(random.below(kinds));
    const SuffixArray array(text);
    Symbols order(array.order().begin(), array.order().end());
    for (size_t i = 1; i < order.size(); ++i) {
      EXPECT_TRUE(std::lexicographical_compare(text.begin() + order[i - 1], text.end(),
                                               text.begin() + order[i], text.end()));
    }
    std::sort(order.begin(), order.end());
    Symbols all(text.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(order, all);
    for (int query = 0; query < 20; ++query) {
      Symbols stretch(1 + random.below(7));
      for (auto& symbol : stretch) symbol = static_cast<int32_t>(random.below(kinds));
      EXPECT_EQ(array.count(stretch), slow_count(text, stretch));
      size_t longest = stretch.size();
      while (longest > 0 &&
             slow_count(text, Symbols(stretch.begin(),
                                      stretch.begin() + static_cast<long>(longest))) == 0) {
        --longest;
      }
      EXPECT_EQ(array.longest_prefix(stretch), static_cast<int64_t>(longest));
    }
  }
}

TEST(SuffixArray, MatchesDoNotReachAcrossDocuments) {
  const SuffixArray array(Symbols{1, 2, -1, 3, 4, -1});
  EXPECT_EQ(array.longest_prefix(Symbols{1, 2, 3}), 2);
  EXPECT_EQ(array.longest_prefix(Symbols{2, -1, 3}), 1);
  EXPECT_EQ(array.count(Symbols{2, -1}), 0);
  EXPECT_EQ(array.count(Symbols{3, 4}), 1);
}

}  // namespace
}  // namespace attend
