// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include <algorithm>
#include <functional>
#include <sstream>
#include <utility>

namespace attend::kernels::testing {
namespace {

struct Feature {
  const char* name;
  std::function<void(Problem&)> add;
};

std::vector<int64_t> spread_lengths(int64_t batch, int64_t longest) {
  std::vector<int64_t> lengths;
  for (int64_t b = 0; b < batch; ++b) lengths.push_back(longest - (b * longest) / batch);
  return lengths;
}

std::vector<Feature> features() {
  return {
      {"causal", [](Problem& p) { p.settings.causal = true; }},
      {"causal, offset",
       [](Problem& p) {
         p.settings.causal = true;
         p.settings.query_offset = 17;
       }},
      {"causal, offsets",
       [](Problem& p) {
         p.settings.causal = true;
         for (int64_t b = 0; b < p.settings.batch; ++b) p.query_offsets.push_back(9 * b);
       }},
      {"window 7, 3",
       [](Problem& p) {
         p.settings.window_left = 7;
         p.settings.window_right = 3;
       }},
      {"window 40 to the left, causal",
       [](Problem& p) {
         p.settings.window_left = 40;
         p.settings.causal = true;
       }},
      {"window 0, 0", [](Problem& p) { p.settings.window_left = p.settings.window_right = 0; }},
      {"window to the right, offset",
       [](Problem& p) {
         p.settings.window_right = 20;
         p.settings.query_offset = 5;
       }},
      {"key lengths",
       [](Problem& p) { p.key_lengths = spread_lengths(p.settings.batch, p.settings.keys); }},
      {"query lengths",
       [](Problem& p) { p.query_lengths = spread_lengths(p.settings.batch, p.settings.queries); }},
      {"bias", [](Problem& p) { p.add_bias({}, 0.05); }},
      {"bias of the keys", [](Problem& p) { p.add_bias({.head = true, .query = true}, 0.3); }},
      {"bias of the queries", [](Problem& p) { p.add_bias({.batch = true, .key = true}); }},
      {"bias of the heads", [](Problem& p) { p.add_bias({.batch = true}); }},
      {"distance bias", [](Problem& p) { p.add_distance_bias(12); }},
      {"distance bias of reach 0", [](Problem& p) { p.add_distance_bias(0); }},
      {"alibi", [](Problem& p) { p.add_alibi(); }},
      {"block mask 16 x 32", [](Problem& p) { p.add_block_mask(16, 32, 0.5); }},
      {"block mask 5 x 7",
       [](Problem& p) { p.add_block_mask(5, 7, 0.5, {.batch = true, .head = true}); }},
      {"block mask 64 x 64", [](Problem& p) { p.add_block_mask(64, 64, 0.6, {.head = true}); }},
      {"soft cap", [](Problem& p) { p.settings.soft_cap = 2; }},
      {"sink", [](Problem& p) { p.add_sink(); }},
      {"dropout",
       [](Problem& p) {
         p.settings.dropout = 0.3;
         p.settings.dropout_seed = 0x123456789abcdef;
       }},
      {"causal, offset before the keys",
       [](Problem& p) {
         p.settings.causal = true;
         p.settings.query_offset = -5;
       }},
  };
}

int64_t pick(std::mt19937_64& random, const std::vector<int64_t>& from) {
  return from[size_t(random() % from.size())];
}

}  // namespace

std::vector<NamedProblem> feature_cases(ElementType type) {
  std::vector<NamedProblem> cases;
  uint64_t seed = 0;
  const Shape shapes[] = {
      {.batch = 2,
       .heads = 2,
       .kv_heads = 1,
       .queries = 33,
       .keys = 47,
       .dim = 16,
       .value_dim = 24,
       .type = type},
      {.batch = 2,
       .heads = 2,
       .kv_heads = 2,
       .queries = 150,
       .keys = 131,
       .dim = 20,
       .value_dim = 16,
       .type = type},
      {.batch = 2,
       .heads = 4,
       .kv_heads = 2,
       .queries = 3,
       .keys = 270,
       .dim = 32,
       .value_dim = 32,
       .type = type},
  };
  for (const Feature& feature : features()) {
    for (const Shape& shape : shapes) {
      const Layout layout = kLayouts[seed % std::size(kLayouts)];
      Problem p(shape, layout, ++seed);
      feature.add(p);
      cases.push_back({feature.name + (", " + to_string(shape)) + ", " + to_string(layout), p});
    }
  }
  for (const Layout layout : {Layout::kHeadsFirst, Layout::kRowsFirst, Layout::kDimSpread}) {
    Problem p =
        Problem::packed({.heads = 4, .kv_heads = 2, .dim = 24, .value_dim = 16, .type = type},
                        {40, 0, 1, 77, 5, 3}, {30, 8, 64, 77, 0, 150}, layout);
    p.settings.causal = layout != Layout::kRowsFirst;
    p.settings.window_left = layout == Layout::kDimSpread ? 10 : -1;
    cases.push_back({std::string("packed, ") + to_string(layout), p});
  }
  return cases;
}

std::vector<NamedProblem> random_cases(int count, uint64_t seed, int64_t longest) {
  std::vector<NamedProblem> cases;
  std::mt19937_64 random(seed);
  const std::vector<Feature> all = features();
  for (int n = 0; n < count; ++n) {
    Shape shape;
    shape.batch = pick(random, {1, 1, 2, 3});
    shape.kv_heads = pick(random, {1, 1, 2, 3});
    shape.heads = shape.kv_heads * pick(random, {1, 1, 2, 4});
    shape.queries = 1 + int64_t(random() % uint64_t(longest));
    shape.keys = 1 + int64_t(random() % uint64_t(longest));
    shape.dim = pick(random, {8, 16, 24, 33, 64, 72, 128});
    shape.value_dim = pick(random, {8, 16, 20, 32, 64, 80});
    const Layout layout = kLayouts[random() % std::size(kLayouts)];
    Problem p(shape, layout, random());
    p.settings.threads = int(1 + random() % 3);
    std::ostringstream name;
    name << "random " << n << " of seed " << seed << ", " << to_string(shape) << ", "
         << to_string(layout) << ", threads " << p.settings.threads;
    for (const Feature& feature : all) {
      if (random() % 5 != 0) continue;
      feature.add(p);
      name << ", " << feature.name;
    }
    cases.push_back({name.str(), p});
  }
  return cases;
}

}  // namespace attend::kernels::testing
