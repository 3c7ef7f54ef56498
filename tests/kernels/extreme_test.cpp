// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Scores and values at the ends of their range, and NaN wherever a mask hides it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "compare.h"

namespace attend::kernels::testing {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Every score is exactly scores(j): one-dimensional in effect, with small whole numbers.
template <typename F>
Problem with_scores(Shape shape, F score_of_key) {
  Problem p(shape);
  p.settings.scale = 1;
  for (int64_t b = 0; b < shape.batch; ++b) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      for (int64_t i = 0; i < shape.queries; ++i) {
        p.query.fill_row(b, h, i, 0);
        p.query.set(b, h, i, 0, 100);
        p.query.set(b, h, i, 1, 1);
      }
    }
    for (int64_t h = 0; h < shape.kv_heads; ++h) {
      for (int64_t j = 0; j < shape.keys; ++j) {
        const int64_t score = score_of_key(j);
        p.key.fill_row(b, h, j, 0);
        p.key.set(b, h, j, 0, double(score / 100));
        p.key.set(b, h, j, 1, double(score % 100));
      }
    }
  }
  return p;
}

constexpr Shape kShapes[] = {
    {.heads = 2, .kv_heads = 1, .queries = 40, .keys = 75, .dim = 16, .value_dim = 24},
    {.heads = 2, .kv_heads = 1, .queries = 40, .keys = 75, .dim = 16, .value_dim = 32},
    {.heads = 2, .kv_heads = 1, .queries = 2, .keys = 600, .dim = 16, .value_dim = 24},
};

TEST(ExtremeScores, AllEqual) {
  for (const Shape& shape : kShapes) {
    for (const int64_t score : {0, 1, -1, 32, 10000, -10000}) {
      const Problem p = with_scores(shape, [&](int64_t) { return score; });
      // Equal scores round alike, so that the weights stay exact at any size.
      const ForwardReference reference = reference_forward(p.attention());
      const Forward f = run_forward(p, kWholeTrace);
      EXPECT_TRUE(within(output_error(p, reference, f.output), kForwardBound)) << score;
      EXPECT_TRUE(within(statistics_error(p, reference, f, kWholeTrace),
                         forward_bound(std::abs(double(score)))))
          << score;
      for (int32_t k = 0; k < 5; ++k) EXPECT_EQ(f.top_keys[size_t(k)], k) << "score " << score;
    }
  }
}

TEST(ExtremeScores, PlusAndMinusTenThousand) {
  for (const Shape& shape : kShapes) {
    const Problem p =
        with_scores(shape, [](int64_t j) { return j % 3 == 1 ? int64_t(10000) : int64_t(-10000); });
    // The heavy keys share the weight equally; the others are 0 exactly.
    expect_forward(p, "plus and minus 1e4");
    expect_statistics(p, "plus and minus 1e4", kWholeTrace, forward_bound(10000));
    expect_backward(p, "plus and minus 1e4", forward_bound(10000));
  }
}

// The lengths of short sequences are not measured; a single score tells.
TEST(ExtremeScores, OneBeyondTheBound) {
  for (const int64_t length : {1, 9, 32, 64, 200}) {
    for (const bool causal : {false, true}) {
      Problem p({.batch = 2,
                 .heads = 2,
                 .kv_heads = 2,
                 .queries = length,
                 .keys = length,
                 .dim = 32,
                 .value_dim = 32});
      p.settings.causal = causal;
      for (const double number : {25.0, -25.0, 1e19}) {
        p.query.fill_row(1, 1, length / 2, number);
        p.key.fill_row(1, 1, length / 3, 1);
        const double largest = std::abs(number) * std::sqrt(32);
        const std::string name = std::to_string(length) + ", " + std::to_string(number);
        expect_statistics(p, name, kWholeTrace, forward_bound(largest));
        expect_forward(p, name, forward_bound(largest));
      }
    }
  }
}

TEST(ExtremeScores, NeighboursNearTenThousand) {
  for (const Shape& shape : kShapes) {
    for (const int64_t sign : {1, -1}) {
      const Problem p = with_scores(shape, [&](int64_t j) { return sign * (10000 - j % 7); });
      expect_forward(p, "near 1e4", forward_bound(10000));
    }
  }
}

TEST(ExtremeScores, ARisingAndAFallingStaircase) {
  // The running maximum changes in every block, or never again after the first key.
  for (const Shape& shape : kShapes) {
    expect_forward(with_scores(shape, [](int64_t j) { return 16 * j; }), "rising",
                   forward_bound(9600));
    expect_forward(with_scores(shape, [](int64_t j) { return -16 * j; }), "falling",
                   forward_bound(9600));
    expect_forward(with_scores(shape, [](int64_t j) { return j % 2 ? 50 * j : -50 * j; }),
                   "alternating", forward_bound(30000));
  }
}

