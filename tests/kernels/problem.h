// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A random attention with everything that it points to.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "array.h"
#include "attend/kernels/attention.h"

namespace attend::kernels::testing {

struct Shape {
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, dim = 8, value_dim = 8;
  ElementType type = ElementType::kFloat32;
};
std::string to_string(const Shape& shape);

/// Which axes of a bias are repeated by a stride of 0.
struct Broadcast {
  bool batch = false, head = false, query = false, key = false;
};

/// Copyable; tests change its members freely before they run it.
class Problem {
 public:
  /// Query, key, value and the loss by the output are standard normal; scores too, then.
  explicit Problem(const Shape& shape, Layout layout = Layout::kHeadsFirst, uint64_t seed = 1);

  /// Sequences of these lengths behind each other. shape.batch, queries and keys are set here.
  static Problem packed(Shape shape, const std::vector<int64_t>& query_lengths,
                        const std::vector<int64_t>& key_lengths,
                        Layout layout = Layout::kHeadsFirst, uint64_t seed = 1);

  /// Standard normal, each entry forbidden with the probability given.
  void add_bias(const Broadcast& broadcast, double forbidden = 0);
  void add_distance_bias(int64_t reach);
  void add_alibi();
  void add_sink();
  void add_block_mask(int64_t query_block, int64_t key_block, double allowed,
                      const Broadcast& broadcast = {});
  void add_key_lengths(std::vector<int64_t> lengths) { key_lengths = std::move(lengths); }
  /// Moves the keys and values to shuffled pages; the other pages hold NaN, and the table behind
  /// the lengths names pages that do not exist.
  void move_to_pages(int64_t page_size);
  /// Multiplies the queries, so that the largest scale * q.k is this in magnitude.
  void scale_scores_to(double magnitude);
  /// Random losses by the log-sum-exp and the entropy.
  void add_statistics_loss();

  /// With every pointer set; valid while this lives unchanged.
  Attention attention() const;

  double normal() { return normal_(random); }
  std::vector<float> normals(int64_t count);

  Attention settings;  ///< sizes and scalars; its pointers are ignored
  Layout layout;
  std::mt19937_64 random;
  Array query, key, value, d_output;
  std::vector<float> bias, distance_bias, alibi_slopes, sink, d_lse, d_entropy;
  Strides bias_strides, block_strides;
  std::vector<uint8_t> block_mask;
  std::vector<int64_t> query_offsets, query_lengths, key_lengths, query_starts, key_starts;
  std::vector<int32_t> pages;

 private:
  std::normal_distribution<double> normal_;
};

/// Strides of a dense [batch, heads, queries, keys] array without the broadcast axes, and its size.
Strides dense_strides(const Attention& a, const Broadcast& broadcast, int64_t queries,
                      int64_t keys);
int64_t dense_size(const Attention& a, const Broadcast& broadcast, int64_t queries, int64_t keys);

}  // namespace attend::kernels::testing
