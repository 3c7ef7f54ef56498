// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/self_attention.h"

#include "attend/nn/attention_function.h"
#include "option_checks.h"
#include "projection.h"

namespace attend {

SelfAttentionImpl::SelfAttentionImpl(int64_t hidden_size) : hidden_size_(hidden_size) {
  detail::require_at_least("hidden_size", hidden_size, 1);
  query_ = register_module("query", detail::projection(hidden_size, hidden_size));
  key_ = register_module("key", detail::projection(hidden_size, hidden_size));
  value_ = register_module("value", detail::projection(hidden_size, hidden_size));
  output_ = register_module("output", detail::projection(hidden_size, hidden_size));
}

SelfAttentionOutput SelfAttentionImpl::forward(const torch::Tensor& input,
                                               const torch::Tensor& lengths, bool want_weights) {
  TORCH_CHECK((input.dim() == 2 || input.dim() == 3) && input.size(-1) == hidden_size_,
              "SelfAttention: input must be [batch, length, ", hidden_size_, "] or [length, ",
              hidden_size_, "], got ", input.sizes());
  const bool single = input.dim() == 2;
  const torch::Tensor batch = single ? input.unsqueeze(0) : input;
  AttentionArguments arguments;
  arguments.query_lengths = lengths;
  arguments.key_lengths = lengths;
  arguments.statistics.weights = want_weights;
  // One head: the head axis of size 1 goes between batch and length.
  const AttentionResult result =
      attention(query_->forward(batch).unsqueeze(1), key_->forward(batch).unsqueeze(1),
                value_->forward(batch).unsqueeze(1), arguments);
  SelfAttentionOutput output{output_->forward(result.output.squeeze(1)), {}};
  if (want_weights) output.weights = result.statistics.weights.squeeze(1);
  if (single) {
    output.output = output.output.squeeze(0);
    if (want_weights) output.weights = output.weights.squeeze(0);
  }
  return output;
}

}  // namespace attend
