// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>

#include "attend/nn/encoder.h"
#include "attend/nn/ngram_features.h"
#include "attend/nn/pooling.h"
#include "attend/nn/trace.h"

namespace attend {

/// Options of TextClassifierWithAttention.
struct TextClassifierOptions {
  int64_t vocab_size = 0;     ///< rows of the embedding, >= 1. Required.
  int64_t embedding_dim = 0;  ///< size of a token's embedding, >= 1. Required.
  /// Size inside the encoder; 0 = embedding_dim; if it differs, a projection lies between.
  int64_t hidden_size = 0;
  int64_t output_size = 0;    ///< classes, >= 1. Required.
  int64_t padding_index = 0;  ///< token whose embedding is zero and stays zero; -1 = none
  /// Standard deviation of the embeddings at first, >= 0.
  double embedding_std = 0.1;
  /// Probability in [0, 1) of zeroing an element of the embeddings in training.
  double embedding_dropout = 0.1;
  /// Probability in [0, 1) of zeroing a whole position in training, without scaling
  /// (Iyyer et al. 2015).
  double word_dropout = 0;
  /// Probability in [0, 1) on the pooled vector.
  double dropout = 0.1;
  /// Its `hidden` is set to hidden_size.
  EncoderOptions encoder{};
  /// Its `hidden` is set to hidden_size. kCls puts a learned vector before the first token.
  PoolingOptions pooling{};

  /// Rows of the n-gram tables; 0 = no n-grams.
  int64_t ngram_features = 0;
  /// Wide term (Cheng et al. 2016): each n-gram adds value * its row of a linear table to the
  /// logits, times one learned scalar that starts at 1.
  bool ngram_wide = true;
  /// Each n-gram adds its row of a second table to the embedding of its position (Bojanowski et al.
  /// 2017).
  bool ngram_deep = false;
  /// Rows of that table, which n-grams share by their number's remainder (Weinberger et al. 2009);
  /// 0 = ngram_features, a row each.
  int64_t ngram_deep_rows = 0;
  /// Probability in [0, 1) of dropping an n-gram in training.
  double ngram_dropout = 0;
  /// Sparse gradients of the n-gram tables; see NgramTableOptions.
  bool ngram_sparse_gradient = false;

  int64_t resolved_hidden() const { return hidden_size > 0 ? hidden_size : embedding_dim; }
};

/// Throws Error (usage) that names the value, the rule and the fix.
void check_options(const TextClassifierOptions& options);

/// A batch of texts.
struct TextInput {
  torch::Tensor tokens;   ///< [batch, length] int64, in [0, vocab_size)
  torch::Tensor lengths;  ///< [batch] int64, valid tokens per text; undefined = all
  // N-grams, flat, one entry per occurrence; undefined = none. See NgramBatch.
  torch::Tensor ngram_ids;        ///< [total] int64, in [0, ngram_features)
  torch::Tensor ngram_positions;  ///< [total] int64, batch index * length + position
  torch::Tensor ngram_values;     ///< [total] float; undefined = 1

  NgramBatch ngrams() const { return {ngram_ids, ngram_positions, ngram_values}; }
};

/// What a forward pass is asked for besides the logits.
struct TextClassifierRequest {
  ForwardRequest attention;
  bool wide_contribution = false;
  /// No word dropout, also in training.
  bool keep_words = false;
};

struct TextClassifierOutput {
  torch::Tensor logits;       ///< [batch, output]
  torch::Tensor deep_logits;  ///< [batch, output], without the wide term
  torch::Tensor hidden;       ///< [batch, prepended + length, hidden], behind the encoder
  torch::Tensor pooled;       ///< [batch, hidden], before dropout
  /// [batch, prepended + length], what the head reads of each position; see PoolingOutput.
  torch::Tensor readout;
  /// [batch, pooling heads, prepended + length]; attention pooling only.
  torch::Tensor pooling_weights;
  /// [batch, length, output], what the n-grams of each position add to the logits (scaled); only
  /// if asked for. Its sum over positions, deep_logits and the wide bias make `logits`.
  torch::Tensor wide_contribution;
  /// How many positions stand before the first token: 1 with kCls, else 0. Traced weights have
  /// them too.
  int64_t prepended = 0;
  Trace trace;
};

/// Embedding, encoder, pooling, linear output; beside it an optional linear model over n-grams.
/// Parameters: embedding, projection, cls, encoder, pooling, output, ngram_wide, ngram_deep,
/// wide_scale. Buffer: wide_bias.
class TextClassifierWithAttentionImpl : public torch::nn::Module {
 public:
  /// Throws Error (usage) when the options do not fit together.
  explicit TextClassifierWithAttentionImpl(const TextClassifierOptions& classifier_options);

  /// Defaults for everything else: one layer, attention pooling.
  TextClassifierWithAttentionImpl(int64_t vocab_size, int64_t embedding_dim, int64_t hidden_size,
                                  int64_t output_size);

  TextClassifierOutput forward(const TextInput& input, const TextClassifierRequest& request = {});

  /// Tokens only, with the default request: [batch, length] -> logits [batch, output].
  torch::Tensor forward(const torch::Tensor& tokens, const torch::Tensor& lengths = {});

  /// [batch, length, embedding_dim]: token embeddings plus the deep n-gram part, before any
  /// dropout.
  torch::Tensor embed(const TextInput& input);

  /// The same as forward, from embeddings that the caller made (integrated gradients, Sundararajan
  /// et al. 2017). Of `input` it reads lengths and n-grams (wide term), not tokens.
  TextClassifierOutput forward_from_embeddings(const torch::Tensor& embeddings,
                                               const TextInput& input,
                                               const TextClassifierRequest& request = {});

  /// Makes the wide term a linear model that was fitted elsewhere and takes no part in training:
  /// logits += scale * (sum of value * weights row + biases). `weights` [ngram_features, output],
  /// `biases` [output]. Needs options().ngram_wide and ngram_features > 0.
  void set_wide(const torch::Tensor& weights, const torch::Tensor& biases, double scale);

  /// Multiplies what the deep part and the wide term add to the logits, for good: a mix that was
  /// settled after training.
  void scale_parts(double deep, double wide);

  const TextClassifierOptions& options() const { return options_; }

 private:
  torch::Tensor drop(const torch::Tensor& embeddings, bool keep_words);
  void add_wide(const TextInput& input, int64_t length, bool per_position,
                TextClassifierOutput& output);

  TextClassifierOptions options_;
  torch::nn::Embedding embedding_{nullptr};
  torch::nn::Linear projection_{nullptr}, output_{nullptr};
  torch::Tensor cls_;         // [hidden], kCls only
  torch::Tensor wide_scale_;  // [1], with the wide term
  torch::Tensor wide_bias_;   // [output], a buffer, with the wide term
  Encoder encoder_{nullptr};
  Pooling pooling_{nullptr};
  NgramTable ngram_wide_{nullptr}, ngram_deep_{nullptr};
  torch::nn::Dropout embedding_dropout_{nullptr}, dropout_{nullptr};
};
TORCH_MODULE(TextClassifierWithAttention);

}  // namespace attend
