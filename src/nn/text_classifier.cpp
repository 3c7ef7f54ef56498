// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/text_classifier.h"

#include "attend/base/error.h"
#include "option_checks.h"
#include "projection.h"

namespace attend {
namespace {

TextClassifierOptions resolved(TextClassifierOptions options) {
  options.hidden_size = options.resolved_hidden();
  options.encoder.hidden = options.hidden_size;
  options.pooling.hidden = options.hidden_size;
  return options;
}

TextClassifierOptions from_sizes(int64_t vocab_size, int64_t embedding_dim, int64_t hidden_size,
                                 int64_t output_size) {
  TextClassifierOptions options;
  options.vocab_size = vocab_size;
  options.embedding_dim = embedding_dim;
  options.hidden_size = hidden_size;
  options.output_size = output_size;
  // The largest usual number of heads that fits any hidden size.
  while (hidden_size > 0 && hidden_size % options.encoder.heads != 0) --options.encoder.heads;
  return options;
}

torch::nn::Embedding token_embedding(const TextClassifierOptions& options) {
  torch::nn::EmbeddingOptions table(options.vocab_size, options.embedding_dim);
  if (options.padding_index >= 0) table.padding_idx(options.padding_index);
  torch::nn::Embedding embedding(table);
  torch::NoGradGuard no_grad;
  embedding->weight.normal_(0, options.embedding_std);
  if (options.padding_index >= 0) embedding->weight[options.padding_index].zero_();
  return embedding;
}

}  // namespace

void check_options(const TextClassifierOptions& options) {
  detail::require_at_least("vocab_size", options.vocab_size, 1);
  detail::require_at_least("embedding_dim", options.embedding_dim, 1);
  detail::require_at_least("hidden_size", options.hidden_size, 0);
  detail::require_at_least("output_size", options.output_size, 1);
  detail::require_at_least("padding_index", options.padding_index, -1);
  detail::require_at_least("ngram_features", options.ngram_features, 0);
  detail::require_at_least("ngram_deep_rows", options.ngram_deep_rows, 0);
  if (options.padding_index >= options.vocab_size) {
    throw usage_error("padding_index " + std::to_string(options.padding_index) +
                      " is outside the vocabulary of " + std::to_string(options.vocab_size) +
                      " tokens: use an index below vocab_size, or -1 for none");
  }
  if (!(options.embedding_std >= 0)) {
    throw usage_error("embedding_std " + std::to_string(options.embedding_std) +
                      " must be at least 0: 0.1 is usual");
  }
  detail::require_probability("embedding_dropout", options.embedding_dropout);
  detail::require_probability("word_dropout", options.word_dropout);
  detail::require_probability("dropout", options.dropout);
  detail::require_probability("ngram_dropout", options.ngram_dropout);
  const TextClassifierOptions full = resolved(options);
  check_options(full.encoder);
  check_options(full.pooling);
}

TextClassifierWithAttentionImpl::TextClassifierWithAttentionImpl(
    const TextClassifierOptions& classifier_options) {
  check_options(classifier_options);
  options_ = resolved(classifier_options);
  const int64_t hidden = options_.hidden_size;
  embedding_ = register_module("embedding", token_embedding(options_));
  embedding_dropout_ =
      register_module("embedding_dropout", torch::nn::Dropout(options_.embedding_dropout));
  if (options_.embedding_dim != hidden) {
    projection_ = register_module("projection", detail::projection(options_.embedding_dim, hidden));
  }
  if (options_.pooling.kind == PoolingKind::kCls) {
    cls_ = register_parameter("cls", torch::randn({hidden}) * options_.embedding_std);
    // The learned vector takes a row of a learned position table: callers count tokens only.
    options_.encoder.max_length += 1;
  }
  encoder_ = register_module("encoder", Encoder(options_.encoder));
  pooling_ = register_module("pooling", Pooling(options_.pooling));
  dropout_ = register_module("dropout", torch::nn::Dropout(options_.dropout));
  output_ = register_module("output", detail::projection(hidden, options_.output_size));
  if (options_.ngram_features == 0) return;
  NgramTableOptions table;
  table.features = options_.ngram_features;
  table.dropout = options_.ngram_dropout;
  table.sparse_gradient = options_.ngram_sparse_gradient;
  if (options_.ngram_wide) {
    table.size = options_.output_size;
    ngram_wide_ = register_module("ngram_wide", NgramTable(table));
    wide_scale_ = register_parameter("wide_scale", torch::ones({1}));
    wide_bias_ = register_buffer("wide_bias", torch::zeros({options_.output_size}));
  }
  if (options_.ngram_deep) {
    table.size = options_.embedding_dim;
    if (options_.ngram_deep_rows > 0) table.features = options_.ngram_deep_rows;
    ngram_deep_ = register_module("ngram_deep", NgramTable(table));
  }
}

TextClassifierWithAttentionImpl::TextClassifierWithAttentionImpl(int64_t vocab_size,
                                                                 int64_t embedding_dim,
                                                                 int64_t hidden_size,
                                                                 int64_t output_size)
    : TextClassifierWithAttentionImpl(
          from_sizes(vocab_size, embedding_dim, hidden_size, output_size)) {}

torch::Tensor TextClassifierWithAttentionImpl::embed(const TextInput& input) {
  TORCH_CHECK(input.tokens.dim() == 2, "TextInput: tokens must be [batch, length], got ",
              input.tokens.sizes());
  torch::Tensor embeddings = embedding_->forward(input.tokens);
  if (ngram_deep_.is_empty() || input.ngrams().empty()) return embeddings;
  const int64_t positions = input.tokens.numel();
  const NgramBatch rows{input.ngram_ids.remainder(ngram_deep_->weight().size(0)),
                        input.ngram_positions, torch::Tensor()};
  return embeddings + ngram_deep_->forward(rows, positions, 1).view_as(embeddings);
}

torch::Tensor TextClassifierWithAttentionImpl::drop(const torch::Tensor& embeddings,
                                                    bool keep_words) {
  if (!is_training() || keep_words || options_.word_dropout <= 0) {
    return embedding_dropout_->forward(embeddings);
  }
  const torch::Tensor kept =
      torch::empty({embeddings.size(0), embeddings.size(1), 1}, embeddings.options())
          .bernoulli_(1 - options_.word_dropout);
  return embedding_dropout_->forward(embeddings * kept);
}

void TextClassifierWithAttentionImpl::add_wide(const TextInput& input, int64_t length,
                                               bool per_position, TextClassifierOutput& output) {
  const int64_t batch = output.logits.size(0), classes = output.logits.size(1);
  if (ngram_wide_.is_empty()) {
    if (per_position) {
      output.wide_contribution = torch::zeros({batch, length, classes}, output.logits.options());
    }
    return;
  }
  output.logits = output.logits + wide_scale_ * wide_bias_;
  if (!per_position) {
    if (input.ngrams().empty()) return;
    output.logits =
        output.logits + wide_scale_ * ngram_wide_->forward(input.ngrams(), batch, length);
    return;
  }
  output.wide_contribution =
      wide_scale_ *
      ngram_wide_->forward(input.ngrams(), batch * length, 1).view({batch, length, classes});
  output.logits = output.logits + output.wide_contribution.sum(1);
}

TextClassifierOutput TextClassifierWithAttentionImpl::forward_from_embeddings(
    const torch::Tensor& embeddings, const TextInput& input, const TextClassifierRequest& request) {
  const int64_t batch = embeddings.size(0), length = embeddings.size(1);
  torch::Tensor hidden = drop(embeddings, request.keep_words);
  if (!projection_.is_empty()) hidden = projection_->forward(hidden);
  torch::Tensor lengths = input.lengths;
  TextClassifierOutput output;
  if (cls_.defined()) {
    output.prepended = 1;
    hidden = torch::cat({cls_.expand({batch, 1, cls_.size(0)}), hidden}, 1);
    if (lengths.defined()) lengths = lengths + 1;
  }
  const int64_t layers = options_.encoder.layers;  // pooling by attention is the one behind them
  request.attention.check_layers(layers, options_.pooling.kind == PoolingKind::kAttention);
  EncoderOutput encoded = encoder_->forward(hidden, lengths, request.attention.before(layers));
  const PoolingOutput pooled =
      pooling_->forward(encoded.hidden, lengths, request.attention.edits_of_pooling(layers));
  output.hidden = encoded.hidden;
  output.pooled = pooled.pooled;
  output.readout = pooled.readout;
  output.pooling_weights = pooled.weights;
  output.trace = std::move(encoded.trace);
  output.deep_logits = output_->forward(dropout_->forward(pooled.pooled));
  output.logits = output.deep_logits;
  add_wide(input, length, request.wide_contribution, output);
  return output;
}

void TextClassifierWithAttentionImpl::set_wide(const torch::Tensor& weights,
                                               const torch::Tensor& biases, double scale) {
  TORCH_CHECK(!ngram_wide_.is_empty(), "set_wide: this classifier has no wide term");
  torch::NoGradGuard no_grad;
  ngram_wide_->weight().copy_(weights);
  wide_bias_.copy_(biases);
  wide_scale_.fill_(scale);
  ngram_wide_->weight().set_requires_grad(false);
  wide_scale_.set_requires_grad(false);
}

void TextClassifierWithAttentionImpl::scale_parts(double deep, double wide) {
  torch::NoGradGuard no_grad;
  output_->weight.mul_(deep);
  output_->bias.mul_(deep);
  if (wide_scale_.defined()) wide_scale_.mul_(wide);
}

TextClassifierOutput TextClassifierWithAttentionImpl::forward(
    const TextInput& input, const TextClassifierRequest& request) {
  return forward_from_embeddings(embed(input), input, request);
}

torch::Tensor TextClassifierWithAttentionImpl::forward(const torch::Tensor& tokens,
                                                       const torch::Tensor& lengths) {
  TextInput input;
  input.tokens = tokens;
  input.lengths = lengths;
  return forward(input).logits;
}

}  // namespace attend
