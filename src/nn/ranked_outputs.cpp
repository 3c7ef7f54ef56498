// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/ranked_outputs.h"

#include <algorithm>
#include <cmath>

#include "attend/nn/parallel.h"
#include "elementwise_dispatch.h"

namespace attend {
namespace {

bool is_better(const RankedOutput& left, const RankedOutput& right) {
  return left.log_probability != right.log_probability
             ? left.log_probability > right.log_probability
             : left.index < right.index;
}

}  // namespace

void OutputRanking::add(std::span<const float> outputs) {
  const detail::Loops& loops = detail::active_loops();
  const auto size = static_cast<int64_t>(outputs.size());
  const int64_t first = seen_;
  seen_ += size;
  const float largest = loops.largest_of(outputs.data(), size);
  if (largest == -std::numeric_limits<float>::infinity()) {
    // The maximum passes over NaN.
    for (const float output : outputs) {
      if (std::isnan(output)) sum_ = output;
    }
    return;
  }
  if (largest > shift_) {
    sum_ *= std::exp(static_cast<double>(shift_) - largest);
    shift_ = largest;
  }
  sum_ += loops.sum_of_exp(outputs.data(), size, shift_);
  if (!(largest > threshold_)) return;
  constexpr int64_t kPart = 64;
  for (int64_t part = 0; part < size; part += kPart) {
    const int64_t end = std::min(part + kPart, size);
    if (!(loops.largest_of(outputs.data() + part, end - part) > threshold_)) continue;
    for (int64_t i = part; i < end; ++i) {
      const float output = outputs[static_cast<size_t>(i)];
      if (!(output > threshold_)) continue;
      if (static_cast<int64_t>(heap_.size()) == count_) {
        std::pop_heap(heap_.begin(), heap_.end(), is_better);
        heap_.pop_back();
      }
      heap_.push_back({output, first + i});
      std::push_heap(heap_.begin(), heap_.end(), is_better);
      if (static_cast<int64_t>(heap_.size()) == count_) {
        threshold_ = heap_.front().log_probability;
      }
    }
  }
}

std::vector<RankedOutput> OutputRanking::best() {
  if (!std::isfinite(sum_)) return {};
  std::sort_heap(heap_.begin(), heap_.end(), is_better);
  const double rest = std::log(sum_);  // apart from the shift, beside which it may be tiny
  for (RankedOutput& one : heap_) {
    one.log_probability = static_cast<float>(one.log_probability - shift_ - rest);
  }
  return std::move(heap_);
}

std::vector<std::vector<RankedOutput>> ranked_outputs(const torch::Tensor& outputs, int64_t count,
                                                      const std::vector<int64_t>& excluded) {
  torch::Tensor rows = outputs.detach().to(torch::kCPU, torch::kFloat).contiguous();
  if (!excluded.empty()) {
    rows = rows.index_fill(1, torch::tensor(excluded, torch::kInt64),
                           -std::numeric_limits<float>::infinity());
  }
  const int64_t size = rows.size(1);
  std::vector<std::vector<RankedOutput>> best(static_cast<size_t>(rows.size(0)));
  const float* numbers = rows.data_ptr<float>();
  at::parallel_for(0, rows.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      OutputRanking ranking(count);
      for (int64_t first = 0; first < size; first += kRankedBlock) {
        ranking.add({numbers + row * size + first,
                     static_cast<size_t>(std::min(kRankedBlock, size - first))});
      }
      best[static_cast<size_t>(row)] = ranking.best();
    }
  });
  return best;
}

}  // namespace attend