TEST(ExtremeScores, FromABiasOfInfiniteDistance) {
  for (const Shape& shape : kShapes) {
    Problem p(shape);
    p.add_bias({}, 0);
    // Row 0 sees nothing, row 1 one key, every third key is hidden from all.
    for (int64_t h = 0; h < shape.heads; ++h) {
      for (int64_t j = 0; j < shape.keys; ++j) {
        float* row = &p.bias[size_t(h * shape.queries * shape.keys + j)];
        row[0] = -INFINITY;
        row[shape.keys] = j == shape.keys - 1 ? 3.0f : -INFINITY;
        for (int64_t i = 2; i < shape.queries && j % 3 == 0; ++i) row[i * shape.keys] = -INFINITY;
      }
    }
    expect_forward(p, "bias of -inf");
    expect_statistics(p, "bias of -inf");
    expect_backward(p, "bias of -inf");
    std::fill(p.bias.begin(), p.bias.end(), -INFINITY);
    expect_statistics(p, "all -inf");
    expect_backward(p, "all -inf");
    p.add_sink();
    expect_statistics(p, "all -inf beside a sink");
    expect_backward(p, "all -inf beside a sink");
  }
}

TEST(ExtremeScores, BiasOfTenThousand) {
  for (const Shape& shape : kShapes) {
    Problem p(shape);
    p.add_bias({.batch = true, .head = true, .query = true});
    for (size_t j = 0; j < p.bias.size(); ++j) p.bias[j] = j % 2 ? 10000.0f : -10000.0f;
    expect_forward(p, "bias of 1e4", forward_bound(10000));
  }
}

TEST(ExtremeScores, Sinks) {
  for (const float sink : {-INFINITY, -1e4f, -30.0f, 30.0f, 1e4f}) {
    for (const Shape& shape : kShapes) {
      Problem p(shape);
      p.sink = {sink, sink};
      const double size = std::isinf(sink) ? 0 : std::abs(double(sink));
      expect_statistics(p, "sink " + std::to_string(sink), kWholeTrace, forward_bound(size));
    }
  }
}

TEST(ExtremeScores, SoftCap) {
  for (const double cap : {0.5, 5.0, 50.0}) {
    for (const double scores : {0.01, 1.0, 100.0, 10000.0}) {
      Problem p(kShapes[0]);
      p.settings.soft_cap = cap;
      p.scale_scores_to(scores);
      // tanh divides by the cap, so that the rounding of the score shrinks with it.
      expect_forward(p, "cap " + std::to_string(cap) + ", scores " + std::to_string(scores),
                     forward_bound(std::min(scores, 8 * cap)));
    }
  }
}

TEST(ExtremeValues, Denormals) {
  for (const Shape& shape : kShapes) {
    for (Array Problem::*member : {&Problem::query, &Problem::key, &Problem::value}) {
      Problem p(shape);
      Array& array = p.*member;
      for (int64_t h = 0; h < array.heads(); ++h) {
        for (int64_t r = 0; r < array.rows(); ++r) {
          for (int64_t d = 0; d < array.dim(); ++d) {
            array.set(0, h, r, d, 1e-40 * array.get(0, h, r, d));
          }
        }
      }
      const bool values = member == &Problem::value;
      // Products with a denormal are rounded to multiples of 2^-149, once per key.
      const double scale = 1e-40 * 3;
      const double bound = values ? double(shape.keys) * std::exp2(-149) / scale : kForwardBound;
      expect_forward(p, "denormals", std::max(bound, kForwardBound));
    }
  }
}

TEST(ExtremeValues, HugeAndTinyRows) {
  for (const double size : {1e30, 1e-30}) {
    for (const Shape& shape : kShapes) {
      Problem p(shape);
      for (int64_t j = 0; j < shape.keys; ++j) {
        for (int64_t d = 0; d < shape.value_dim; ++d) {
          p.value.set(0, 0, j, d, size * p.value.get(0, 0, j, d));
        }
      }
      expect_forward(p, "values near " + std::to_string(size));
    }
  }
}

class MaskedNaN : public ::testing::TestWithParam<double> {};

void hide_key(Problem& p, int64_t b, int64_t key) {
  for (int64_t h = 0; h < p.settings.kv_heads; ++h) {
    p.key.fill_row(b, h, key, MaskedNaN::GetParam());
    p.value.fill_row(b, h, key, MaskedNaN::GetParam());
  }
}

void expect_all(const Problem& p, const std::string& name) {
  expect_forward(p, name);
  expect_statistics(p, name);
  expect_backward(p, name);
}

constexpr Shape kBatches[] = {
    {.batch = 2, .heads = 2, .kv_heads = 1, .queries = 40, .keys = 75, .dim = 16, .value_dim = 24},
    // Whole vectors of values, which are read where they lie.
    {.batch = 2, .heads = 2, .kv_heads = 1, .queries = 40, .keys = 75, .dim = 16, .value_dim = 32},
    {.batch = 2, .heads = 2, .kv_heads = 1, .queries = 40, .keys = 61, .dim = 16, .value_dim = 32},
    {.batch = 2, .heads = 2, .kv_heads = 1, .queries = 3, .keys = 300, .dim = 20, .value_dim = 20},
    {.batch = 2, .heads = 2, .kv_heads = 2, .queries = 150, .keys = 150, .dim = 8, .value_dim = 8},
};

