// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "../../src/tasks/masked_units.h"

#include <gtest/gtest.h>
#include <torch/optim/adam.h>

#include <algorithm>

namespace attend {
namespace {

TEST(MaskedUnits, TheAskedShareGoesAnywhere) {
  Random random(3);
  for (const int64_t units : {1, 2, 3, 7, 40}) {
    for (const double share : {0.01, 0.3, 0.99}) {
      std::vector<int> times_gone(static_cast<size_t>(units), 0);
      for (int draw = 0; draw < 300; ++draw) {
        const std::vector<bool> kept = draw_kept_units(units, share, random);
        ASSERT_EQ(static_cast<int64_t>(kept.size()), units);
        const auto gone = std::count(kept.begin(), kept.end(), false);
        const auto wanted = static_cast<int64_t>(std::ceil(share * static_cast<double>(units)));
        ASSERT_EQ(gone, std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, units - 1)));
        for (size_t i = 0; i < kept.size(); ++i) times_gone[i] += kept[i] ? 0 : 1;
      }
      for (const int times : times_gone) EXPECT_GT(times, 0) << units << " " << share;
    }
  }
}

// Half of the units that go have a neighbour that went: single ones would leave too much of a word.
TEST(MaskedUnits, UnitsGoInStretches) {
  Random random(3);
  int gone = 0, alone = 0;
  for (int draw = 0; draw < 300; ++draw) {
    const std::vector<bool> kept = draw_kept_units(100, 0.1, random);
    for (size_t i = 1; i + 1 < kept.size(); ++i) {
      gone += kept[i] ? 0 : 1;
      alone += !kept[i] && kept[i - 1] && kept[i + 1] ? 1 : 0;
    }
  }
  EXPECT_LT(alone, gone / 4);
}

/// Texts in which either of two words says what the other is.
class Pairs {
 public:
  explicit Pairs(const TextClassifierOptions& model_options = {}, double share = 0.4) {
    const char* pairs[] = {"salt pepper", "sun moon", "king queen", "left right"};
    std::vector<std::string> texts;
    for (int i = 0; i < 40; ++i) texts.push_back(pairs[i % 4]);
    NgramOptions ngrams;
    ngrams.char_max = 3;
    ngrams.char_min = 1;
    encoder.ngrams = NgramVocabulary::build(ngrams, texts);
    TokenizerOptions tokenizer;
    tokenizer.kind = TokenizerKind::kWord;
    encoder.tokenizer = train_tokenizer(tokenizer, texts);
    TextClassifierOptions options = model_options;
    options.vocab_size = encoder.tokenizer->vocab_size();
    options.embedding_dim = options.output_size = 8;
    options.ngram_features = encoder.ngrams.size();
    options.ngram_deep = true;
    options.dropout = options.embedding_dropout = options.encoder.dropout = 0;
    options.encoder.heads = 2;
    torch::manual_seed(1);
    model = TextClassifierWithAttention(options);
    std::vector<TextExample> examples;
    for (const std::string& text : texts) examples.push_back(encoder.encode(text));
    MaskedUnitsOptions work_options;
    work_options.share = share;
    work = std::make_unique<MaskedUnits>(work_options, model, encoder, std::move(examples));
  }

  TextEncoder encoder;
  TextClassifierWithAttention model{nullptr};
  std::unique_ptr<MaskedUnits> work;
};

constexpr int64_t kRows[] = {0, 1, 2, 3, 4, 5, 6, 7};

// The mean loss of the last updates.
double loss_after_training(MaskedUnits& work) {
  torch::optim::Adam optimizer(work.module()->parameters(), 0.02);
  double loss = 0;
  for (int step = 0; step < 150; ++step) {
    optimizer.zero_grad();
    const torch::Tensor value = work.loss(kRows);
    value.backward();
    optimizer.step();
    if (step >= 140) loss += value.item<double>() / 10;
  }
  return loss;
}

TEST(MaskedUnits, AnUntrainedModelGuesses) {
  Pairs pairs;
  const auto vocabulary = static_cast<double>(pairs.encoder.tokenizer->vocab_size());
  EXPECT_NEAR(pairs.work->loss(kRows).item<double>(), std::log(vocabulary), 1.0);
}

// The word that is left says the masked one, so the loss falls towards none.
TEST(MaskedUnits, LearnsWhichWordsGoTogether) {
  for (const PoolingKind kind : {PoolingKind::kAttention, PoolingKind::kCls}) {
    TextClassifierOptions options;
    options.pooling.kind = kind;
    Pairs pairs(options);
    EXPECT_LT(loss_after_training(*pairs.work), 0.1);
  }
}

// With nothing left to go by, only what is frequent can be learnt: neither the word nor its n-grams
// may shine through the mask. Eight words are equally frequent, so that no loss is below log 8.
TEST(MaskedUnits, AMaskedUnitDoesNotGiveItselfAway) {
  Pairs pairs;
  std::vector<TextExample> words;
  for (const char* word : {"salt", "pepper", "sun", "moon", "king", "queen", "left", "right"}) {
    words.push_back(pairs.encoder.encode(word));
  }
  MaskedUnits work({}, pairs.model, pairs.encoder, std::move(words));
  EXPECT_NEAR(loss_after_training(work), std::log(8.0), 0.05);
}

TEST(MaskedUnits, LeavesPoolingOutputAndTheWideTermAlone) {
  Pairs pairs;
  pairs.work->loss(kRows).backward();
  for (const auto& entry : pairs.model->named_parameters()) {
    const bool learns = entry.key().starts_with("embedding") ||
                        entry.key().starts_with("encoder") || entry.key() == "ngram_deep.weight";
    const torch::Tensor& gradient = entry.value().grad();
    EXPECT_EQ(gradient.defined() && gradient.abs().sum().item<double>() > 0, learns) << entry.key();
  }
}

}  // namespace
}  // namespace attend
