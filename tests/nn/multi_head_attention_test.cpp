// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/multi_head_attention.h"

#include <torch/serialize.h>

#include <sstream>

#include "attend/nn/attention_function.h"
#include "attention_reference.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::gradients_match;
using testing::lengths_of;
using testing::random;
using testing::real;

constexpr PositionKind kInsideAttention[] = {PositionKind::kNone, PositionKind::kRotary,
                                             PositionKind::kAlibi, PositionKind::kRelative};

AttentionOptions small() { return AttentionOptions{.hidden = 8, .heads = 4}; }

MultiHeadAttention make(const AttentionOptions& options) {
  torch::manual_seed(3);
  MultiHeadAttention attention(options);
  testing::randomise(attention);
  return attention;
}

torch::Tensor heads_of(const torch::Tensor& joined, int64_t heads) {
  return joined.view({joined.size(0), joined.size(1), heads, -1}).transpose(1, 2).contiguous();
}

// The whole module from its parameters and the loop reference.
torch::Tensor by_hand(MultiHeadAttention& module, const torch::Tensor& x,
                      const torch::Tensor& memory, AttentionArguments arguments) {
  const AttentionOptions& options = module->options();
  auto parameters = module->named_parameters();
  const auto project = [&](const std::string& name, const torch::Tensor& from) {
    torch::Tensor result = torch::matmul(from, parameters[name + ".weight"].t());
    return options.bias ? result + parameters[name + ".bias"] : result;
  };
  const auto norm = [&](const std::string& name, const torch::Tensor& rows) {
    if (!options.qk_norm) return rows;
    const torch::Tensor root = (rows * rows).mean(-1, true).add(1e-6).sqrt();
    return rows / root * parameters[name + ".gain"];
  };
  torch::NoGradGuard no_grad;
  const torch::Tensor query = norm("query_norm", heads_of(project("query", x), options.heads));
  const torch::Tensor key =
      norm("key_norm", heads_of(project("key", memory), options.resolved_kv_heads()));
  const torch::Tensor value = heads_of(project("value", memory), options.resolved_kv_heads());
  if (options.sink) arguments.sink = parameters["sink"];
  torch::Tensor mixed =
      testing::reference_attention(query, key, value, arguments).output.transpose(1, 2).flatten(2);
  if (options.output_gate) mixed = mixed * torch::sigmoid(project("gate", x));
  return project("output", mixed);
}

TEST(MultiHeadAttention, EveryOptionEqualsTheDefinition) {
  std::vector<AttentionOptions> variants(9, small());
  variants[1].kv_heads = 2;
  variants[2].kv_heads = 1;
  variants[3].head_dim = 3;
  variants[4].qk_norm = true;
  variants[5].sink = true;
  variants[6].output_gate = true;
  variants[7].bias = false;
  variants[8] = {.hidden = 8,
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 6,
                 .scale = 0.3,
                 .causal = true,
                 .window_left = 2,
                 .qk_norm = true,
                 .sink = true,
                 .output_gate = true};
  for (const AttentionOptions& options : variants) {
    auto module = make(options);
    const torch::Tensor x = random({2, 5, 8});
    AttentionCall call;
    call.lengths = lengths_of({5, 3});
    AttentionArguments arguments;
    arguments.query_lengths = arguments.key_lengths = call.lengths;
    arguments.causal = options.causal;
    arguments.window_left = options.window_left;
    if (options.scale > 0) arguments.scale = options.scale;
    EXPECT_TRUE(close(module->forward(x, call).output, by_hand(module, x, x, arguments)));
  }
}

TEST(MultiHeadAttention, CrossAttention) {
  AttentionOptions options = small();
  options.memory = 6;
  options.kv_heads = 2;
  auto module = make(options);
  const torch::Tensor x = random({2, 3, 8});
  AttentionCall call;
  call.memory = random({2, 5, 6});
  call.memory_lengths = lengths_of({5, 2});
  AttentionArguments arguments;
  arguments.key_lengths = call.memory_lengths;
  const torch::Tensor expected = by_hand(module, x, call.memory, arguments);
  EXPECT_TRUE(close(module->forward(x, call).output, expected));
  // The first cached call stores the projected memory, the next one only reads it.
  KeyValueCache cache;
  call.cache = &cache;
  EXPECT_TRUE(close(module->forward(x.narrow(1, 0, 2), call).output, expected.narrow(1, 0, 2)));
  call.memory = torch::zeros_like(call.memory);
  EXPECT_TRUE(close(module->forward(x.narrow(1, 2, 1), call).output, expected.narrow(1, 2, 1)));
  EXPECT_EQ(cache.length(), 5);
}

