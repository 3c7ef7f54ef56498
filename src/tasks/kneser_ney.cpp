// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/kneser_ney.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace attend {
namespace {

constexpr int32_t kRoot = 0;

// Chen and Goodman 1999, equation 26; what cannot be estimated from so few n-grams falls back to
// the single discount of Kneser and Ney, or to a half.
std::array<double, 3> estimated_discounts(const std::array<int64_t, 5>& with) {
  const auto n = [&](int count) { return static_cast<double>(with[static_cast<size_t>(count)]); };
  if (n(1) == 0 || n(2) == 0) return {0.5, 0.5, 0.5};
  const double y = n(1) / (n(1) + 2 * n(2));
  if (n(3) == 0 || n(4) == 0) return {y, y, y};
  const auto discount = [&](int count) {
    const double value = count - (count + 1) * y * n(count + 1) / n(count);
    return std::clamp(value, 0.0, static_cast<double>(count));
  };
  return {discount(1), discount(2), discount(3)};
}

}  // namespace

KneserNey::KneserNey(const KneserNeyOptions& options, std::span<const std::vector<int32_t>> texts)
    : options_(options) {
  assert(options.order >= 1 && options.vocabulary >= 1);
  build(texts);
}

// Positions sorted by the symbols that follow are a trie laid flat: one pass per depth cuts each
// node's range into those of its children.
void KneserNey::build(std::span<const std::vector<int32_t>> texts) {
  std::vector<int32_t> all;
  for (const auto& text : texts) {
    all.push_back(begin_symbol());
    all.insert(all.end(), text.begin(), text.end());
    all.push_back(end_symbol());
  }
  const auto order = static_cast<size_t>(options_.order);
  // -1 behind the end of a text, where no n-gram reaches.
  const auto symbol = [&](int32_t position, size_t depth) {
    for (size_t i = 0; i < depth; ++i) {
      if (all[static_cast<size_t>(position) + i] == end_symbol()) return -1;
    }
    return all[static_cast<size_t>(position) + depth];
  };
  std::vector<int32_t> positions(all.size());
  std::iota(positions.begin(), positions.end(), 0);
  std::sort(positions.begin(), positions.end(), [&](int32_t left, int32_t right) {
    for (size_t depth = 0; depth < order; ++depth) {
      const int32_t a = symbol(left, depth), b = symbol(right, depth);
      if (a != b) return a < b;
      if (a < 0) return false;
    }
    return false;
  });

  nodes_.push_back({});
  std::vector<std::pair<size_t, size_t>> ranges = {{0, positions.size()}};
  std::vector<int32_t> depths = {0, 1};  // the first node of each depth
  for (size_t depth = 0; depth < order; ++depth) {
    const auto first = static_cast<size_t>(depths[depth]);
    const auto last = static_cast<size_t>(depths[depth + 1]);
    for (size_t node = first; node < last; ++node) {
      const auto [begin, end] = ranges[node];
      nodes_[node].first_child = static_cast<int64_t>(nodes_.size());
      for (size_t at = begin; at < end;) {
        const int32_t found = symbol(positions[at], depth);
        size_t next = at + 1;
        while (next < end && symbol(positions[next], depth) == found) ++next;
        if (found >= 0) {
          Node added;
          added.symbol = found;
          added.parent = static_cast<int32_t>(node);
          added.count = static_cast<uint32_t>(next - at);
          nodes_.push_back(added);
          ranges.push_back({at, next});
        }
        at = next;
      }
      nodes_[node].children = static_cast<int64_t>(nodes_.size()) - nodes_[node].first_child;
    }
    depths.push_back(static_cast<int32_t>(nodes_.size()));
  }
  count_continuations(depths);
  estimate_discounts(depths);
}

// Below the highest order an n-gram counts as often as there are distinct symbols before it; one
// that begins a text has none before it and keeps its count.
void KneserNey::count_continuations(const std::vector<int32_t>& depths) {
  const auto begins_text = [&](size_t node) {
    while (nodes_[node].parent != kRoot) node = static_cast<size_t>(nodes_[node].parent);
    return nodes_[node].symbol == begin_symbol();
  };
  // suffix[node]: the same n-gram without its first symbol.
  std::vector<int32_t> suffix(nodes_.size(), kRoot);
  for (size_t depth = 1; depth + 1 < depths.size(); ++depth) {
    for (auto node = static_cast<size_t>(depths[depth]);
         node < static_cast<size_t>(depths[depth + 1]); ++node) {
      if (static_cast<int64_t>(depth) < options_.order && !begins_text(node)) {
        nodes_[node].count = 0;
      }
      if (depth == 1) continue;
      const int64_t of_parent = suffix[static_cast<size_t>(nodes_[node].parent)];
      suffix[node] = static_cast<int32_t>(child(of_parent, nodes_[node].symbol));
      ++nodes_[static_cast<size_t>(suffix[node])].count;
    }
  }
}

void KneserNey::estimate_discounts(const std::vector<int32_t>& depths) {
  discounts_.assign(static_cast<size_t>(options_.order) + 1, options_.discounts);
  for (size_t depth = 1; depth + 1 < depths.size(); ++depth) {
    std::array<int64_t, 5> with{};
    for (auto i = static_cast<size_t>(depths[depth]); i < static_cast<size_t>(depths[depth + 1]);
         ++i) {
      if (nodes_[i].symbol == begin_symbol()) continue;  // it is never predicted
      const uint32_t count = nodes_[i].count;
      if (count <= 4) ++with[count];
      Node& parent = nodes_[static_cast<size_t>(nodes_[i].parent)];
      parent.total += count;
      ++parent.with[std::min<uint32_t>(count, 3) - 1];
    }
    if (options_.discounts[0] < 0) discounts_[depth] = estimated_discounts(with);
  }
}

