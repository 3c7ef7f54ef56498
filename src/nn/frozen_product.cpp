// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "frozen_product.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace attend::detail {

void Team::wait() const {
  if (size == 1) return;
#pragma omp barrier
}

int team_size(int64_t multiplications) {
  constexpr int64_t kWorthATeam = 1 << 19;  // some 10 us of one thread: tens of times a barrier
  if (multiplications < kWorthATeam || omp_in_parallel() != 0) return 1;
  return at::get_num_threads();
}

void run_team(int threads, const std::function<void(const Team&)>& work) {
  if (threads <= 1) return work({});
#pragma omp parallel num_threads(threads)
  work({omp_get_thread_num(), omp_get_num_threads()});
}

PackedRowBuffer::PackedRowBuffer(kernels::WeightType type, int64_t rows, int64_t inputs,
                                 int64_t stride)
    : type_(type), inputs_(inputs), stride_(stride) {
  if (type == kernels::WeightType::kFloat32) return;
  const int64_t bytes = std::max<int64_t>(64, rows * kernels::packed_row_bytes(type, inputs));
  memory_ = {std::aligned_alloc(64, static_cast<size_t>(bytes)), &std::free};
  if (!memory_) throw std::bad_alloc();
}

uint16_t* PackedRowBuffer::bfloat16_rows() const {
  return kernels::packs_as_bfloat16(type_, inputs_) ? static_cast<uint16_t*>(memory_.get())
                                                    : nullptr;
}

int64_t PackedRowBuffer::bfloat16_stride() const {
  return kernels::packed_row_bytes(type_, inputs_) / int64_t{sizeof(uint16_t)};
}

void PackedRowBuffer::fill(const float* source, Range which) const {
  if (!memory_) return;
  auto* to =
      static_cast<char*>(memory_.get()) + which.begin * kernels::packed_row_bytes(type_, inputs_);
  kernels::pack_rows(type_, source + which.begin * stride_, which.size(), inputs_, stride_, to);
}

void PackedRowBuffer::multiply(const float* source, Range which,
                               const kernels::PackedMatrix& matrix, Range panels,
                               const kernels::ProductOutput& output) const {
  if (!memory_) {
    kernels::multiply_floats(matrix, source + which.begin * stride_, stride_, which.size(),
                             panels.begin, panels.end, output);
    return;
  }
  const auto* rows = static_cast<const char*>(memory_.get()) +
                     which.begin * kernels::packed_row_bytes(type_, inputs_);
  kernels::multiply(matrix, rows, which.size(), panels.begin, panels.end, output);
}

Range multiply(const Team& team, const kernels::PackedMatrix& matrix, const PackedRowBuffer& buffer,
               const float* source, Range rows, const kernels::ProductOutput& output) {
  const Range panels = team.share(matrix.panels());
  buffer.multiply(source, rows, matrix, panels, output);
  return {panels.begin * kernels::kPanelOutputs,
          std::min(matrix.outputs, panels.end * kernels::kPanelOutputs)};
}

}  // namespace attend::detail
