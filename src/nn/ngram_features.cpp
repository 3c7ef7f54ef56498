// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/ngram_features.h"

#include "option_checks.h"

namespace attend {

NgramTableImpl::NgramTableImpl(const NgramTableOptions& table_options) : options_(table_options) {
  detail::require_at_least("ngram features", options_.features, 1);
  detail::require_at_least("ngram table size", options_.size, 1);
  detail::require_probability("ngram_dropout", options_.dropout);
  weight_ = register_parameter("weight", torch::zeros({options_.features, options_.size}));
}

torch::Tensor NgramTableImpl::forward(const NgramBatch& ngrams, int64_t segments,
                                      int64_t positions_per_segment) {
  if (ngrams.empty()) return torch::zeros({segments, options_.size}, weight_.options());
  TORCH_CHECK(ngrams.positions.defined() && ngrams.positions.sizes() == ngrams.ids.sizes(),
              "n-grams: ids and positions must both be [total]");
  torch::Tensor ids = ngrams.ids;
  torch::Tensor values = ngrams.values.defined() ? ngrams.values.to(weight_.scalar_type())
                                                 : torch::ones(ids.sizes(), weight_.options());
  torch::Tensor segment = torch::floor_divide(ngrams.positions, positions_per_segment);
  // embedding_bag sums rows without making [total, size] first, but wants the n-grams of a segment
  // side by side. A data set delivers them so; anybody else's are sorted here.
  const int64_t total = ids.size(0);
  if (total > 1 &&
      (segment.narrow(0, 1, total - 1) < segment.narrow(0, 0, total - 1)).any().item<bool>()) {
    const torch::Tensor order = segment.argsort();
    segment = segment.index_select(0, order);
    ids = ids.index_select(0, order);
    values = values.index_select(0, order);
  }
  values = torch::dropout(values, options_.dropout, is_training());
  const torch::Tensor starts =
      torch::searchsorted(segment, torch::arange(segments, segment.options()));
  return std::get<0>(torch::embedding_bag(weight_, ids, starts, /*scale_grad_by_freq=*/false,
                                          /*mode=sum*/ 0, options_.sparse_gradient, values));
}

}  // namespace attend
