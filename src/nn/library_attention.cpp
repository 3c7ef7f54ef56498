// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "library_attention.h"

#include "attention_masks.h"

#define ATTEND_LIBRARY_ATTENTION \
  (TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 5))

#if ATTEND_LIBRARY_ATTENTION
#include <ATen/ops/scaled_dot_product_attention.h>
#endif

namespace attend::detail {

#if ATTEND_LIBRARY_ATTENTION
torch::Tensor library_attention_anywhere(const torch::Tensor& query, const torch::Tensor& key,
                                         const torch::Tensor& value,
                                         const AttentionArguments& arguments) {
  if (arguments.statistics.any() || arguments.sink.defined()) return {};
  const bool grouped = query.size(1) != key.size(1);
  const bool only_causal = arguments.causal && arguments.query_offset == 0 &&
                           arguments.window_left < 0 && !arguments.query_lengths.defined() &&
                           !arguments.key_lengths.defined() && !arguments.bias.defined() &&
                           !arguments.distance_bias.defined() && !arguments.alibi_slopes.defined();
  ScoreTerms terms;
  std::optional<torch::Tensor> mask;
  if (!only_causal) {
    terms = score_terms(query, key, arguments);
    if (terms.bias_forbids) return {};  // rows that it kills show in the scores alone
    for (const torch::Tensor& term : {terms.by_head, terms.bias, terms.by_batch}) {
      if (term.defined()) mask = mask ? *mask + term : term;
    }
    if (mask) {
      mask = mask->to(query.scalar_type())
                 .expand({query.size(0), query.size(1), query.size(2), key.size(2)});
    }
  }
  const torch::Tensor output = at::scaled_dot_product_attention(
      query, key, value, mask, arguments.dropout, only_causal, arguments.scale, grouped);
  return terms.dead_rows.defined() ? output.masked_fill(terms.dead_rows, 0) : output;
}
#else
torch::Tensor library_attention_anywhere(const torch::Tensor&, const torch::Tensor&,
                                         const torch::Tensor&, const AttentionArguments&) {
  return {};
}
#endif

torch::Tensor library_attention(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const AttentionArguments& arguments) {
  if (query.is_cpu()) return {};
  return library_attention_anywhere(query, key, value, arguments);
}

}  // namespace attend::detail