TEST(MultiHeadAttention, BiasReachesTheScores) {
  auto module = make(small());
  const torch::Tensor x = random({2, 5, 8});
  AttentionCall call;
  call.bias = random({1, 4, 5, 5});
  AttentionArguments arguments;
  arguments.bias = call.bias;
  EXPECT_TRUE(close(module->forward(x, call).output, by_hand(module, x, x, arguments)));
}

TEST(MultiHeadAttention, BothRanks) {
  auto module = make(small());
  const torch::Tensor x = random({5, 8});
  EXPECT_TRUE(close(module->forward(x).output, module->forward(x.unsqueeze(0)).output[0]));
}

TEST(MultiHeadAttention, PaddedContentChangesNothing) {
  for (const PositionKind positions : kInsideAttention) {
    AttentionOptions options = small();
    options.positions = positions;
    options.head_dim = 4;
    auto module = make(options);
    torch::Tensor x = random({2, 6, 8});
    AttentionCall call;
    call.lengths = lengths_of({6, 4});
    const torch::Tensor before = module->forward(x, call).output;
    x[1].narrow(0, 4, 2).fill_(1e6);
    const torch::Tensor after = module->forward(x, call).output;
    EXPECT_TRUE(close(before[0], after[0]));
    EXPECT_TRUE(close(before[1].narrow(0, 0, 4), after[1].narrow(0, 0, 4)));
    EXPECT_TRUE(close(after[1].narrow(0, 0, 4), module->forward(x[1].narrow(0, 0, 4)).output));
  }
}

TEST(MultiHeadAttention, CausalOutputsIgnoreTheFuture) {
  for (const PositionKind positions : kInsideAttention) {
    AttentionOptions options = small();
    options.positions = positions;
    options.causal = true;
    auto module = make(options);
    torch::Tensor x = random({2, 6, 8});
    const torch::Tensor before = module->forward(x).output;
    x.narrow(1, 3, 3).fill_(7);
    const torch::Tensor after = module->forward(x).output;
    EXPECT_TRUE(close(before.narrow(1, 0, 3), after.narrow(1, 0, 3)));
    EXPECT_FALSE(close(before.narrow(1, 3, 3), after.narrow(1, 3, 3)));
  }
}

TEST(MultiHeadAttention, CacheEqualsTheFullForward) {
  for (const bool recorded : {false, true}) {
    for (const PositionKind positions : kInsideAttention) {
      AttentionOptions options = small();
      options.positions = positions;
      options.kv_heads = 2;
      options.causal = true;
      options.window_left = 20;
      options.sink = options.qk_norm = options.output_gate = true;
      auto module = make(options);
      const torch::Tensor x = random({2, 24, 8});
      const torch::Tensor full = module->forward(x).output;
      torch::AutoGradMode mode(recorded);
      KeyValueCache cache;
      AttentionCall call;
      call.cache = &cache;
      std::vector<torch::Tensor> steps = {module->forward(x.narrow(1, 0, 3), call).output};
      for (int64_t place = 3; place < 24; ++place) {
        steps.push_back(module->forward(x.narrow(1, place, 1), call).output);
      }
      EXPECT_TRUE(close(torch::cat(steps, 1), full));
      EXPECT_EQ(cache.length(), 24);
    }
  }
}

TEST(MultiHeadAttention, CacheReordersForBeams) {
  AttentionOptions options = small();
  options.causal = true;
  auto module = make(options);
  const torch::Tensor x = random({2, 4, 8});
  torch::NoGradGuard no_grad;
  KeyValueCache cache;
  AttentionCall call;
  call.cache = &cache;
  module->forward(x.narrow(1, 0, 3), call);
  const torch::Tensor rows = torch::tensor({1, 1, 0}, torch::kInt64);
  cache.reorder(rows);
  const torch::Tensor last = x.index_select(0, rows).narrow(1, 3, 1);
  const torch::Tensor expected = module->forward(x.index_select(0, rows)).output.narrow(1, 3, 1);
  EXPECT_TRUE(close(module->forward(last, call).output, expected));
  cache.clear();
  EXPECT_TRUE(cache.empty());
}

