// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "attend/kernels/attention.h"

namespace attend::kernels {
namespace {

std::vector<float> normal(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = distribution(generator);
  return numbers;
}

using Memory = std::unique_ptr<void, decltype(&std::free)>;
Memory memory_of(int64_t bytes) { return {std::aligned_alloc(64, size_t(bytes)), &std::free}; }

struct Problem {
  WeightType type;
  int64_t outputs, inputs, rows;
  std::vector<float> weight = normal(outputs * inputs, 1), bias = normal(outputs, 2),
                     input = normal(rows * inputs, 3);
  Memory packed = memory_of(packed_bytes(type, outputs, inputs));
  Memory packed_input = memory_of(rows * packed_row_bytes(type, inputs));
  PackedMatrix matrix =
      pack_matrix(type, outputs, inputs, weight.data(), bias.data(), packed.get());

  std::vector<float> product(int64_t count, float before, bool sum) {
    pack_rows(type, input.data(), count, inputs, inputs, packed_input.get());
    std::vector<float> result(static_cast<size_t>(count * (outputs + 3)), before);
    multiply(matrix, packed_input.get(), count, 0, matrix.panels(),
             {result.data(), outputs + 3, sum});
    return result;
  }
};

// What one output may be off by, the weights being the rounded ones: rounding of the inputs and of
// the fp32 sum.
double bound(const Problem& p, double absolute_sum, double largest_input, double weight_sum) {
  const double sums = double(p.inputs + 4) * 0x1p-24 * absolute_sum + 1e-6;
  if (p.type == WeightType::kBFloat16) return sums + 0x1p-8 * absolute_sum;
  if (p.type == WeightType::kInt8) return sums + largest_input / 32639 / 2 * weight_sum;
  return sums;
}

// Rows as they are, and panels that are packed on their own: the same numbers, bit for bit.
TEST(PackedMatrix, PlainRowsAndSeparatePanelsGiveTheSame) {
  for (const auto& [outputs, inputs, rows] :
       {std::tuple{1, 1, 1}, {33, 7, 2}, {64, 70, 13}, {100, 33, 70}}) {
    Problem p{WeightType::kFloat32, outputs, inputs, rows};
    const std::vector<float> expected = p.product(rows, 0, false);
    const Memory memory = memory_of(packed_bytes(WeightType::kFloat32, outputs, inputs));
    const PackedMatrix matrix{WeightType::kFloat32, outputs, inputs, memory.get()};
    for (int64_t panel = matrix.panels() - 1; panel >= 0; --panel) {
      pack_panels(matrix, p.weight.data(), p.bias.data(), panel, panel + 1);
    }
    std::vector<float> found(expected.size());
    multiply_floats(matrix, p.input.data(), inputs, rows, 0, matrix.panels(),
                    {found.data(), outputs + 3, false});
    EXPECT_EQ(found, expected) << outputs << " x " << inputs << ", " << rows;
  }
}

class PackedMatrixTest : public ::testing::TestWithParam<WeightType> {};

TEST_P(PackedMatrixTest, EqualsTheDoubleReference) {
  for (const auto& [outputs, inputs, rows] : {std::tuple{1, 1, 1},
                                              {32, 64, 1},
                                              {33, 7, 2},
                                              {100, 130, 13},
                                              {64, 1030, 5},
                                              {7, 2048, 27}}) {
    Problem p{GetParam(), outputs, inputs, rows};
    const auto result = p.product(rows, 0.5f, true);
    const auto overwritten = p.product(rows, 0.5f, false);
    for (int64_t row = 0; row < rows; ++row) {
      double largest = 0;
      for (int64_t k = 0; k < inputs; ++k) {
        largest = std::max(largest, double(std::abs(p.input[size_t(row * inputs + k)])));
      }
      for (int64_t output = 0; output < outputs; ++output) {
        double expected = p.bias[size_t(output)], absolute = std::abs(expected), weights = 0;
        for (int64_t k = 0; k < inputs; ++k) {
          const double weight = packed_weight(p.matrix, output, k);
          const double term = weight * double(p.input[size_t(row * inputs + k)]);
          expected += term;
          absolute += std::abs(term);
          weights += std::abs(weight);
        }
        const size_t at = size_t(row * (outputs + 3) + output);
        const double allowed = bound(p, absolute, largest, weights);
        EXPECT_NEAR(overwritten[at], expected, allowed) << outputs << "x" << inputs << " " << row;
        EXPECT_NEAR(result[at], expected + 0.5, allowed + 1e-6);
      }
      for (int64_t beyond = outputs; beyond < outputs + 3; ++beyond) {
        EXPECT_EQ(result[size_t(row * (outputs + 3) + beyond)], 0.5f) << "written beyond the row";
      }
    }
  }
}

// Text i of a batch must not depend on what stands beside it.
TEST_P(PackedMatrixTest, ARowDoesNotDependOnItsNeighbours) {
  Problem p{GetParam(), 96, 200, 31};
  const auto together = p.product(31, 0, false);
  for (const int64_t count : {1, 2, 5, 12, 16}) {
    const auto fewer = p.product(count, 0, false);
    for (size_t i = 0; i < fewer.size(); ++i) EXPECT_EQ(fewer[i], together[i]) << count;
  }
}

TEST_P(PackedMatrixTest, PanelsAreAMatrixOfTheirOwn) {
  Problem p{GetParam(), 100, 33, 5};
  const std::vector<float> whole = p.product(5, 0, false);
  for (const auto& [begin, end] : {std::tuple{0, 4}, {1, 3}, {3, 4}}) {
    const PackedMatrix part = panels_of(p.matrix, begin, end);
    ASSERT_EQ(part.outputs, std::min(end * 32, 100) - begin * 32);
    std::vector<float> found(static_cast<size_t>(5 * part.outputs));
    multiply(part, p.packed_input.get(), 5, 0, part.panels(), {found.data(), part.outputs, false});
    for (int64_t row = 0; row < 5; ++row) {
      for (int64_t column = 0; column < part.outputs; ++column) {
        EXPECT_EQ(found[static_cast<size_t>(row * part.outputs + column)],
                  whole[static_cast<size_t>(row * 103 + begin * 32 + column)]);
      }
    }
  }
}

TEST_P(PackedMatrixTest, WeightsAreRoundedWithinTheirBound) {
  Problem p{GetParam(), 40, 96, 1};
  for (int64_t output = 0; output < p.outputs; ++output) {
    float largest = 0;
    for (int64_t k = 0; k < p.inputs; ++k) {
      largest = std::max(largest, std::abs(p.weight[size_t(output * p.inputs + k)]));
    }
    for (int64_t k = 0; k < p.inputs; ++k) {
      const float weight = p.weight[size_t(output * p.inputs + k)];
      const double allowed = p.type == WeightType::kFloat32    ? 0
                             : p.type == WeightType::kBFloat16 ? 0x1p-8 * std::abs(weight) * 1.001
                                                               : largest / 127 / 2 * 1.001;
      EXPECT_NEAR(packed_weight(p.matrix, output, k), weight, allowed);
    }
  }
}

TEST_P(PackedMatrixTest, ZerosStayZeros) {
  Problem p{GetParam(), 33, 70, 3};
  std::fill(p.weight.begin(), p.weight.begin() + 70, 0.0f);
  std::fill(p.input.begin(), p.input.begin() + 70, 0.0f);
  p.matrix = pack_matrix(p.type, 33, 70, p.weight.data(), nullptr, p.packed.get());
  const auto result = p.product(3, 1, false);
  for (int64_t row = 0; row < 3; ++row) EXPECT_EQ(result[size_t(row * 36)], 0);
  for (int64_t output = 0; output < 33; ++output) EXPECT_EQ(result[size_t(output)], 0);
}

// More rows than stay in a cache go by blocks: a row gives the same as on its own, bit for bit.
TEST_P(PackedMatrixTest, ManyRowsGiveWhatEachGivesAlone) {
  Problem p{GetParam(), 40, 1024, 300};
  const auto all = p.product(300, 0.5f, true);
  const int64_t stride = p.outputs + 3;
  for (int64_t row = 0; row < 300; ++row) {
    pack_rows(p.type, p.input.data() + row * p.inputs, 1, p.inputs, p.inputs, p.packed_input.get());
    std::vector<float> alone(size_t(stride), 0.5f);
    multiply(p.matrix, p.packed_input.get(), 1, 0, p.matrix.panels(), {alone.data(), stride, true});
    for (int64_t i = 0; i < stride; ++i) {
      ASSERT_EQ(all[size_t(row * stride + i)], alone[size_t(i)]) << row << " " << i;
    }
  }
}

// The largest sums that 512 inputs can have must not overflow.
uint16_t bf16(float number) {
  const auto bits = std::bit_cast<uint32_t>(number);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// The same sums; whole panels and part of one, tiles of every height.
TEST_P(PackedMatrixTest, ActivationAndRoundingComeAfterTheSum) {
  const auto halve_and_add = [](const float* in, float* out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[i] = in[i] / 2 + 1;
  };
  for (const auto& [outputs, inputs, rows] :
       {std::tuple{1, 5, 1}, {33, 7, 2}, {64, 70, 15}, {100, 130, 3 * 512}}) {
    Problem p{GetParam(), outputs, inputs, rows};
    const std::vector<float> plain = p.product(rows, 0.5f, false);
    const int64_t stride = outputs + 3;
    std::vector<float> changed(plain.size(), 0.5f);
    std::vector<uint16_t> rounded(plain.size(), bf16(0.5f)), both = rounded;
    const auto multiply_into = [&](const ProductOutput& output) {
      multiply(p.matrix, p.packed_input.get(), p.rows, 0, p.matrix.panels(), output);
    };
    multiply_into({changed.data(), stride, false, halve_and_add});
    multiply_into({nullptr, stride, false, nullptr, rounded.data()});
    multiply_into({nullptr, stride, false, halve_and_add, both.data()});
    for (size_t at = 0; at < plain.size(); ++at) {
      const bool inside = int64_t(at) % stride < outputs;
      const float expected = inside ? plain[at] / 2 + 1 : 0.5f;
      ASSERT_EQ(changed[at], expected) << outputs << "x" << inputs << " at " << at;
      ASSERT_EQ(rounded[at], bf16(inside ? plain[at] : 0.5f)) << at;
      ASSERT_EQ(both[at], bf16(expected)) << at;
    }
  }
}

TEST_P(PackedMatrixTest, PackedRowsOfBfloat16LieSideBySide) {
  const int64_t inputs = 68;
  const bool expected_form =
      GetParam() == WeightType::kBFloat16 && active_isa() == Isa::kAvx512Bf16;
  ASSERT_EQ(packs_as_bfloat16(GetParam(), inputs), expected_form);
  if (!expected_form) return;
  EXPECT_FALSE(packs_as_bfloat16(GetParam(), inputs + 1)) << "rows are filled up to whole steps";
  Problem p{GetParam(), 33, inputs, 9};
  const std::vector<float> expected = p.product(p.rows, 0, false);
  for (int64_t row = 0; row < p.rows; ++row) {
    auto* to = static_cast<uint16_t*>(p.packed_input.get()) +
               row * packed_row_bytes(GetParam(), inputs) / 2;
    for (int64_t i = 0; i < inputs; ++i) {
      const uint16_t number = bf16(p.input[size_t(row * inputs + i)]);
      ASSERT_EQ(to[i], number) << row << ", " << i;
      to[i] = number;
    }
  }
  std::vector<float> found(expected.size());
  multiply(p.matrix, p.packed_input.get(), p.rows, 0, p.matrix.panels(), {found.data(), 36, false});
  EXPECT_EQ(found, expected);
}

TEST_P(PackedMatrixTest, LargestProductsDoNotOverflow) {
  Problem p{GetParam(), 32, 1024, 2};
  std::fill(p.weight.begin(), p.weight.end(), -3.0f);
  std::fill(p.input.begin(), p.input.begin() + 1024, 5.0f);
  std::fill(p.input.begin() + 1024, p.input.end(), -5.0f);
  p.matrix = pack_matrix(p.type, 32, 1024, p.weight.data(), nullptr, p.packed.get());
  const auto result = p.product(2, 0, false);
  EXPECT_NEAR(result[0], -15360, 0.1);
  EXPECT_NEAR(result[35], 15360, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Types, PackedMatrixTest,
                         ::testing::Values(WeightType::kFloat32, WeightType::kBFloat16,
                                           WeightType::kInt8));

}  // namespace
}  // namespace attend::kernels
