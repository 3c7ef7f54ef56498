// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "problem.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

#include "reference.h"

namespace attend::kernels::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Reading through it would fault: packed sequences have no batch stride.
constexpr int64_t kNoStride = int64_t(1) << 44;

int64_t total(const std::vector<int64_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t(0));
}

std::vector<int64_t> starts_of(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> starts(1);
  for (const int64_t length : lengths) starts.push_back(starts.back() + length);
  return starts;
}

template <typename T>
const T* or_null(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

std::string to_string(const Shape& s) {
  std::ostringstream text;
  text << (s.type == ElementType::kFloat32 ? "fp32 " : "bf16 ") << s.batch << "x" << s.heads << "/"
       << s.kv_heads << " heads, " << s.queries << "x" << s.keys << ", dim " << s.dim << "/"
       << s.value_dim;
  return text.str();
}

Strides dense_strides(const Attention& a, const Broadcast& broadcast, int64_t queries,
                      int64_t keys) {
  Strides strides;
  int64_t step = 1;
  const auto next = [&](bool repeated, int64_t count) {
    const int64_t stride = repeated ? 0 : step;
    if (!repeated) step *= count;
    return stride;
  };
  strides.dim = next(broadcast.key, keys);
  strides.row = next(broadcast.query, queries);
  strides.head = next(broadcast.head, a.heads);
  strides.batch = next(broadcast.batch, a.batch);
  return strides;
}

int64_t dense_size(const Attention& a, const Broadcast& broadcast, int64_t queries, int64_t keys) {
  return (broadcast.key ? 1 : keys) * (broadcast.query ? 1 : queries) *
         (broadcast.head ? 1 : a.heads) * (broadcast.batch ? 1 : a.batch);
}

Problem::Problem(const Shape& shape, Layout layout_of_all, uint64_t seed)
    : layout(layout_of_all), random(seed) {
  settings.batch = shape.batch;
  settings.heads = shape.heads;
  settings.kv_heads = shape.kv_heads;
  settings.queries = shape.queries;
  settings.keys = shape.keys;
  settings.dim = shape.dim;
  settings.value_dim = shape.value_dim;
  settings.type = shape.type;
  const auto make = [&](int64_t heads, int64_t rows, int64_t dim) {
    Array array(shape.type, layout, shape.batch, heads, rows, dim);
    for (int64_t b = 0; b < shape.batch; ++b) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t d = 0; d < dim; ++d) array.set(b, h, r, d, normal());
        }
      }
    }
    return array;
  };
  query = make(shape.heads, shape.queries, shape.dim);
  key = make(shape.kv_heads, shape.keys, shape.dim);
  value = make(shape.kv_heads, shape.keys, shape.value_dim);
  d_output = make(shape.heads, shape.queries, shape.value_dim);
}

Problem Problem::packed(Shape shape, const std::vector<int64_t>& query_lengths,
                        const std::vector<int64_t>& key_lengths, Layout layout, uint64_t seed) {
  shape.batch = 1;
  shape.queries = total(query_lengths);
  shape.keys = total(key_lengths);
  Problem problem(shape, layout, seed);
  problem.settings.batch = int64_t(query_lengths.size());
  problem.query_starts = starts_of(query_lengths);
  problem.key_starts = starts_of(key_lengths);
  return problem;
}

std::vector<float> Problem::normals(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& entry : values) entry = float(normal());
  return values;
}

void Problem::add_bias(const Broadcast& broadcast, double forbidden) {
  bias_strides = dense_strides(settings, broadcast, settings.queries, settings.keys);
  bias = normals(dense_size(settings, broadcast, settings.queries, settings.keys));
  std::bernoulli_distribution forbid(forbidden);
  for (float& entry : bias) {
    if (forbid(random)) entry = -kInfinity;
  }
}

void Problem::add_distance_bias(int64_t reach) {
  settings.distance_reach = reach;
  distance_bias = normals(settings.heads * (2 * reach + 1));
}

void Problem::add_alibi() {
  for (int64_t h = 0; h < settings.heads; ++h) {
    alibi_slopes.push_back(float(std::exp2(-8.0 * double(h + 1) / double(settings.heads))));
  }
}

void Problem::add_sink() { sink = normals(settings.heads); }

