// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "attend/base/error.h"

namespace attend {
namespace {

constexpr int64_t kStart = 0, kEnd = 1, kVocabulary = 5;

// Logits that depend on a sequence's group and its last two tokens, drawn at random.
class TinyModel : public NextTokenModel {
 public:
  explicit TinyModel(int64_t groups, uint64_t seed = 1) {
    torch::manual_seed(seed);
    table_ = torch::randn({groups, kVocabulary, kVocabulary, kVocabulary}) * 1.5;
    for (int64_t group = 0; group < groups; ++group) sequences_.push_back({group, {}});
    groups_ = groups;
  }

  torch::Tensor next(const torch::Tensor& tokens) override {
    EXPECT_EQ(tokens.size(0), static_cast<int64_t>(sequences_.size()));
    most_ = std::max(most_, tokens.size(0));
    std::vector<torch::Tensor> rows;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      sequences_[i].tokens.push_back(tokens[static_cast<int64_t>(i)].item<int64_t>());
      rows.push_back(logits(sequences_[i].group, sequences_[i].tokens));
    }
    read_ += static_cast<int64_t>(sequences_.size());
    return torch::stack(rows);
  }

  void keep(const torch::Tensor& rows, const torch::Tensor& groups) override {
    EXPECT_LE(groups.size(0), groups_);
    EXPECT_EQ(rows.size(0) % groups.size(0), 0);
    const auto before = static_cast<int64_t>(sequences_.size());
    for (int64_t i = 0; rows.size(0) <= before && i < rows.size(0); ++i) {
      const auto from = rows[i].item<int64_t>();
      // What is still to be copied may not have moved.
      moves_in_place_ &= from >= rows.size(0) || rows[from].item<int64_t>() == from;
      copies_ += from != i ? 1 : 0;
      kept_ += 1;
    }
    std::vector<Sequence> kept;
    for (int64_t i = 0; i < rows.size(0); ++i) {
      kept.push_back(sequences_.at(static_cast<size_t>(rows[i].item<int64_t>())));
    }
    sequences_ = std::move(kept);
    groups_ = groups.size(0);
  }

  torch::Tensor logits(int64_t group, const std::vector<int64_t>& tokens) const {
    const int64_t last = tokens.back();
    const int64_t before = tokens.size() > 1 ? tokens[tokens.size() - 2] : kStart;
    return table_[group][before][last].clone();
  }

  int64_t read() const { return read_; }
  bool moves_in_place() const { return moves_in_place_; }
  double share_copied() const { return static_cast<double>(copies_) / static_cast<double>(kept_); }

 private:
  struct Sequence {
    int64_t group;
    std::vector<int64_t> tokens;
  };
  torch::Tensor table_;
  std::vector<Sequence> sequences_;
  int64_t groups_ = 0;
  int64_t read_ = 0;
  int64_t most_ = 0;
  int64_t copies_ = 0, kept_ = 0;
  bool moves_in_place_ = true;
};

SearchOptions options_of(int64_t beam, int64_t max_length) {
  SearchOptions options;
  options.beam = beam;
  options.max_length = {max_length};
  options.start = kStart;
  options.end = kEnd;
  options.forbidden = {kStart};
  return options;
}

// Every sequence up to `max_length` tokens, the end counted; unfinished ones only at that length.
void enumerate(const TinyModel& model, int64_t group, const SearchOptions& options,
               std::vector<int64_t> tokens, double log_probability, std::vector<Hypothesis>& all) {
  std::vector<int64_t> read{kStart};
  read.insert(read.end(), tokens.begin(), tokens.end());
  torch::Tensor logits = model.logits(group, read);
  logits[kStart] = -INFINITY;
  const torch::Tensor step = torch::log_softmax(logits, 0);
  const auto length = static_cast<int64_t>(tokens.size()) + 1;
  for (int64_t token = 1; token < kVocabulary; ++token) {
    Hypothesis one;
    one.tokens = tokens;
    one.log_probability = log_probability + step[token].item<double>();
    one.score = one.log_probability / std::pow(length, options.length_penalty);
    if (token == kEnd) {
      all.push_back(one);
      continue;
    }
    one.tokens.push_back(token);
    if (length == options.max_length[0]) {
      all.push_back(one);
    } else {
      enumerate(model, group, options, one.tokens, one.log_probability, all);
    }
  }
}

TEST(BeamSearch, AWideBeamFindsTheBestOfAllSequences) {
  for (const double penalty : {0.0, 0.6, 1.0, 2.0}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      constexpr int64_t kGroups = 3;
      SearchOptions options = options_of(64, 4);
      options.exact = true;
      options.best = 4;
      options.length_penalty = penalty;
      TinyModel model(kGroups, seed);
      const TinyModel reference(kGroups, seed);
      const auto results = search(model, kGroups, options);
      for (int64_t group = 0; group < kGroups; ++group) {
        std::vector<Hypothesis> all;
        enumerate(reference, group, options, {}, 0, all);
        std::sort(all.begin(), all.end(), [](const Hypothesis& left, const Hypothesis& right) {
          return left.score > right.score;
        });
        const auto& found = results[static_cast<size_t>(group)];
        ASSERT_EQ(found.size(), 4u);
        for (size_t i = 0; i < 4; ++i) {
          EXPECT_EQ(found[i].tokens, all[i].tokens) << "penalty " << penalty;
          EXPECT_NEAR(found[i].score, all[i].score, 1e-5);
        }
      }
    }
  }
}

