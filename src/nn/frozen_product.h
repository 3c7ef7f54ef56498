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
  /// For products with rows of `source` [rows, inputs], `stride` floats apart, which must outlive
  /// this. With kFloat32 it is read as it is.
  PackedRowBuffer(kernels::WeightType type, const float* source, int64_t rows, int64_t inputs,
                  int64_t stride);

  /// Takes what the source's rows `which` are now.
  void fill(Range which) const;

  /// A matrix, or some panels of it, times the rows `which`, by this thread alone.
  void multiply(Range which, const kernels::PackedMatrix& matrix,
                const kernels::ProductOutput& output) const;
  void multiply(Range which, const kernels::PackedMatrix& matrix, Range panels,
                const kernels::ProductOutput& output) const;

  int64_t rows() const { return rows_; }

 private:
  kernels::WeightType type_;
  const float* source_;
  int64_t rows_, inputs_, stride_;
  std::shared_ptr<void> memory_;  // none with kFloat32
};

/// This thread's panels of a product with all rows of the buffer. Returns its columns.
Range multiply(const Team& team, const kernels::PackedMatrix& matrix, const PackedRowBuffer& rows,
               const kernels::ProductOutput& output);

}  // namespace attend::detail