TEST(MultiHeadAttention, Gradients) {
  for (const PositionKind positions : kInsideAttention) {
    AttentionOptions options{.hidden = 4, .heads = 2, .kv_heads = 1, .causal = true};
    options.positions = positions;
    options.relative_kind = RelativeBiasKind::kClipped;
    options.relative_max_distance = 2;
    options.qk_norm = options.sink = options.output_gate = true;
    auto module = make(options);
    const torch::Tensor x = random({2, 3, 4});
    AttentionCall call;
    call.lengths = lengths_of({3, 2});
    std::vector<torch::Tensor> inputs = module->parameters();
    inputs.push_back(x);
    EXPECT_TRUE(gradients_match([&] { return module->forward(x, call).output; }, inputs));
  }
}

TEST(MultiHeadAttention, DropoutOnlyInTraining) {
  AttentionOptions options = small();
  options.dropout = 0.5;
  auto module = make(options);
  const torch::Tensor x = random({2, 5, 8});
  EXPECT_FALSE(close(module->forward(x).output, module->forward(x).output));
  module->eval();
  EXPECT_TRUE(close(module->forward(x).output, module->forward(x).output));
}

TEST(MultiHeadAttention, StateRoundTrip) {
  AttentionOptions options = small();
  options.qk_norm = options.sink = options.output_gate = true;
  options.positions = PositionKind::kRelative;
  auto module = make(options);
  std::stringstream stored;
  torch::save(module, stored);
  MultiHeadAttention other(options);
  other->to(torch::kDouble);
  torch::load(other, stored);
  const torch::Tensor x = random({2, 5, 8});
  EXPECT_TRUE(torch::equal(module->forward(x).output, other->forward(x).output));
}

TEST(MultiHeadAttention, BadOptionsSayWhatToDo) {
  const auto with = [](auto change) {
    return [change] {
      AttentionOptions options = small();
      change(options);
      MultiHeadAttention attention(options);
    };
  };
  using Options = AttentionOptions;
  expect_usage_error([] { MultiHeadAttention attention(Options{.hidden = 100, .heads = 3}); },
                     {"hidden 100", "heads 3", "choose heads that divide"});
  expect_usage_error([] { MultiHeadAttention attention(Options{}); }, {"hidden is 0"});
  expect_usage_error(with([](Options& o) { o.kv_heads = 3; }), {"kv_heads 3", "heads 4"});
  expect_usage_error(with([](Options& o) { o.dropout = 1; }), {"dropout", "[0, 1)"});
  expect_usage_error(with([](Options& o) { o.window_left = -2; }), {"window_left is -2"});
  expect_usage_error(with([](Options& o) { o.scale = -1; }), {"scale", "1 / sqrt(head_dim)"});
  expect_usage_error(with([](Options& o) {
                       o.positions = PositionKind::kRotary;
                       o.head_dim = 3;
                     }),
                     {"rotary", "even"});
  expect_usage_error(with([](Options& o) {
                       o.positions = PositionKind::kRelative;
                       o.relative_buckets = 5;
                     }),
                     {"relative_buckets 5", "even"});
  expect_usage_error([] { parse_position_kind("rope"); }, {"rope", "rotary", "alibi"});
  EXPECT_EQ(to_string(parse_position_kind("relative")), "relative");
}

TEST(MultiHeadAttention, BadCallsSayWhatToDo) {
  AttentionOptions options = small();
  options.causal = true;
  auto causal = make(options);
  AttentionCall call;
  call.memory = random({1, 2, 8});
  expect_usage_error([&] { causal->forward(random({1, 2, 8}), call); }, {"cross-attention"});
  options = small();
  options.memory = 6;
  auto cross = make(options);
  expect_usage_error([&] { cross->forward(random({1, 2, 8})); }, {"memory of size 6"});
  auto plain = make(small());
  KeyValueCache cache;
  AttentionCall cached;
  cached.cache = &cache;
  cached.lengths = lengths_of({2});
  expect_usage_error([&] { plain->forward(random({1, 2, 8}), cached); }, {"cache", "lengths"});
}

}  // namespace
}  // namespace attend
