// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace attend {

/// Section "train" of a configuration.
struct TrainOptions {
  int64_t seed = 1;
  int64_t epochs = 10;          ///< passes over the training examples, >= 1
  int64_t max_steps = 0;        ///< stop after so many updates; 0: after `epochs`
  int64_t batch_size = 64;      ///< examples per update, >= 1
  int64_t batch_positions = 0;  ///< cap on examples * longest length of a batch; 0: none
  int64_t bucket_batches =
      50;  ///< batches whose examples are sorted by length together; 1: no sorting
  double learning_rate = 1e-3;  ///< peak, > 0
  double warmup = 0.05;         ///< share of all steps in which the rate rises linearly, in [0, 1)
  std::string decay =
      "cosine";                ///< after the warm-up: "cosine", "linear" (both to 0) or "constant"
  double weight_decay = 0.01;  ///< decoupled (AdamW, Loshchilov & Hutter 2019); matrices only
  double beta1 = 0.9;          ///< AdamW's decay of the first moment
  double beta2 = 0.98;         ///< AdamW's decay of the second moment
  double clip = 1.0;           ///< largest norm of all gradients together; 0: no clipping
  double label_smoothing = 0.0;        ///< in [0, 1)
  std::string class_weights = "none";  ///< "none" or "balanced" (inverse class frequency)
  double adversarial = 0.0;      ///< how far embeddings are moved up the loss, >= 0; 0: not at all
  double ema = 0.0;              ///< decay per step of the averaged weights that are kept; 0: off
  int64_t evaluate_every = 0;    ///< steps between looks at the dev set; 0: once per epoch
  int64_t checkpoint_every = 0;  ///< steps between checkpoints; 0: at each look at the dev set
  int64_t patience = 0;          ///< stop after so many looks without a better dev metric; 0: never
  int64_t threads = 0;           ///< 0: all processors
};

/// The options as a section, in the order above.
nlohmann::json to_json(const TrainOptions& options);

/// From a complete section (merge_config). Throws Error(kUsage) naming the key, its value and the
/// allowed range.
TrainOptions train_options_from_json(const nlohmann::json& section);

}  // namespace attend