void Problem::add_block_mask(int64_t query_block, int64_t key_block, double allowed,
                             const Broadcast& broadcast) {
  settings.block_mask.query_block = query_block;
  settings.block_mask.key_block = key_block;
  const int64_t rows = (settings.queries + query_block - 1) / query_block;
  const int64_t columns = (settings.keys + key_block - 1) / key_block;
  block_strides = dense_strides(settings, broadcast, rows, columns);
  block_mask.resize(size_t(dense_size(settings, broadcast, rows, columns)));
  std::bernoulli_distribution allow(allowed);
  // Any byte that is not 0 allows.
  for (uint8_t& block : block_mask) block = allow(random) ? uint8_t(1 + random() % 255) : 0;
}

void Problem::move_to_pages(int64_t page_size) {
  const int64_t per_batch = (settings.keys + page_size - 1) / page_size;
  const int64_t count = settings.batch * per_batch + 2;
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  const auto move = [&](Array& array) {
    Array paged(settings.type, layout, count, settings.kv_heads, page_size, array.dim());
    for (int64_t page = 0; page < count; ++page) {
      for (int64_t h = 0; h < settings.kv_heads; ++h) {
        for (int64_t r = 0; r < page_size; ++r) paged.fill_row(page, h, r, std::nan(""));
      }
    }
    for (int64_t b = 0; b < settings.batch; ++b) {
      for (int64_t h = 0; h < settings.kv_heads; ++h) {
        for (int64_t j = 0; j < settings.keys; ++j) {
          const int64_t page = order[size_t(b * per_batch + j / page_size)];
          for (int64_t d = 0; d < array.dim(); ++d) {
            paged.set(page, h, j % page_size, d, array.get(b, h, j, d));
          }
        }
      }
    }
    array = paged;
  };
  move(key);
  move(value);
  pages.assign(order.begin(), order.end() - 2);
  for (int64_t b = 0; !key_lengths.empty() && b < settings.batch; ++b) {
    const int64_t used = (key_lengths[size_t(b)] + page_size - 1) / page_size;
    std::fill(pages.begin() + b * per_batch + used, pages.begin() + (b + 1) * per_batch,
              int32_t(1) << 30);
  }
  settings.page_size = page_size;
  settings.pages_per_batch = per_batch;
}

void Problem::scale_scores_to(double magnitude) {
  const Attention a = attention();
  double largest = 0;
  for (int64_t b = 0; b < a.batch; ++b) {
    for (int64_t h = 0; h < a.heads; ++h) {
      const HeadData data = head_data(a, b, h);
      for (int64_t i = 0; i < data.sequence.queries; ++i) {
        for (int64_t j = 0; j < data.sequence.keys; ++j) {
          const double product =
              dot(&data.query[size_t(i * a.dim)], &data.key[size_t(j * a.dim)], a.dim);
          largest = std::max(largest, std::abs(effective_scale(a) * product));
        }
      }
    }
  }
  const double factor = magnitude / largest;
  for (int64_t b = 0; b < query.batch(); ++b) {
    for (int64_t h = 0; h < query.heads(); ++h) {
      for (int64_t r = 0; r < query.rows(); ++r) {
        for (int64_t d = 0; d < query.dim(); ++d) {
          query.set(b, h, r, d, factor * query.get(b, h, r, d));
        }
      }
    }
  }
}

void Problem::add_statistics_loss() {
  const Attention a = attention();
  d_lse = normals(all_queries(a) * a.heads);
  d_entropy = normals(all_queries(a) * a.heads);
}

Attention Problem::attention() const {
  Attention a = settings;
  a.query = query.view();
  a.key = key.view();
  a.value = value.view();
  a.bias = {or_null(bias), bias_strides};
  a.block_mask.data = or_null(block_mask);
  a.block_mask.strides = block_strides;
  a.distance_bias = or_null(distance_bias);
  a.alibi_slopes = or_null(alibi_slopes);
  a.sink = or_null(sink);
  a.query_offsets = or_null(query_offsets);
  a.query_lengths = or_null(query_lengths);
  a.key_lengths = or_null(key_lengths);
  a.query_starts = or_null(query_starts);
  a.key_starts = or_null(key_starts);
  a.pages = or_null(pages);
  if (a.query_starts) {
    a.query.strides.batch = a.key.strides.batch = a.value.strides.batch = kNoStride;
  }
  return a;
}

}  // namespace attend::kernels::testing
