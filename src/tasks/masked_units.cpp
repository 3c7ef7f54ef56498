// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "masked_units.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/nn/linear_cross_entropy.h"

namespace attend {

std::vector<bool> draw_kept_units(int64_t units, double share, Random& random) {
  constexpr uint64_t kLongestStretch = 3;
  std::vector<bool> kept(static_cast<size_t>(units), true);
  const auto wanted = static_cast<int64_t>(std::ceil(share * static_cast<double>(units)));
  int64_t left = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, units - 1));
  while (left > 0) {
    auto unit = kept.begin() + static_cast<int64_t>(random.below(static_cast<uint64_t>(units)));
    auto stretch = 1 + random.below(kLongestStretch);
    for (; left > 0 && stretch > 0 && unit != kept.end(); ++unit, --stretch) {
      left -= *unit ? 1 : 0;
      *unit = false;
    }
  }
  return kept;
}

MaskedUnits::MaskedUnits(const MaskedUnitsOptions& options, TextClassifierWithAttention model,
                         const TextEncoder& encoder, std::vector<TextExample> texts)
    : options_(options),
      model_(std::move(model)),
      encoder_(encoder),
      texts_("texts", std::move(texts)),
      random_(options.seed),
      output_(model_->options().resolved_hidden(), model_->options().vocab_size),
      module_(std::make_shared<torch::nn::Module>()) {
  module_->register_module("model", model_.ptr());
  module_->register_module("output", output_.ptr());
}

torch::Tensor MaskedUnits::loss(std::span<const int64_t> rows) {
  std::vector<TextExample> masked;
  std::vector<int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  int64_t longest = 1;
  for (const int64_t row : rows) longest = std::max(longest, texts_.length(row));
  torch::Tensor targets =
      torch::full({static_cast<int64_t>(rows.size()), longest}, kNoTarget, torch::kInt64);
  auto target = targets.accessor<int64_t, 2>();
  for (const int64_t row : rows) {
    const TextExample& text = texts_.example(row);
    const std::vector<int64_t>& ids = text.encoding.ids;
    const std::vector<bool> kept =
        draw_kept_units(static_cast<int64_t>(ids.size()), options_.share, random_);
    const auto b = static_cast<int64_t>(masked.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      // What is unknown cannot be guessed.
      if (!kept[i] && ids[i] >= kSpecialCount) target[b][static_cast<int64_t>(i)] = ids[i];
    }
    masked.push_back(encoder_.without_units(text, {kept}, Removal::kMask).front());
  }
  TextInput input = text_input(encoder_.collate(TextDataset("", std::move(masked)), order));
  const torch::Tensor embeddings = model_->embed(input);
  input.ngram_ids = torch::Tensor();  // the wide term takes no part
  TextClassifierRequest request;
  request.keep_words = true;
  const TextClassifierOutput output = model_->forward_from_embeddings(embeddings, input, request);
  const torch::Tensor hidden = output.hidden.narrow(1, output.prepended, longest).flatten(0, 1);
  const bool rounded = model_->options().encoder.mixed_precision;
  return linear_cross_entropy(rounded ? hidden.to(torch::kBFloat16) : hidden, output_->weight,
                              output_->bias, targets.flatten());
}

}  // namespace attend
