// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A step of decoding is a chain of small passes, so that one team of threads stays together through
// all of them: each thread takes its share of a pass and waits for the others.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "attend/kernels/packed_matrix.h"

namespace attend::detail {

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

/// One thread's place among those that carry out a step.
struct Team {
  int64_t index = 0;
  int64_t size = 1;

  /// This thread's part of `count` equal pieces.
  Range share(int64_t count) const { return {count * index / size, count * (index + 1) / size}; }

  /// Until all threads are here.
  void wait() const;
};

/// Threads for a step of so many multiplications: LibTorch's number, or 1 where waking them costs
/// more.
int team_size(int64_t multiplications);

/// Calls `work` in each of `threads` threads.
void run_team(int threads, const std::function<void(const Team&)>& work);

/// Input rows as a packed product reads them.
class PackedRowBuffer {
 public:
  /// For products of `rows` rows of `inputs` floats, `stride` floats apart. With kFloat32 they are
  /// read as they are and no memory is taken.
  PackedRowBuffer(kernels::WeightType type, int64_t rows, int64_t inputs, int64_t stride);

  /// The rows themselves, where others may write them as bf16 numbers instead of calling fill();
  /// otherwise null.
  uint16_t* bfloat16_rows() const;

  /// Between those, in numbers.
  int64_t bfloat16_stride() const;

  /// Takes the rows `which` of `source`.
  void fill(const float* source, Range which) const;

  /// Some panels of a matrix times the rows `which`, which fill() took from the same `source`, by
  /// this thread alone.
  void multiply(const float* source, Range which, const kernels::PackedMatrix& matrix, Range panels,
                const kernels::ProductOutput& output) const;

 private:
  kernels::WeightType type_;
  int64_t inputs_, stride_;
  std::shared_ptr<void> memory_;  // none with kFloat32
};

/// This thread's panels of a product with `rows` of the buffer. Returns its columns.
Range multiply(const Team& team, const kernels::PackedMatrix& matrix, const PackedRowBuffer& buffer,
               const float* source, Range rows, const kernels::ProductOutput& output);

}  // namespace attend::detail
