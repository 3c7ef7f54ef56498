// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// bf16 weights in 12 bits: no number changes.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "attend/kernels/attention.h"
#include "attend/kernels/packed_matrix.h"

namespace attend::kernels {
namespace {

using Memory = std::unique_ptr<void, decltype(&std::free)>;
Memory memory_of(int64_t bytes) { return {std::aligned_alloc(64, size_t(bytes)), &std::free}; }

uint32_t bits(float value) { return std::bit_cast<uint32_t>(value); }

float rounded(float value) {
  return std::bit_cast<float>((bits(value) + 0x7fffu + ((bits(value) >> 16) & 1u)) & 0xffff0000u);
}

struct Packed {
  int64_t outputs, inputs;
  std::vector<float> weight;
  std::vector<float> bias;
  Memory memory{nullptr, &std::free};
  PackedMatrix matrix;

  Packed(int64_t rows, int64_t columns, float spread = 0.05f) : outputs(rows), inputs(columns) {
    std::mt19937 generator(1);
    std::normal_distribution<float> distribution(0, spread);
    for (int64_t i = 0; i < outputs * inputs; ++i) weight.push_back(distribution(generator));
    for (int64_t i = 0; i < outputs; ++i) bias.push_back(float(i % 5));
  }

  float& at(int64_t output, int64_t input) { return weight[size_t(output * inputs + input)]; }

  void pack(bool may_narrow = true) {
    memory = memory_of(packed_bytes(WeightType::kBFloat16, outputs, inputs));
    matrix = pack_matrix(WeightType::kBFloat16, outputs, inputs, weight.data(), bias.data(),
                         memory.get(), may_narrow);
  }

  std::vector<float> product(const std::vector<float>& rows) const {
    const auto count = int64_t(rows.size()) / inputs;
    const Memory packed = memory_of(count * packed_row_bytes(WeightType::kBFloat16, inputs));
    pack_rows(WeightType::kBFloat16, rows.data(), count, inputs, inputs, packed.get());
    std::vector<float> result(size_t(count * outputs));
    multiply(matrix, packed.get(), count, 0, matrix.panels(), {result.data(), outputs, false});
    return result;
  }
};

// Rows that each have one 1, so that a product reads single weights.
std::vector<float> unit_rows(int64_t inputs) {
  std::vector<float> rows(size_t(inputs * inputs));
  for (int64_t i = 0; i < inputs; ++i) rows[size_t(i * inputs + i)] = 1;
  return rows;
}

void expect_every_weight(Packed& packed) {
  const std::vector<float> products = packed.product(unit_rows(packed.inputs));
  for (int64_t output = 0; output < packed.outputs; ++output) {
    for (int64_t input = 0; input < packed.inputs; ++input) {
      const float expected = rounded(packed.at(output, input));
      ASSERT_EQ(bits(packed_weight(packed.matrix, output, input)), bits(expected))
          << output << ", " << input;
      ASSERT_EQ(products[size_t(input * packed.outputs + output)],
                expected + packed.bias[size_t(output)])
          << output << ", " << input;
    }
  }
}

bool reads_narrow() { return active_isa() == Isa::kAvx512Bf16; }

TEST(NarrowMatrix, TakesThreeQuartersOfTheMemory) {
  Packed packed(70, 512);
  packed.pack();
  EXPECT_EQ(packed.matrix.is_narrow(), reads_narrow());
  const auto plain = double(packed_bytes(WeightType::kBFloat16, 70, 512));
  const double share = double(packed_bytes(packed.matrix)) / plain;
  EXPECT_LT(share, reads_narrow() ? 0.76 : 1.01);
}

TEST(NarrowMatrix, IsLeftOutWhereManyRowsAreExpected) {
  Packed packed(70, 34);
  packed.pack(/*may_narrow=*/false);
  EXPECT_FALSE(packed.matrix.is_narrow());
  expect_every_weight(packed);
}

TEST(NarrowMatrix, KeepsEveryWeight) {
  for (const int64_t inputs : {33, 70, 129, 256}) {
    Packed packed(45, inputs);
    packed.pack();
    EXPECT_EQ(packed.matrix.is_narrow(), reads_narrow()) << inputs;
    expect_every_weight(packed);
  }
}

// Both halves of a panel, both inputs of a pair and both pairs of a line have numbers far from the
// others, and a zero has either sign.
TEST(NarrowMatrix, KeepsStrays) {
  Packed packed(40, 160);
  const float strays[] = {1e30f, -1e30f, 3e-20f, -3e-20f, 0.0f, -0.0f, 0x1p-126f, 7e5f};
  for (size_t i = 0; i < std::size(strays); ++i) {
    packed.at(int64_t(5 * i), int64_t(41 * i % 160)) = strays[i];
    packed.at(int64_t(5 * i), int64_t((41 * i + 2) % 160)) = strays[i];
  }
  packed.pack();
  EXPECT_EQ(packed.matrix.is_narrow(), reads_narrow());
  EXPECT_GE(packed.matrix.most_strays, reads_narrow() ? 4 : -1);
  expect_every_weight(packed);
}

// A row of a table that training left or made tiny, as weight decay does.
TEST(NarrowMatrix, TinyRowsFit) {
  Packed packed(96, 256);
  for (int64_t input = 0; input < 256; ++input) {
    packed.at(3, input) *= 1e-9f;
    packed.at(40, input) = 0;
  }
  packed.pack();
  EXPECT_EQ(packed.matrix.is_narrow(), reads_narrow());
  expect_every_weight(packed);
}

TEST(NarrowMatrix, StaysAsItIsWhereTooManyWeightsDiffer) {
  Packed packed(40, 64);
  std::mt19937 generator(2);
  std::uniform_real_distribution<float> exponent(-30, 30);
  for (float& weight : packed.weight) weight = std::exp2(exponent(generator));
  packed.pack();
  EXPECT_FALSE(packed.matrix.is_narrow());
  expect_every_weight(packed);
}

TEST(NarrowMatrix, NotANumberStays) {
  Packed packed(40, 64);
  packed.at(7, 9) = std::numeric_limits<float>::quiet_NaN();
  packed.at(20, 8) = std::numeric_limits<float>::infinity();
  packed.pack();
  EXPECT_EQ(packed.matrix.is_narrow(), reads_narrow());
  const std::vector<float> result = packed.product(std::vector<float>(64, 1));
  for (int64_t output = 0; output < 40; ++output) {
    EXPECT_EQ(std::isnan(result[size_t(output)]), output == 7) << output;
    EXPECT_EQ(std::isinf(result[size_t(output)]), output == 20) << output;
  }
}

}  // namespace
}  // namespace attend::kernels