TEST_P(MaskedNaN, BehindTheKeyLength) {
  for (const Shape& shape : kBatches) {
    for (const int64_t length : {int64_t(0), int64_t(1), int64_t(29), shape.keys - 1}) {
      Problem p(shape);
      p.key_lengths = {shape.keys, length};
      for (int64_t j = length; j < shape.keys; ++j) hide_key(p, 1, j);
      expect_all(p, to_string(shape) + ", length " + std::to_string(length));
    }
  }
}

TEST_P(MaskedNaN, BehindTheQueryLength) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.query_lengths = {shape.queries - 2, 0};
    p.add_statistics_loss();
    p.add_bias({});
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        for (int64_t i = p.query_lengths[size_t(b)]; i < shape.queries; ++i) {
          p.query.fill_row(b, h, i, GetParam());
          p.d_output.fill_row(b, h, i, GetParam());
          const int64_t row = (b * shape.heads + h) * shape.queries + i;
          p.d_lse[size_t(row)] = p.d_entropy[size_t(row)] = float(GetParam());
          std::fill_n(p.bias.begin() + row * shape.keys, shape.keys, float(GetParam()));
        }
      }
    }
    expect_all(p, to_string(shape));
  }
}

TEST_P(MaskedNaN, InRowsThatSeeNoKey) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.settings.window_left = 0;
    p.settings.query_offset = shape.keys - 2;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        for (int64_t i = 2; i < shape.queries; ++i) {
          p.query.fill_row(b, h, i, GetParam());
          p.d_output.fill_row(b, h, i, GetParam());
        }
      }
    }
    expect_all(p, to_string(shape));
  }
}

TEST_P(MaskedNaN, BehindTheLastCausalKey) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.settings.causal = true;
    p.settings.query_offset = 3;
    for (int64_t j = shape.queries + 3; j < shape.keys; ++j) {
      hide_key(p, 0, j);
      hide_key(p, 1, j);
    }
    expect_all(p, to_string(shape));
  }
}

TEST_P(MaskedNaN, KeysOutsideEveryWindow) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.settings.window_left = 2;
    p.settings.window_right = 1;
    p.settings.query_offset = 8;
    for (int64_t j = 0; j < shape.keys; ++j) {
      if (j < 6 || j > 8 + shape.queries) hide_key(p, 1, j);
    }
    expect_all(p, to_string(shape));
  }
}

TEST_P(MaskedNaN, InClearedBlocks) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.add_block_mask(8, 10, 1);
    const int64_t columns = (shape.keys + 9) / 10;
    for (size_t n = 0; n < p.block_mask.size(); ++n) {
      if (int64_t(n) % columns == 2) p.block_mask[n] = 0;
    }
    for (int64_t j = 20; j < 30; ++j) hide_key(p, 0, j);
    expect_all(p, to_string(shape));
  }
}

TEST_P(MaskedNaN, UnderABiasOfMinusInfinity) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.add_bias({.batch = true, .head = true, .query = true});
    for (const int64_t j : {int64_t(0), int64_t(17), shape.keys - 1}) {
      p.bias[size_t(j)] = -INFINITY;
      hide_key(p, 1, j);
    }
    expect_all(p, to_string(shape));
  }
}

TEST_P(MaskedNaN, InTheBiasItself) {
  for (const Shape& shape : kBatches) {
    Problem p(shape);
    p.add_bias({});
    p.settings.causal = true;
    p.settings.query_offset = 1;
    p.key_lengths = {shape.keys - 5, shape.keys};
    const Attention a = p.attention();
    for (int64_t row = 0; row < 2 * shape.heads * shape.queries; ++row) {
      for (int64_t j = 0; j < shape.keys; ++j) {
        if (visible(a, row / (shape.heads * shape.queries), 0, row % shape.queries, j)) continue;
        p.bias[size_t(row * shape.keys + j)] = float(GetParam());
      }
    }
    expect_all(p, to_string(shape));
  }
}

// Later rows see this key and are NaN by right; the rows before it must not know.
TEST_P(MaskedNaN, InAValueThatLaterRowsSee) {
  for (const Shape& shape : kBatches) {
    for (const int64_t key : {1, 2, 13, 31}) {
      Problem p(shape);
      p.settings.causal = true;
      for (int64_t h = 0; h < shape.kv_heads; ++h) p.value.fill_row(0, h, key, GetParam());
      const ForwardReference reference = reference_forward(p.attention());
      const Array output = run_forward(p).output;
      Worst worst;
      for (int64_t h = 0; h < shape.heads; ++h) {
        for (int64_t i = 0; i < std::min(key, shape.queries); ++i) {
          for (int64_t d = 0; d < shape.value_dim; ++d) {
            const size_t row = size_t(h * shape.queries + i);
            worst.see(output.get(0, h, i, d),
                      reference.output[row * size_t(shape.value_dim) + size_t(d)],
                      reference.row_scale[row], "row " + std::to_string(i));
          }
        }
      }
      EXPECT_TRUE(within(worst, kForwardBound)) << to_string(shape) << ", key " << key;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Extreme, MaskedNaN, ::testing::Values(kNaN, kInfinity, -kInfinity));

}  // namespace
}  // namespace attend::kernels::testing