// The model can move its sequences in their own memory, and leaves most where they are.
TEST(BeamSearch, FirstChildrenTakeTheirParentsPlaces) {
  TinyModel model(8);
  search(model, 8, options_of(3, 12));
  EXPECT_TRUE(model.moves_in_place());
  EXPECT_LT(model.share_copied(), 0.6);
}

TEST(BeamSearch, AWiderBeamIsNotWorseOnAverage) {
  double narrow = 0, wide = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    TinyModel first(1, seed), second(1, seed);
    narrow += search(first, 1, options_of(1, 8))[0][0].score;
    wide += search(second, 1, options_of(5, 8))[0][0].score;
  }
  EXPECT_GT(wide, narrow);
}

TEST(BeamSearch, GroupsDoNotDisturbEachOther) {
  SearchOptions options = options_of(3, 6);
  options.max_length = {6, 2, 4};
  options.best = 3;
  TinyModel together(3);
  const auto results = search(together, 3, options);
  for (int64_t group = 0; group < 3; ++group) {
    TinyModel three(3);
    three.keep(torch::tensor({group}), torch::tensor({group}));
    SearchOptions alone = options;
    alone.max_length = {options.max_length[static_cast<size_t>(group)]};
    const auto one = search(three, 1, alone)[0];
    const auto& other = results[static_cast<size_t>(group)];
    ASSERT_EQ(one.size(), other.size());
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i].tokens, other[i].tokens);
      EXPECT_DOUBLE_EQ(one[i].score, other[i].score);
      EXPECT_LE(static_cast<int64_t>(one[i].log_probabilities.size()), alone.max_length[0]);
    }
  }
}

TEST(Search, GreedyTakesTheMostProbable) {
  TinyModel model(1);
  const TinyModel reference(1);
  std::vector<std::pair<int64_t, int64_t>> streamed;
  SearchOptions options = options_of(1, 6);
  options.stream = [&](int64_t group, int64_t token) { streamed.push_back({group, token}); };
  const Hypothesis found = search(model, 1, options)[0][0];
  std::vector<int64_t> read{kStart};
  double sum = 0;
  for (const auto& [group, token] : streamed) {
    torch::Tensor logits = reference.logits(0, read);
    logits[kStart] = -INFINITY;
    EXPECT_EQ(logits.argmax().item<int64_t>(), token);
    sum += torch::log_softmax(logits, 0)[token].item<double>();
    read.push_back(token);
  }
  EXPECT_NEAR(found.log_probability, sum, 1e-5);
  EXPECT_EQ(found.finished, streamed.back().second == kEnd);
}

TEST(Search, SamplesFollowTheDistribution) {
  SearchOptions options = options_of(1, 1);
  options.sample = true;
  options.best = 20000;
  options.temperature = 1.5;
  TinyModel model(1);
  std::map<int64_t, double> share;
  const auto samples = search(model, 1, options)[0];
  for (const Hypothesis& one : samples) {
    share[one.tokens.empty() ? kEnd : one.tokens[0]] += 1.0 / 20000;
  }
  torch::Tensor logits = TinyModel(1).logits(0, {kStart});
  logits[kStart] = -INFINITY;
  const torch::Tensor expected = torch::softmax(logits / 1.5, 0);
  for (int64_t token = 1; token < kVocabulary; ++token) {
    // Four standard deviations of a share.
    const double p = expected[token].item<double>();
    EXPECT_NEAR(share[token], p, 4 * std::sqrt(p * (1 - p) / 20000)) << token;
  }
}

TEST(Search, CutsLeaveTheLikeliestTokens) {
  torch::Tensor logits = TinyModel(1).logits(0, {kStart});
  logits[kStart] = -INFINITY;
  const auto [probability, order] = torch::softmax(logits, 0).sort(0, /*descending=*/true);
  const auto allowed = [&](const SearchOptions& options) {
    TinyModel model(1);
    std::vector<bool> seen(kVocabulary);
    const auto samples = search(model, 1, options)[0];
    for (const Hypothesis& one : samples) {
      seen[static_cast<size_t>(one.tokens.empty() ? kEnd : one.tokens[0])] = true;
    }
    std::vector<bool> ranked;
    for (int64_t i = 0; i < kVocabulary - 1; ++i) {
      ranked.push_back(seen[static_cast<size_t>(order[i].item<int64_t>())]);
    }
    return ranked;
  };
  SearchOptions options = options_of(1, 1);
  options.sample = true;
  options.best = 3000;
  options.temperature = 5;  // flat enough for every allowed token to be drawn
  options.top_k = 2;
  EXPECT_EQ(allowed(options), (std::vector<bool>{true, true, false, false}));
  options.top_k = 0;
  const torch::Tensor flat =
      std::get<0>(torch::softmax(logits / 5, 0).sort(0, /*descending=*/true));
  options.top_p = (flat[0] + flat[1]).item<double>() + 1e-3;
  EXPECT_EQ(allowed(options), (std::vector<bool>{true, true, true, false}));
  options.top_p = 1;
  options.min_p = (flat[1] / flat[0]).item<double>() - 1e-3;
  EXPECT_EQ(allowed(options), (std::vector<bool>{true, true, false, false}));
}

