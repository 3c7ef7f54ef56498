// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/train/batches.h"

#include <algorithm>
#include <numeric>

#include "attend/base/random.h"

namespace attend {
namespace {

std::vector<int64_t> all_rows(const Dataset& data) {
  std::vector<int64_t> rows(static_cast<size_t>(data.size()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  return rows;
}

void sort_by_length(const Dataset& data, std::span<int64_t> rows) {
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t left, int64_t right) {
    return data.length(left) < data.length(right);
  });
}

}  // namespace

BatchPlan plan_epoch(const Dataset& data, const TrainOptions& options, int64_t epoch) {
  // One generator per epoch: nothing but two numbers has to be saved to continue.
  Random random(static_cast<uint64_t>(options.seed) * 0x9e3779b97f4a7c15ULL +
                static_cast<uint64_t>(epoch));
  std::vector<int64_t> rows = all_rows(data);
  random.shuffle(std::span<int64_t>(rows));
  const auto bucket = static_cast<size_t>(options.batch_size * options.bucket_batches);
  if (options.bucket_batches > 1) {
    for (size_t begin = 0; begin < rows.size(); begin += bucket) {
      const size_t count = std::min(bucket, rows.size() - begin);
      sort_by_length(data, std::span<int64_t>(rows).subspan(begin, count));
    }
  }
  BatchPlan plan;
  std::vector<int64_t> batch;
  int64_t longest = 0;
  for (const int64_t row : rows) {
    const int64_t grown = std::max(longest, data.length(row));
    const auto count = static_cast<int64_t>(batch.size()) + 1;
    const bool too_large = options.batch_positions > 0 && count * grown > options.batch_positions;
    if (!batch.empty() && (count > options.batch_size || too_large)) {
      plan.push_back(std::move(batch));
      batch.clear();
      longest = 0;
    }
    batch.push_back(row);
    longest = std::max(longest, data.length(row));
  }
  if (!batch.empty()) plan.push_back(std::move(batch));
  random.shuffle(std::span<std::vector<int64_t>>(plan));
  return plan;
}

BatchPlan plan_by_length(const Dataset& data, int64_t batch_size) {
  std::vector<int64_t> rows = all_rows(data);
  sort_by_length(data, rows);
  BatchPlan plan;
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(batch_size)) {
    const size_t end = std::min(rows.size(), begin + static_cast<size_t>(batch_size));
    plan.emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                      rows.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return plan;
}

}  // namespace attend
