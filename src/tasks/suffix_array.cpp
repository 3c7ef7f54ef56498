// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/suffix_array.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace attend {
namespace {

constexpr int32_t kBeforeAll = std::numeric_limits<int32_t>::min();  // a suffix that has ended

// Sorts `order` by key[position], stably; keys in [0, keys).
void counting_sort(std::vector<int32_t>& order, const std::vector<int32_t>& key, int64_t keys,
                   std::vector<int32_t>& scratch) {
  std::vector<int32_t> starts(static_cast<size_t>(keys) + 1, 0);
  for (const int32_t position : order) ++starts[static_cast<size_t>(key[position]) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  scratch.resize(order.size());
  for (const int32_t position : order) {
    scratch[static_cast<size_t>(starts[static_cast<size_t>(key[position])]++)] = position;
  }
  order.swap(scratch);
}

}  // namespace

SuffixArray::SuffixArray(std::vector<int32_t> text) : text_(std::move(text)) {
  const size_t size = text_.size();
  order_.resize(size);
  std::iota(order_.begin(), order_.end(), 0);
  if (size == 0) return;

  // rank[i]: place of suffix i by its first `done` symbols; equal beginnings share a rank.
  std::vector<int32_t> rank(size), next(size), scratch;
  std::vector<int32_t> symbols = text_;
  std::sort(symbols.begin(), symbols.end());
  symbols.erase(std::unique(symbols.begin(), symbols.end()), symbols.end());
  for (size_t i = 0; i < size; ++i) {
    rank[i] = static_cast<int32_t>(std::lower_bound(symbols.begin(), symbols.end(), text_[i]) -
                                   symbols.begin());
  }
  auto ranks = static_cast<int64_t>(symbols.size());
  counting_sort(order_, rank, ranks, scratch);
  for (size_t done = 1; ranks < static_cast<int64_t>(size); done *= 2) {
    // By the second half first: suffixes too short to have one come first, the others in the order
    // that their second half already has.
    std::vector<int32_t> by_second;
    by_second.reserve(size);
    for (size_t i = size - std::min(done, size); i < size; ++i) {
      by_second.push_back(static_cast<int32_t>(i));
    }
    for (const int32_t position : order_) {
      if (static_cast<size_t>(position) >= done) {
        by_second.push_back(position - static_cast<int32_t>(done));
      }
    }
    order_.swap(by_second);
    counting_sort(order_, rank, ranks, scratch);
    const auto second = [&](int32_t position) {
      const size_t at = static_cast<size_t>(position) + done;
      return at < size ? rank[at] : -1;
    };
    next[static_cast<size_t>(order_[0])] = 0;
    for (size_t i = 1; i < size; ++i) {
      const int32_t left = order_[i - 1], right = order_[i];
      const bool equal = rank[static_cast<size_t>(left)] == rank[static_cast<size_t>(right)] &&
                         second(left) == second(right);
      next[static_cast<size_t>(right)] = next[static_cast<size_t>(left)] + (equal ? 0 : 1);
    }
    rank.swap(next);
    ranks = rank[static_cast<size_t>(order_.back())] + 1;
  }
}

int32_t SuffixArray::symbol_at(int64_t rank, int64_t depth) const {
  const int64_t at = order_[static_cast<size_t>(rank)] + depth;
  return at < static_cast<int64_t>(text_.size()) ? text_[static_cast<size_t>(at)] : kBeforeAll;
}

SuffixArray::Range SuffixArray::narrow(Range range, int64_t depth, int32_t symbol) const {
  const auto first = [&](int64_t begin, int64_t end, auto&& before) {
    while (begin < end) {
      const int64_t middle = begin + (end - begin) / 2;
      if (before(symbol_at(middle, depth))) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  };
  const int64_t begin =
      first(range.begin, range.end, [&](int32_t found) { return found < symbol; });
  return {begin, first(begin, range.end, [&](int32_t found) { return found <= symbol; })};
}

int64_t SuffixArray::count(std::span<const int32_t> stretch) const {
  if (stretch.empty()) return 0;
  Range range{0, static_cast<int64_t>(order_.size())};
  for (size_t depth = 0; depth < stretch.size() && range.begin < range.end; ++depth) {
    if (stretch[depth] < 0) return 0;
    range = narrow(range, static_cast<int64_t>(depth), stretch[depth]);
  }
  return range.end - range.begin;
}

int64_t SuffixArray::longest_prefix(std::span<const int32_t> stretch) const {
  Range range{0, static_cast<int64_t>(order_.size())};
  for (size_t depth = 0; depth < stretch.size(); ++depth) {
    if (stretch[depth] < 0) return static_cast<int64_t>(depth);
    range = narrow(range, static_cast<int64_t>(depth), stretch[depth]);
    if (range.begin == range.end) return static_cast<int64_t>(depth);
  }
  return static_cast<int64_t>(stretch.size());
}

}  // namespace attend