TEST(Search, ASeedRepeatsDrawsWhateverTheBatch) {
  SearchOptions options = options_of(1, 8);
  options.sample = true;
  options.best = 4;
  options.seed = 7;
  TinyModel first(2), second(2), third(2);
  const auto results = search(first, 2, options);
  EXPECT_EQ(search(second, 2, options)[1][0].tokens, results[1][0].tokens);
  // The second group alone.
  third.keep(torch::tensor({1}), torch::tensor({1}));
  options.first_group = 1;
  const auto alone = search(third, 1, options)[0];
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(alone[i].tokens, results[1][i].tokens);
}

TEST(Search, RepetitionIsHeldBack) {
  SearchOptions options = options_of(1, 6);
  options.min_length = 6;
  options.no_repeat_ngram = 2;
  for (const int64_t beam : {1, 3}) {
    options.beam = beam;
    TinyModel model(1);
    const auto tokens = search(model, 1, options)[0][0].tokens;
    std::map<std::pair<int64_t, int64_t>, int> pairs;
    for (size_t i = 1; i < tokens.size(); ++i) ++pairs[{tokens[i - 1], tokens[i]}];
    for (const auto& [pair, count] : pairs) EXPECT_EQ(count, 1);
  }
  options.no_repeat_ngram = 0;
  options.beam = 1;
  const auto distinct = [&](double penalty) {
    options.repetition_penalty = penalty;
    TinyModel model(1);
    auto tokens = search(model, 1, options)[0][0].tokens;
    std::sort(tokens.begin(), tokens.end());
    return std::unique(tokens.begin(), tokens.end()) - tokens.begin();
  };
  EXPECT_GE(distinct(50), distinct(1));
  EXPECT_EQ(distinct(1e6), 3);  // every token but start and end
}

TEST(Search, AForbiddenVocabularyEndsASequence) {
  for (const int64_t beam : {1, 3}) {
    SearchOptions options = options_of(beam, 10);
    options.adjust = [](int64_t, std::span<const int64_t> tokens, std::span<float> logits) {
      if (tokens.size() == 2) std::fill(logits.begin(), logits.end(), -INFINITY);
      logits[kEnd] = -INFINITY;
    };
    TinyModel model(2);
    for (const auto& found : search(model, 2, options)) {
      ASSERT_FALSE(found.empty());
      EXPECT_EQ(found[0].tokens.size(), 2u);
      EXPECT_FALSE(found[0].finished);
      EXPECT_TRUE(std::isfinite(found[0].score));
    }
  }
}

TEST(Search, AdjustAndStopAreAsked) {
  SearchOptions options = options_of(1, 10);
  options.adjust = [](int64_t, std::span<const int64_t> tokens, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), -INFINITY);
    logits[tokens.size() % 2 == 0 ? 2 : 3] = 0;
  };
  options.stop = [](int64_t, std::span<const int64_t> tokens) { return tokens.size() == 5; };
  TinyModel model(1);
  const Hypothesis found = search(model, 1, options)[0][0];
  EXPECT_EQ(found.tokens, (std::vector<int64_t>{2, 3, 2, 3, 2}));
  EXPECT_TRUE(found.finished);
  EXPECT_NEAR(found.log_probability, 0, 1e-9);
}

TEST(Search, RefusesWhatCannotBe) {
  const auto refused = [](const std::function<void(SearchOptions&)>& change) {
    SearchOptions options = options_of(2, 5);
    change(options);
    try {
      check_options(options, 10);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused([](SearchOptions&) {}), "");
  EXPECT_EQ(refused([](SearchOptions& o) { o.beam = 11; }),
            "beam is 11; it must be at most the vocabulary's 10 tokens");
  EXPECT_NE(refused([](SearchOptions& o) { o.best = 3; }).find("at most the beam (2)"),
            std::string::npos);
  EXPECT_NE(refused([](SearchOptions& o) { o.temperature = 0; }), "");
  EXPECT_NE(refused([](SearchOptions& o) { o.top_p = 1.5; }), "");
  EXPECT_NE(refused([](SearchOptions& o) { o.sample = true; }), "");
}

}  // namespace
}  // namespace attend
