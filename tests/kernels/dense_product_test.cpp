// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/kernels/dense_product.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace attend::kernels {
namespace {

constexpr auto kFloat = ElementType::kFloat32;
constexpr auto kHalf = ElementType::kBFloat16;

uint16_t to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
float from_half(uint16_t half) { return std::bit_cast<float>(uint32_t(half) << 16); }

enum class Order { kRows, kColumns, kSpread };

// A matrix of normal numbers; what lies between its elements is not a number.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t columns, ElementType type, Order order, unsigned seed)
      : rows_(rows), columns_(columns), type_(type) {
    row_stride_ = order == Order::kRows ? columns + 3 : order == Order::kColumns ? 1 : 2;
    column_stride_ = order == Order::kRows ? 1 : order == Order::kColumns ? rows + 1 : 2 * rows + 1;
    const auto size = size_t(rows * row_stride_ + columns * column_stride_);
    floats_.assign(size, std::numeric_limits<float>::quiet_NaN());
    halves_.assign(size, 0x7fc0);
    std::mt19937 generator(seed);
    std::normal_distribution<float> distribution;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        floats_[place(i, j)] = distribution(generator);
        halves_[place(i, j)] = to_half(floats_[place(i, j)]);
      }
    }
  }

  ConstMatrix view() const {
    const void* data = type_ == kFloat ? static_cast<const void*>(floats_.data()) : halves_.data();
    return {data, type_, row_stride_, column_stride_};
  }
  // As a product with such factors sees it.
  double at(int64_t i, int64_t j, ElementType factors) const {
    return type_ == kFloat && factors == kFloat ? floats_[place(i, j)]
                                                : from_half(halves_[place(i, j)]);
  }

 private:
  size_t place(int64_t i, int64_t j) const { return size_t(i * row_stride_ + j * column_stride_); }

  int64_t rows_, columns_;
  ElementType type_;
  int64_t row_stride_, column_stride_;
  std::vector<float> floats_;
  std::vector<uint16_t> halves_;
};

struct Size {
  int64_t rows, columns, depth;
};

struct Kind {
  ElementType left, right, factors, output;
  Order left_order, right_order;
  std::string text() const {
    const auto letter = [](ElementType type) { return type == kFloat ? 'f' : 'h'; };
    return {letter(left),
            letter(right),
            letter(factors),
            letter(output),
            ' ',
            char('0' + int(left_order)),
            char('0' + int(right_order))};
  }
};

struct Problem {
  Size size;
  Kind kind;
  Matrix left{size.rows, size.depth, kind.left, kind.left_order, 1};
  Matrix right{size.depth, size.columns, kind.right, kind.right_order, 2};
  std::vector<float> bias;
  int64_t stride = size.columns + 2;

  Problem(Size s, Kind k) : size(s), kind(k) {
    for (int64_t i = 0; i < size.columns; ++i) bias.push_back(float(i % 7) - 3);
  }

  std::vector<float> result(int threads, bool shifted = true) const {
    const auto count = size_t(size.rows * stride);
    std::vector<float> floats(count, 77);
    std::vector<uint16_t> halves(count, to_half(77));
    DenseProduct p;
    p.rows = size.rows;
    p.columns = size.columns;
    p.depth = size.depth;
    p.left = left.view();
    p.right = right.view();
    p.factors = kind.factors;
    if (shifted) p.bias = bias.data();
    p.output = kind.output == kFloat ? static_cast<void*>(floats.data()) : halves.data();
    p.output_type = kind.output;
    p.output_stride = stride;
    p.threads = threads;
    multiply(p);
    for (size_t i = 0; kind.output == kHalf && i < count; ++i) floats[i] = from_half(halves[i]);
    return floats;
  }
};

void expect_right(const Problem& p) {
  const std::vector<float> found = p.result(1), plain = p.result(1, false);
  for (int64_t i = 0; i < p.size.rows; ++i) {
    for (int64_t j = 0; j < p.stride; ++j) {
      const auto at = size_t(i * p.stride + j);
      if (j >= p.size.columns) {
        ASSERT_EQ(found[at], 77) << "written beyond the row";
        continue;
      }
      double expected = 0, absolute = 0;
      for (int64_t k = 0; k < p.size.depth; ++k) {
        const double term = p.left.at(i, k, p.kind.factors) * p.right.at(k, j, p.kind.factors);
        expected += term;
        absolute += std::abs(term);
      }
      const double shift = p.bias[size_t(j)];
      double bound = double(p.size.depth + 4) * 0x1p-24 * (absolute + std::abs(shift));
      if (p.kind.output == kHalf) bound += 0x1p-8 * (std::abs(expected) + std::abs(shift));
      ASSERT_NEAR(found[at], expected + shift, bound) << i << ", " << j;
      ASSERT_NEAR(plain[at], expected, bound) << i << ", " << j;
    }
  }
}

TEST(DenseProduct, EveryTypeAndOrder) {
  for (const auto left : {kFloat, kHalf}) {
    for (const auto right : {kFloat, kHalf}) {
      for (const auto factors : {kFloat, kHalf}) {
        for (const auto output : {kFloat, kHalf}) {
          for (const auto left_order : {Order::kRows, Order::kColumns, Order::kSpread}) {
            for (const auto right_order : {Order::kRows, Order::kColumns, Order::kSpread}) {
              const Kind kind{left, right, factors, output, left_order, right_order};
              SCOPED_TRACE(kind.text());
              expect_right({{13, 45, 37}, kind});
            }
          }
        }
      }
    }
  }
}

// The three products of a layer, in fp32 and as mixed precision has them.
const Kind kLayerKinds[] = {
    {kFloat, kFloat, kFloat, kFloat, Order::kRows, Order::kColumns},
    {kFloat, kFloat, kFloat, kFloat, Order::kRows, Order::kRows},
    {kFloat, kFloat, kFloat, kFloat, Order::kColumns, Order::kRows},
    {kHalf, kFloat, kHalf, kHalf, Order::kRows, Order::kColumns},
    {kHalf, kFloat, kHalf, kHalf, Order::kRows, Order::kRows},
    {kHalf, kHalf, kHalf, kFloat, Order::kColumns, Order::kRows},
};

TEST(DenseProduct, EverySize) {
  for (const Kind& kind : kLayerKinds) {
    for (const Size size : {Size{1, 1, 1},
                            {8, 32, 2},
                            {7, 33, 1},
                            {65, 31, 64},
                            {130, 100, 9},
                            {3, 64, 1100},
                            {70, 20, 515},
                            {70, 20, 2100},
                            {9, 1100, 20},
                            {2, 3, 70001}}) {
      SCOPED_TRACE(kind.text() + ": " + std::to_string(size.rows) + " x " +
                   std::to_string(size.columns) + " x " + std::to_string(size.depth));
      expect_right({size, kind});
    }
  }
}

TEST(DenseProduct, DoesNotDependOnThreads) {
  for (const Kind& kind : kLayerKinds) {
    for (const Size size : {Size{200, 70, 2100}, {5, 1100, 40}, {1000, 8, 33}}) {
      const Problem p{size, kind};
      const std::vector<float> expected = p.result(1);
      for (const int threads : {2, 3, 7}) EXPECT_EQ(p.result(threads), expected) << kind.text();
    }
  }
}

TEST(DenseProduct, NothingToDo) {
  DenseProduct p;
  p.depth = 4;
  multiply(p);
  p.rows = 3;
  multiply(p);
}

}  // namespace
}  // namespace attend::kernels
