// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate_dataset.h"

#include <algorithm>

namespace attend {
namespace {

double uniform() { return torch::rand({}, torch::kFloat64).item<double>(); }

// Uniform in [0, n).
int64_t below(int64_t n) { return std::min(n - 1, static_cast<int64_t>(uniform() * n)); }

struct Sequence {
  std::vector<int64_t> tokens;  // with the end, if there is one to predict
  int64_t first_target = 0;     // tokens[first_target] and what follows are to be predicted
  int64_t read = 0;             // tokens that the model reads: with targets all but the last
};

void append(std::vector<int64_t>& to, std::span<const int64_t> ids) {
  to.insert(to.end(), ids.begin(), ids.end());
}

}  // namespace

int64_t GenerateDataset::length(int64_t row) const {
  const GenerateExample& one = example(row);
  return 2 + static_cast<int64_t>(one.prompt_ids.ids.size() + one.text_ids.ids.size());
}

std::string GenerateDataset::input(int64_t row) const {
  const GenerateExample& one = example(row);
  return one.prompt.empty() ? one.text : one.prompt + "\t" + one.text;
}

std::string GenerateDataset::gold(int64_t row) const {
  return example(row).gold ? example(row).text : "";
}

std::string GenerateDataset::notice(int64_t row) const {
  const GenerateExample& one = example(row);
  if (one.left_out == 0) return "";
  return "the model reads the last " + std::to_string(one.text_ids.ids.size()) + " tokens; " +
         std::to_string(one.left_out) + " before them are left out (text.max_length)";
}

std::shared_ptr<Dataset> GenerateDataset::subset(std::span<const int64_t> rows) const {
  std::vector<GenerateExample> chosen;
  chosen.reserve(rows.size());
  for (const int64_t row : rows) chosen.push_back(example(row));
  return std::make_shared<GenerateDataset>(
      std::to_string(rows.size()) + " of the rows of " + description_, std::move(chosen));
}

std::vector<int64_t> SequenceLayout::opening(std::span<const int64_t> prompt) const {
  std::vector<int64_t> tokens = {kClassifyId};
  if (!prompts) return tokens;
  append(tokens, prompt);
  tokens.push_back(kSeparatorId);
  return tokens;
}

namespace {

// `random`: prompts are dropped and gaps made.
Sequence lay_out(const SequenceLayout& layout, const GenerateExample& example, bool random) {
  Sequence sequence;
  const auto drawn = [&](double share) { return random && share > 0 && uniform() < share; };
  const bool drop = layout.prompts && drawn(layout.prompt_dropout);
  sequence.tokens =
      layout.opening(drop ? std::span<const int64_t>() : std::span(example.prompt_ids.ids));
  const std::span<const int64_t> text = example.text_ids.ids;
  const bool gap = text.size() > 1 && drawn(layout.infill_share);
  if (gap) {
    const auto begin = static_cast<size_t>(below(static_cast<int64_t>(text.size())));
    const auto length = static_cast<size_t>(1 + below(static_cast<int64_t>(text.size() - begin)));
    append(sequence.tokens, text.first(begin));
    sequence.tokens.push_back(kMaskId);
    append(sequence.tokens, text.subspan(begin + length));
    sequence.tokens.push_back(kMaskId);
    sequence.first_target = static_cast<int64_t>(sequence.tokens.size());
    append(sequence.tokens, text.subspan(begin, length));
  } else {
    sequence.first_target = static_cast<int64_t>(sequence.tokens.size());
    append(sequence.tokens, text);
  }
  if (example.gold && (example.whole || gap)) sequence.tokens.push_back(kSeparatorId);
  sequence.read = static_cast<int64_t>(sequence.tokens.size()) - (example.gold ? 1 : 0);
  return sequence;
}

}  // namespace

Batch SequenceLayout::collate(const GenerateDataset& data, std::span<const int64_t> rows,
                              bool training) const {
  const auto size = static_cast<int64_t>(rows.size());
  std::vector<Sequence> sequences;
  bool gold = true;
  int64_t longest = 1;
  for (const int64_t row : rows) {
    const GenerateExample& example = data.example(row);
    gold = gold && example.gold;
    sequences.push_back(lay_out(*this, example, training && example.gold));
    longest = std::max(longest, sequences.back().read);
  }
  torch::Tensor tokens = torch::full({size, longest}, kPaddingId, torch::kInt64);
  torch::Tensor targets = torch::full({size, longest}, kNoTarget, torch::kInt64);
  torch::Tensor lengths = torch::empty({size}, torch::kInt64);
  torch::Tensor characters = torch::empty({size}, torch::kInt64);
  for (int64_t b = 0; b < size; ++b) {
    const GenerateExample& example = data.example(rows[static_cast<size_t>(b)]);
    const Sequence& sequence = sequences[static_cast<size_t>(b)];
    auto* token = tokens.data_ptr<int64_t>() + b * longest;
    auto* target = targets.data_ptr<int64_t>() + b * longest;
    std::copy_n(sequence.tokens.begin(), sequence.read, token);
    for (size_t unit = 0; unit < example.removed.size(); ++unit) {
      if (example.removed[unit]) token[unit + 1] = kPaddingId;
    }
    const auto all = static_cast<int64_t>(sequence.tokens.size());
    for (int64_t i = sequence.first_target; example.gold && i < all; ++i) {
      target[i - 1] = sequence.tokens[static_cast<size_t>(i)];
    }
    lengths.data_ptr<int64_t>()[b] = sequence.read;
    characters.data_ptr<int64_t>()[b] = example.characters;
  }
  Batch batch;
  batch.size = size;
  batch.inputs = {{"tokens", tokens}, {"lengths", lengths}, {"characters", characters}};
  if (gold) batch.targets = targets;
  return batch;
}

}  // namespace attend