int64_t KneserNey::child(int64_t node, int32_t symbol) const {
  const Node& of = nodes_[static_cast<size_t>(node)];
  const auto begin = nodes_.begin() + of.first_child;
  const auto end = begin + of.children;
  const auto found = std::lower_bound(
      begin, end, symbol, [](const Node& one, int32_t wanted) { return one.symbol < wanted; });
  return found != end && found->symbol == symbol ? found - nodes_.begin() : -1;
}

double KneserNey::discounted(uint32_t count, int64_t order) const {
  if (count == 0) return 0;
  const auto& discounts = discounts_[static_cast<size_t>(order)];
  return count - discounts[std::min<uint32_t>(count, 3) - 1];
}

// What the discounts of `order` leave to the lower one.
double KneserNey::left_over(const Node& context, int64_t order) const {
  const auto& discounts = discounts_[static_cast<size_t>(order)];
  double mass = 0;
  for (size_t i = 0; i < 3; ++i) mass += discounts[i] * context.with[i];
  return mass / context.total;
}

// The nodes of the last 0, 1, 2, ... symbols, as far as they occurred with something behind them.
std::vector<int64_t> KneserNey::contexts(std::span<const int32_t> before) const {
  std::vector<int64_t> found = {kRoot};
  const auto length = static_cast<int64_t>(before.size());
  for (int64_t size = 1; size < options_.order && size <= length + 1; ++size) {
    int64_t node = kRoot;
    for (int64_t i = length - size; i < length && node >= 0; ++i) {
      node = child(node, i < 0 ? begin_symbol() : before[static_cast<size_t>(i)]);
    }
    if (node < 0 || nodes_[static_cast<size_t>(node)].total == 0) break;
    found.push_back(node);
  }
  return found;
}

double KneserNey::probability(std::span<const int32_t> before, int32_t symbol) const {
  double p = 1.0 / static_cast<double>(options_.vocabulary + 1);
  int64_t order = 0;
  for (const int64_t node : contexts(before)) {
    const Node& context = nodes_[static_cast<size_t>(node)];
    ++order;
    if (context.total == 0) continue;  // nothing was ever seen
    const int64_t seen = child(node, symbol);
    const double own =
        seen < 0 ? 0 : discounted(nodes_[static_cast<size_t>(seen)].count, order) / context.total;
    p = own + left_over(context, order) * p;
  }
  return p;
}

std::vector<double> KneserNey::distribution(std::span<const int32_t> before) const {
  const auto size = static_cast<size_t>(options_.vocabulary) + 1;
  std::vector<double> p(size, 1.0 / static_cast<double>(size));
  int64_t order = 0;
  for (const int64_t node : contexts(before)) {
    const Node& context = nodes_[static_cast<size_t>(node)];
    ++order;
    if (context.total == 0) continue;
    const double rest = left_over(context, order);
    for (double& value : p) value *= rest;
    for (int64_t i = 0; i < context.children; ++i) {
      const Node& seen = nodes_[static_cast<size_t>(context.first_child + i)];
      if (seen.symbol == begin_symbol()) continue;
      p[static_cast<size_t>(seen.symbol)] += discounted(seen.count, order) / context.total;
    }
  }
  return p;
}

double KneserNey::log_likelihood(std::span<const int32_t> text) const {
  double sum = std::log(probability(text, end_symbol()));
  for (size_t i = 0; i < text.size(); ++i) sum += std::log(probability(text.first(i), text[i]));
  return sum;
}

// Interpolation read as a lottery: the longest context keeps the draw or hands it to the next.
std::vector<int32_t> KneserNey::sample(Random& random, int64_t longest) const {
  std::vector<int32_t> text;
  while (static_cast<int64_t>(text.size()) < longest) {
    const std::vector<int64_t> path = contexts(text);
    int32_t drawn = -1;
    for (auto order = static_cast<int64_t>(path.size()); order >= 1 && drawn < 0; --order) {
      const Node& context = nodes_[static_cast<size_t>(path[static_cast<size_t>(order - 1)])];
      if (context.total == 0) continue;
      double rest = random.uniform() * context.total;
      for (int64_t i = 0; i < context.children && drawn < 0; ++i) {
        const Node& seen = nodes_[static_cast<size_t>(context.first_child + i)];
        if (seen.symbol == begin_symbol()) continue;
        rest -= discounted(seen.count, order);
        if (rest < 0) drawn = seen.symbol;
      }
    }
    if (drawn < 0) {
      drawn = static_cast<int32_t>(random.below(static_cast<uint64_t>(options_.vocabulary + 1)));
    }
    if (drawn == end_symbol()) break;
    text.push_back(drawn);
  }
  return text;
}

double perplexity(const KneserNey& model, std::span<const std::vector<int32_t>> texts) {
  double sum = 0;
  double symbols = 0;
  for (const auto& text : texts) {
    sum += model.log_likelihood(text);
    symbols += static_cast<double>(text.size()) + 1;
  }
  return std::exp(-sum / symbols);
}

}  // namespace attend
