// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <memory>
#include <span>

namespace attend {

class Dataset;

/// What a model learns from its inputs alone before it is trained for its task: a loss without
/// labels and the weights that go down its slope, some of which (an output layer for the puzzle)
/// may end with it. train/pretrain.h runs it.
class Pretraining {
 public:
  virtual ~Pretraining() = default;

  virtual int64_t epochs() const = 0;                             ///< passes over data(), >= 1
  virtual int64_t batch_size() const = 0;                         ///< examples per update, >= 1
  virtual double learning_rate() const = 0;                       ///< peak, > 0
  virtual const Dataset& data() const = 0;                        ///< what it learns from
  virtual std::shared_ptr<torch::nn::Module> module() const = 0;  ///< the weights

  /// Mean loss of these rows of data(), a scalar; its puzzles are drawn anew at each call.
  virtual torch::Tensor loss(std::span<const int64_t> rows) = 0;
};

}  // namespace attend
