// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/positions.h"

#include "attend/nn/rms_norm.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::random;
using testing::real;

TEST(Positions, SinusoidsFollowThePaper) {
  const torch::Tensor table = sinusoidal_positions(7, 6, real());
  for (int64_t place = 0; place < 7; ++place) {
    for (int64_t column = 0; column < 6; ++column) {
      const double angle =
          static_cast<double>(place) / std::pow(10000.0, static_cast<double>(column / 2 * 2) / 6.0);
      EXPECT_NEAR(table[place][column].item<double>(),
                  column % 2 == 0 ? std::sin(angle) : std::cos(angle), 1e-12);
    }
  }
  EXPECT_EQ(sinusoidal_positions(3, 5).size(1), 5);
}

TEST(Positions, EmbeddingAddsByPosition) {
  torch::manual_seed(1);
  for (const PositionKind kind : {PositionKind::kLearned, PositionKind::kSinusoidal}) {
    PositionEmbedding embedding(
        PositionEmbeddingOptions{.kind = kind, .hidden = 4, .max_length = 9});
    embedding->to(torch::kDouble);
    const torch::Tensor x = random({2, 9, 4});
    const torch::Tensor whole = embedding->forward(x);
    EXPECT_TRUE(close((whole - x)[0], (whole - x)[1]));
    EXPECT_FALSE(close((whole - x)[0][1], (whole - x)[0][2]));
    EXPECT_TRUE(close(embedding->forward(x.narrow(1, 4, 3), 4), whole.narrow(1, 4, 3)));
  }
  PositionEmbedding none(PositionEmbeddingOptions{.kind = PositionKind::kRotary, .hidden = 4});
  const torch::Tensor x = random({1, 3, 4});
  EXPECT_TRUE(torch::equal(none->forward(x), x));
}

TEST(Positions, LearnedTableNamesItsLimit) {
  PositionEmbedding embedding(
      PositionEmbeddingOptions{.kind = PositionKind::kLearned, .hidden = 4, .max_length = 3});
  try {
    embedding->forward(torch::zeros({1, 4, 4}));
    FAIL() << "no Error was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_NE(std::string(error.what()).find("max_length 3"), std::string::npos);
  }
}

TEST(Positions, RotaryScoresDependOnTheDifferenceOnly) {
  torch::manual_seed(2);
  const torch::Tensor query = random({1, 1, 1, 8});
  const torch::Tensor key = random({1, 1, 1, 8});
  for (const int64_t dim : {8, 4}) {
    const auto score = [&](int64_t query_place, int64_t key_place) {
      const auto turned = [&](const torch::Tensor& vector, int64_t place) {
        return apply_rotary(vector, rotary_angles(place, 1, dim, 10000, real()));
      };
      return (turned(query, query_place) * turned(key, key_place)).sum().item<double>();
    };
    EXPECT_NEAR(score(3, 1), score(102, 100), 1e-9);
    EXPECT_NEAR(score(5, 5), (query * key).sum().item<double>(), 1e-9);
    EXPECT_GT(std::abs(score(3, 1) - score(4, 1)), 1e-4);
  }
}

TEST(Positions, RotaryTurnsPairsAndKeepsLength) {
  torch::manual_seed(3);
  const torch::Tensor x = random({2, 3, 5, 6});
  const torch::Tensor turned = apply_rotary(x, rotary_angles(2, 5, 4, 100, real()));
  EXPECT_TRUE(close(turned.norm(2, -1), x.norm(2, -1)));
  EXPECT_TRUE(close(turned.narrow(3, 4, 2), x.narrow(3, 4, 2)));
  for (int64_t pair = 0; pair < 2; ++pair) {  // position 2 + 1, frequency 100^(-pair / 2)
    const double angle = 3 * std::pow(100.0, -static_cast<double>(pair) / 2);
    const double a = x[1][2][1][pair].item<double>();
    const double b = x[1][2][1][pair + 2].item<double>();
    EXPECT_NEAR(turned[1][2][1][pair].item<double>(), a * std::cos(angle) - b * std::sin(angle),
                1e-12);
    EXPECT_NEAR(turned[1][2][1][pair + 2].item<double>(), b * std::cos(angle) + a * std::sin(angle),
                1e-12);
  }
}

TEST(Positions, AlibiSlopesArePublishedOnes) {
  EXPECT_TRUE(close(
      alibi_slopes(8),
      torch::tensor({0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625}, real())));
  // Not a power of two: those of 4 heads, then every second one of 8.
  EXPECT_TRUE(close(alibi_slopes(6),
                    torch::tensor({0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125}, real())));
  EXPECT_TRUE(close(alibi_slopes(1), torch::tensor({0.00390625}, real())));
}

TEST(Positions, RelativeBucketsAreThoseOfT5) {
  // Both directions, 32 buckets, 128: 8 exact and 8 logarithmic ones each way.
  EXPECT_EQ(relative_bucket(0, 32, 128, false), 0);
  EXPECT_EQ(relative_bucket(-7, 32, 128, false), 7);
  EXPECT_EQ(relative_bucket(-8, 32, 128, false), 8);
  EXPECT_EQ(relative_bucket(-12, 32, 128, false), 9);
  EXPECT_EQ(relative_bucket(-100, 32, 128, false), 15);
  EXPECT_EQ(relative_bucket(-1000, 32, 128, false), 15);
  EXPECT_EQ(relative_bucket(1, 32, 128, false), 17);
  EXPECT_EQ(relative_bucket(1000, 32, 128, false), 31);
  EXPECT_EQ(relative_bucket(5, 32, 128, true), 0);
  EXPECT_EQ(relative_bucket(-15, 32, 128, true), 15);
  EXPECT_EQ(relative_bucket(-127, 32, 128, true), 31);
}

TEST(Positions, RelativeBiasReadsItsTable) {
  torch::manual_seed(4);
  for (const bool causal : {false, true}) {
    for (const RelativeBiasKind kind : {RelativeBiasKind::kBucketed, RelativeBiasKind::kClipped}) {
      AttentionOptions options{.hidden = 4, .heads = 2, .causal = causal};
      options.relative_kind = kind;
      options.relative_buckets = 8;
      options.relative_max_distance = 10;
      RelativeBias bias(options);
      testing::randomise(bias);
      const torch::Tensor table = bias->named_parameters()["table"];
      const torch::Tensor row = bias->forward();
      EXPECT_EQ(row.sizes(), torch::IntArrayRef({2, 21}));
      for (int64_t distance = -10; distance <= 10; ++distance) {
        const int64_t clipped = causal ? std::max<int64_t>(0, -distance) : distance + 10;
        const int64_t expected =
            kind == RelativeBiasKind::kClipped ? clipped : relative_bucket(distance, 8, 10, causal);
        EXPECT_TRUE(close(row.select(1, distance + 10), table[expected]));
      }
    }
  }
}

TEST(RmsNorm, FollowsItsDefinition) {
  torch::manual_seed(5);
  RmsNorm norm(6);
  testing::randomise(norm);
  const torch::Tensor x = random({2, 3, 6});
  const torch::Tensor root = ((x * x).mean(-1, true) + 1e-6).sqrt();
  EXPECT_TRUE(close(norm->forward(x), x / root * norm->named_parameters()["gain"]));
  std::vector<torch::Tensor> inputs = norm->parameters();
  inputs.push_back(x);
  EXPECT_TRUE(testing::gradients_match([&] { return norm->forward(x); }, inputs));
}

}  // namespace
}  // namespace attend
