// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// One measured case: its data, its name and its work.
#pragma once

#include <string>
#include <vector>

#include "options.h"
#include "process.h"

namespace attend::bench {

enum class TraceKind { kNone, kEntropy, kTopKeys, kReceived, kPooled };

struct Case {
  What what = What::kForward;
  Shape shape;
  kernels::ElementType type = kernels::ElementType::kFloat32;
  bool causal = false;
  int64_t window = -1;
  TraceKind trace = TraceKind::kNone;
};

inline constexpr int32_t kTopKeys = 8;
inline constexpr int64_t kPooledCells = 64;

/// As the peers' programs name it, without the implementation: fwd_f32_causal_1x8x1024x64.
std::string name(const Case& measured);

/// 4 B H N M D, half of that if causal, backward 2.5 times; with a window, or causal with N != M,
/// the visible pairs are counted.
double flops(const Case& measured);

/// What one pass over the key and value cache reads.
double cache_bytes(const Case& measured);

/// The default cases that the filters leave, or what x shapes x dtype x causal if shapes are given.
std::vector<Case> chosen_cases(const Options& options);

/// Keys [first, last) that query `row` of the case sees.
struct KeyRange {
  int64_t first = 0;
  int64_t last = 0;
};
KeyRange visible_keys(const Case& measured, int64_t row);

/// The tensors of a case, filled with reproducible normal numbers, and the calls on them.
class Problem {
 public:
  explicit Problem(const Case& measured);

  void set_threads(int threads) { attention_.threads = threads; }

  /// Output alone, or with what the trace asks for.
  void forward();
  void forward_traced();
  void backward();

  const Case& measured() const { return case_; }
  const kernels::Attention& attention() const { return attention_; }

  /// Element `column` of a row of one of the tensors below, [batch, heads, rows, dim], dense.
  enum Tensor { kQuery, kKey, kValue, kOutput, kGradOutput, kGradQuery, kGradKey, kGradValue };
  double element(Tensor tensor, int64_t batch_head, int64_t row, int64_t column) const;
  int64_t rows(Tensor tensor) const;
  int64_t heads(Tensor tensor) const;

  const kernels::Trace& trace() const { return trace_; }

 private:
  static constexpr int kTensors = 8;
  kernels::ConstTensor const_tensor(Tensor tensor) const;
  kernels::MutableTensor mutable_tensor(Tensor tensor) const;
  void prepare_trace();

  Case case_;
  kernels::Attention attention_;
  Buffer tensors_[kTensors];
  Buffer lse_;
  Buffer entropy_;
  Buffer top_keys_;
  Buffer top_weights_;
  Buffer received_;
  Buffer pooled_;
  kernels::Trace trace_;
};

}  // namespace attend::bench
