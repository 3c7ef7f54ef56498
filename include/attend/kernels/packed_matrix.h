// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Matrices that are packed once and multiplied with few vectors many times, as in decoding: the
// memory that the weights are read from is the limit, so they may be kept in 16, 12 or 8 bits. Sums
// are fp32 (of int8: exact integers over 512 inputs, then fp32). Needs nothing but the C++ library;
// nothing here throws.
#pragma once

#include <cstdint>

namespace attend::kernels {

/// What a packed weight is kept as.
enum class WeightType : int32_t {
  kFloat32 = 0,   ///< as it is; inputs stay fp32
  kBFloat16 = 1,  ///< weights and inputs rounded to nearest even
  /// Weights: one scale per output, the largest of its weights / 127. Inputs: 16-bit integers, one
  /// scale for every 512 of a row, whose rounding is small beside that of the weights; fp32 where
  /// the instruction set has no such products.
  kInt8 = 2
};

/// Outputs that are computed side by side; a thread takes whole panels.
inline constexpr int64_t kPanelOutputs = 32;

/// A matrix [outputs, inputs] with a bias, packed panel by panel, each one's weights in the order
/// in which they are read. Describes memory that the caller owns.
struct PackedMatrix {
  WeightType type = WeightType::kFloat32;
  int64_t outputs = 0;  ///< >= 1
  int64_t inputs = 0;   ///< >= 1
  const void* memory = nullptr;
  /// Of a narrow matrix, whose bf16 weights take 12 bits without loss
  /// (src/kernels/packed_layout.h): the most weights of a panel that do not fit in them. -1: not
  /// narrow.
  int64_t most_strays = -1;

  constexpr bool is_narrow() const { return most_strays >= 0; }
  int64_t panels() const { return (outputs + kPanelOutputs - 1) / kPanelOutputs; }
};

/// Memory that packing a matrix takes, a multiple of 64; it must be aligned to 64 bytes.
int64_t packed_bytes(WeightType type, int64_t outputs, int64_t inputs);

/// Memory that a packed matrix takes, a multiple of 64: less than packed_bytes() if it is narrow.
int64_t packed_bytes(const PackedMatrix& matrix);

/// Packs `weight` [outputs, inputs], row-major, and `bias` [outputs] (null: zeros) into `memory`.
/// kBFloat16 becomes narrow where active_isa() reads that form and the weights allow it: the matrix
/// must be multiplied under the same active_isa(). That spares memory and costs instructions; for
/// many rows a call, which keep a core busy, `may_narrow` = false is quicker.
PackedMatrix pack_matrix(WeightType type, int64_t outputs, int64_t inputs, const float* weight,
                         const float* bias, void* memory, bool may_narrow = true);

/// Panels [begin, end) as a matrix of their own, in the same memory.
PackedMatrix panels_of(const PackedMatrix& matrix, int64_t begin, int64_t end);

/// The weight as the product sees it, that is, rounded.
float packed_weight(const PackedMatrix& matrix, int64_t output, int64_t input);

/// Memory of one packed input row under the active_isa(), a multiple of 64.
int64_t packed_row_bytes(WeightType type, int64_t inputs);

/// Whether pack_rows() turns a row of `inputs` into so many bf16 numbers, side by side, under the
/// active_isa(): then others may write packed rows as well, packed_row_bytes() apart.
bool packs_as_bfloat16(WeightType type, int64_t inputs);

/// Rounds `count` rows, `stride` floats apart, into `memory` (aligned to 64 bytes): the form in
/// which multiply() reads them under the same active_isa().
void pack_rows(WeightType type, const float* rows, int64_t count, int64_t inputs, int64_t stride,
               void* memory);

/// Where a product is written, and as what.
struct ProductOutput {
  float* data = nullptr;  ///< [rows, outputs of the matrix]
  int64_t stride = 0;     ///< between rows, in numbers
  bool add = false;       ///< to what is there (a residual), instead of overwriting it
  /// What becomes of the sums, number by number; out may be in. Null: nothing. Not with `add`.
  void (*activation)(const float* in, float* out, int64_t count) = nullptr;
  uint16_t* rounded = nullptr;  ///< bf16 numbers, written in place of `data`. Not with `add`.
};

/// Panels [begin, end) of `rows` packed input rows times the matrix's transpose, plus the bias. One
/// thread; the results of a row do not depend on how many rows and panels a call has.
void multiply(const PackedMatrix& matrix, const void* packed_rows, int64_t rows, int64_t begin,
              int64_t end, const ProductOutput& output);

/// The same with a kFloat32 matrix and rows as they are, `stride` floats apart.
void multiply_floats(const PackedMatrix& matrix, const float* rows, int64_t stride, int64_t count,
                     int64_t begin, int64_t end, const ProductOutput& output);

/// Packs panels [begin, end) of a kFloat32 matrix into its memory, where packed_bytes() of them
/// all are: for threads that share the packing. Arguments as of pack_matrix().
void pack_panels(const PackedMatrix& matrix, const float* weight, const float* bias, int64_t begin,
                 int64_t end);

}  // namespace attend::kernels
