// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "attend/nn/branching_cache.h"
#include "attend/nn/decoder.h"
#include "attend/nn/frozen_linear.h"
#include "attend/nn/ranked_outputs.h"
#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::lengths_of;

torch::Tensor random(torch::IntArrayRef shape) { return torch::randn(shape); }

DecoderOptions small(CrossKind cross, PositionKind positions) {
  DecoderOptions options;
  options.block.layers = 3;
  options.block.hidden = 48;
  options.block.heads = 4;
  options.block.positions = positions;
  options.cross = cross;
  return options;
}

// As trained models are: norms near 1 and small projections, so that rounding is not blown up.
Decoder make(const DecoderOptions& options) {
  torch::manual_seed(5);
  Decoder decoder(options);
  const torch::NoGradGuard no_grad;
  for (torch::Tensor parameter : decoder->parameters()) {
    parameter.add_(0.05 * torch::randn_like(parameter));
  }
  decoder->eval();
  return decoder;
}

std::vector<DecoderOptions> variants() {
  std::vector<DecoderOptions> all;
  for (const CrossKind cross : {CrossKind::kNone, CrossKind::kAttention}) {
    for (const PositionKind positions : testing::kAllPositions) {
      all.push_back(small(cross, positions));
    }
    DecoderOptions rich = small(cross, PositionKind::kRotary);
    rich.block.kv_heads = 2;
    rich.block.activation = Activation::kSwiGlu;
    rich.block.attention.qk_norm = true;
    rich.block.attention.sink = true;
    rich.block.attention.output_gate = true;
    rich.block.attention.window_left = 3;
    rich.block.attention.rotary_dim = 8;
    rich.distinct_blocks = 2;
    all.push_back(rich);
    DecoderOptions bare = small(cross, PositionKind::kSinusoidal);
    bare.block.feed_forward = -1;
    bare.block.final_norm = false;
    bare.block.attention.bias = false;
    bare.memory = cross == CrossKind::kAttention ? 20 : 0;
    all.push_back(bare);
  }
  return all;
}

// Six sequences, two memories of lengths 5 and 3 if there are any, 9 positions.
struct Input {
  explicit Input(const DecoderOptions& options) {
    if (options.cross == CrossKind::kNone) return;
    call.memory = random({2, 5, options.memory > 0 ? options.memory : 48});
    call.memory_lengths = lengths_of({5, 3});
  }
  torch::Tensor vectors = random({6, 9, 48});
  DecoderCall call;
};

// In parts of 4, 1, 1, 1, 2 positions, with a cache.
torch::Tensor in_steps(Decoder& decoder, const Input& input, bool branching = false) {
  DecoderState state(branching);
  DecoderCall call = input.call;
  call.state = &state;
  std::vector<torch::Tensor> parts;
  int64_t at = 0;
  for (const int64_t count : {4, 1, 1, 1, 2}) {
    parts.push_back(decoder->forward(input.vectors.narrow(1, at, count), call).hidden);
    at += count;
  }
  EXPECT_EQ(state.length(), 9);
  return torch::cat(parts, 1);
}

double relative_error(const torch::Tensor& found, const torch::Tensor& expected) {
  const torch::Tensor exact = expected.to(torch::kDouble);
  return ((found.to(torch::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// The reference is the plain path in double precision.
torch::Tensor exact_output(const DecoderOptions& options, const Input& input) {
  Decoder exact = make(options);
  exact->to(torch::kDouble);
  DecoderCall call = input.call;
  if (call.memory.defined()) call.memory = call.memory.to(torch::kDouble);
  return exact->forward(input.vectors.to(torch::kDouble), call).hidden;
}

TEST(FrozenDecoder, EqualsThePlainOneInStepsAndAtOnce) {
  const torch::NoGradGuard no_grad;
  for (const int threads : {1, 2, 3}) {
    torch::set_num_threads(threads);
    for (const DecoderOptions& options : variants()) {
      Input input(options);
      Decoder decoder = make(options);
      const torch::Tensor expected = exact_output(options, input);
      ASSERT_TRUE(decoder->freeze(Precision::kFloat32));
      EXPECT_GT(decoder->frozen_bytes(), 0);
      const std::string what = to_string(options.block.positions) + " " + to_string(options.cross);
      EXPECT_TRUE(close(in_steps(decoder, input), expected, 1e-5)) << what;
      EXPECT_TRUE(close(in_steps(decoder, input, true), expected, 1e-5)) << what << ", branching";
      EXPECT_TRUE(close(decoder->forward(input.vectors, input.call).hidden, expected, 1e-5))
          << what;
    }
  }
  torch::set_num_threads(1);
}

// Without a state and a memory they go by parts.
TEST(FrozenDecoder, ManyTextsAtOnceEqualThePlainOne) {
  const torch::NoGradGuard no_grad;
  const DecoderOptions options = small(CrossKind::kNone, PositionKind::kRotary);
  const torch::Tensor texts = torch::randn({100, 30, options.block.hidden});
  Decoder exact = make(options);
  exact->to(torch::kDouble);
  const torch::Tensor expected = exact->forward(texts.to(torch::kDouble), {}).hidden;
  Decoder decoder = make(options);
  ASSERT_TRUE(decoder->freeze(Precision::kFloat32));
  for (const int threads : {1, 2, 3}) {
    torch::set_num_threads(threads);
    EXPECT_TRUE(close(decoder->forward(texts, {}).hidden, expected, 1e-5)) << threads;
  }
  torch::set_num_threads(1);
}

TEST(FrozenDecoder, RoundedWeightsStayClose) {
  const torch::NoGradGuard no_grad;
  for (const DecoderOptions& options : variants()) {
    Input input(options);
    const torch::Tensor expected = exact_output(options, input);
    for (const Precision precision : {Precision::kBFloat16, Precision::kInt8}) {
      Decoder decoder = make(options);
      ASSERT_TRUE(decoder->freeze(precision));
      for (const bool branching : {false, true}) {
        EXPECT_LT(relative_error(in_steps(decoder, input, branching), expected), 0.02)
            << to_string(options.block.positions) << " " << to_string(precision);
      }
    }
  }
}

// A beam drops sequences, doubles others and loses a memory.
std::vector<torch::Tensor> of_a_beam(Decoder& decoder, const Input& input, DecoderState state) {
  std::vector<torch::Tensor> results;
  DecoderCall call = input.call;
  call.state = &state;
  decoder->forward(input.vectors.narrow(1, 0, 6), call);
  const torch::Tensor rows = lengths_of({4, 3, 3, 5});
  state.reorder(rows);
  state.reorder_memory(lengths_of({1}));
  call.memory = call.memory.narrow(0, 1, 1);
  call.memory_lengths = lengths_of({3});
  results.push_back(
      decoder->forward(input.vectors.index_select(0, rows).narrow(1, 6, 1), call).hidden);
  const DecoderState before = state;
  state.reorder(lengths_of({0, 0}));
  for (int64_t at = 0; at < 2; ++at) {
    results.push_back(decoder->forward(input.vectors.narrow(0, 0, 2).narrow(1, 7, 1), call).hidden);
  }
  // Writing to a copy leaves the other as it was.
  state = before;
  results.push_back(decoder->forward(input.vectors.narrow(0, 0, 4).narrow(1, 8, 1), call).hidden);
  return results;
}

TEST(FrozenDecoder, FollowsAReorderedState) {
  const torch::NoGradGuard no_grad;
  const DecoderOptions options = small(CrossKind::kAttention, PositionKind::kRelative);
  const Input input(options);
  Decoder decoder = make(options);
  const auto expected = of_a_beam(decoder, input, DecoderState());
  for (const int threads : {1, 3}) {
    torch::set_num_threads(threads);
    decoder->freeze(Precision::kFloat32);
    for (const bool branching : {false, true}) {
      const auto found = of_a_beam(decoder, input, DecoderState(branching));
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(close(found[i], expected[i], 1e-5)) << i << (branching ? ", branching" : "");
      }
    }
  }
  torch::set_num_threads(1);
}

TEST(FrozenDecoder, PaddingGivesZeros) {
  const torch::NoGradGuard no_grad;
  const DecoderOptions options = small(CrossKind::kNone, PositionKind::kRotary);
  Input input(options);
  input.call.lengths = lengths_of({9, 1, 4, 9, 2, 7});
  Decoder decoder = make(options);
  const torch::Tensor expected = decoder->forward(input.vectors, input.call).hidden;
  decoder->freeze(Precision::kFloat32);
  EXPECT_TRUE(close(decoder->forward(input.vectors, input.call).hidden, expected, 1e-5));
}

TEST(FrozenDecoder, GradientsTracesAndTrainingTakeThePlainPath) {
  const DecoderOptions options = small(CrossKind::kNone, PositionKind::kRotary);
  Input input(options);
  Decoder decoder = make(options);
  decoder->freeze(Precision::kFloat32);
  EXPECT_TRUE(decoder->forward(input.vectors).hidden.requires_grad());
  const torch::NoGradGuard no_grad;
  input.call.request.trace = TraceRequest::all_weights();
  EXPECT_EQ(decoder->forward(input.vectors, input.call).trace.layers.size(), 3u);
  // What was begun frozen, with branches, is nothing that the plain path could read.
  DecoderState state(/*branching=*/true);
  DecoderCall branching;
  branching.state = &state;
  decoder->forward(input.vectors, branching);
  branching.request.trace = TraceRequest::all_weights();
  EXPECT_THROW(decoder->forward(input.vectors, branching), c10::Error);
  decoder->freeze(Precision::kInt8);
  expect_usage_error([&] { decoder->forward(input.vectors, input.call); },
                     {"int8", "precision f32"});
  decoder->train();
  EXPECT_EQ(decoder->frozen_bytes(), 0);
}

TEST(FrozenDecoder, TheMeanOfAMemoryHasNoFrozenForm) {
  Decoder decoder = make(small(CrossKind::kMean, PositionKind::kNone));
  EXPECT_FALSE(decoder->freeze(Precision::kFloat32));
  EXPECT_EQ(decoder->frozen_bytes(), 0);
}

TEST(FrozenLinear, IsALinearLayer) {
  torch::manual_seed(1);
  const torch::Tensor weight = random({70, 33}), bias = random({70}), input = random({3, 5, 33});
  const torch::Tensor expected =
      torch::linear(input.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble));
  const auto error = [&](Precision precision) {
    const FrozenLinear layer(weight, bias, precision);
    return relative_error(layer.forward(input), expected);
  };
  EXPECT_LT(error(Precision::kFloat32), 1e-6);
  EXPECT_LT(error(Precision::kBFloat16), 0.005);
  EXPECT_LT(error(Precision::kInt8), 0.01);
  EXPECT_TRUE(close(FrozenLinear(weight, {}, Precision::kFloat32).forward(input[0][0]),
                    torch::matmul(weight, input[0][0]), 1e-4));
}

// Few rows, which share the outputs, and many, which never hold all of them; a last block of its
// own.
TEST(FrozenLinear, RanksItsOutputs) {
  torch::manual_seed(2);
  const FrozenLinear layer(random({1100, 24}), random({1100}), Precision::kBFloat16);
  for (const int64_t rows : {1, 3, 200}) {
    const torch::Tensor input = random({rows, 24});
    const std::vector<int64_t> excluded{0, 511, 512, 1099};
    const auto expected = ranked_outputs(layer.forward(input), 5, excluded);
    const auto found = layer.ranked(input, 5, excluded);
    ASSERT_EQ(found.size(), static_cast<size_t>(rows));
    for (size_t row = 0; row < found.size(); ++row) {
      ASSERT_EQ(found[row].size(), 5u);
      for (size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(found[row][i].index, expected[row][i].index);
        EXPECT_EQ(found[row][i].log_probability, expected[row][i].log_probability);
      }
    }
  }
}

TEST(RankedOutputs, AreTheLargestOfALogSoftmax) {
  torch::manual_seed(3);
  // Of rounded numbers many are equal: the first one of them comes first.
  const torch::Tensor outputs = torch::cat(
      {random({4, 1500}) * 5, (random({4, 1500}) * 3).round(), torch::full({1, 1500}, -2e30)});
  const std::vector<int64_t> excluded{2, 700, 1499};
  const torch::Tensor rest =
      outputs.index_fill(1, torch::tensor(excluded), -std::numeric_limits<double>::infinity());
  const torch::Tensor expected = torch::log_softmax(rest.to(torch::kDouble), 1);
  const auto found = ranked_outputs(outputs, 9, excluded);
  for (int64_t row = 0; row < outputs.size(0); ++row) {
    const auto [values, order] = torch::sort(expected[row], /*stable=*/true, 0, true);
    for (int64_t i = 0; i < 9; ++i) {
      const RankedOutput& one = found[static_cast<size_t>(row)][static_cast<size_t>(i)];
      EXPECT_EQ(one.index, order[i].item<int64_t>());
      EXPECT_NEAR(one.log_probability, values[i].item<double>(), 1e-5);
    }
  }
}

TEST(RankedOutputs, AreFewerWhereTheRestIsForbidden) {
  torch::Tensor outputs = torch::full({2, 600}, -std::numeric_limits<float>::infinity());
  outputs[0][599] = 3;
  outputs[0][7] = 3;
  const auto found = ranked_outputs(outputs, 5);
  ASSERT_EQ(found[0].size(), 2u);
  EXPECT_EQ(found[0][0].index, 7);
  EXPECT_EQ(found[0][1].index, 599);
  EXPECT_NEAR(found[0][0].log_probability, std::log(0.5), 1e-6);
  EXPECT_TRUE(found[1].empty());
  for (const double broken :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    torch::Tensor row = random({1, 600});
    row[0][550] = broken;
    EXPECT_TRUE(ranked_outputs(row, 5)[0].empty()) << broken;
    row.narrow(1, 512, 88).fill_(broken);  // a block of nothing else
    EXPECT_TRUE(ranked_outputs(row, 5)[0].empty()) << broken;
  }
}

// Orders that fit into the cache's own memory, some that do not, and memory that someone else
// holds.
TEST(KeyValueCache, ReorderKeepsTheRowsAskedFor) {
  torch::manual_seed(4);
  const torch::NoGradGuard no_grad;
  for (const bool shared : {false, true}) {
    KeyValueCache cache;
    const torch::Tensor key = random({6, 2, 3, 4}), value = random({6, 2, 3, 4});
    cache.append(key, value);
    torch::Tensor expected_key = key, expected_value = value;
    for (const std::vector<int64_t>& order :
         std::vector<std::vector<int64_t>>{{0, 1, 2, 3, 4, 5},  // as it was
                                           {0, 0, 2, 2, 4, 2},  // further children of some
                                           {0, 5, 2, 4},        // the last ones fill gaps
                                           {1, 0, 2, 3},        // an exchange does not fit
                                           {3, 3, 1, 0, 0, 1},  // more than there were
                                           {5, 4}}) {
      const KeyValueCache before = shared ? cache : KeyValueCache();
      const torch::Tensor rows = torch::tensor(order);
      const torch::Tensor old_key = expected_key;
      expected_key = expected_key.index_select(0, rows);
      expected_value = expected_value.index_select(0, rows);
      cache.reorder(rows);
      EXPECT_TRUE(torch::equal(cache.key(), expected_key)) << rows;
      EXPECT_TRUE(torch::equal(cache.value(), expected_value)) << rows;
      if (shared) {
        EXPECT_TRUE(torch::equal(before.key(), old_key)) << rows;
      }
    }
    const torch::Tensor more = random({2, 2, 20, 4});
    cache.append(more, more);
    EXPECT_TRUE(torch::equal(cache.key(), torch::cat({expected_key, more}, 2)));
  }
}

// The storage grows past what was reserved at first, and every sequence keeps its own history.
TEST(BranchingCache, TellsWhereEverySequenceLies) {
  torch::manual_seed(6);
  BranchingCache cache;
  EXPECT_TRUE(cache.empty());
  std::vector<std::vector<float>> histories(3);
  const auto step = [&](int64_t count) {
    const auto sequences = static_cast<int64_t>(histories.size());
    cache.extend({2, 1, 1, torch::kFloat}, sequences, count);
    for (int64_t s = 0; s < sequences; ++s) {
      auto& history = histories[static_cast<size_t>(s)];
      for (int64_t i = 0; i < count; ++i) {
        history.push_back(static_cast<float>(100 * cache.length() + 10 * s + i));
        const int32_t place = cache.places()[s * cache.places_pitch() + cache.length() - count + i];
        cache.key(0)[place] = history.back();
        cache.value(1)[place] = -history.back();
      }
    }
  };
  const auto expect_histories = [&] {
    for (size_t s = 0; s < histories.size(); ++s) {
      ASSERT_EQ(cache.length(), static_cast<int64_t>(histories[s].size()));
      const int32_t* row = cache.places() + static_cast<int64_t>(s) * cache.places_pitch();
      for (size_t i = 0; i < histories[s].size(); ++i) {
        EXPECT_EQ(cache.key(0)[row[i]].item<float>(), histories[s][i]);
        EXPECT_EQ(cache.value(1)[row[i]].item<float>(), -histories[s][i]);
      }
    }
  };
  step(5);
  for (const std::vector<int64_t>& order : std::vector<std::vector<int64_t>>{
           {2, 2, 0, 1, 1}, {4, 3, 2, 1, 0}, {0, 0, 0, 0, 0}, {0, 1, 2}, {2}, {0, 0}}) {
    cache.reorder(torch::tensor(order));
    std::vector<std::vector<float>> kept;
    for (const int64_t row : order) kept.push_back(histories[static_cast<size_t>(row)]);
    histories = kept;
    expect_histories();
    for (int i = 0; i < 9; ++i) step(1);
    expect_histories();
  }
}

TEST(Precision, NamesAreReadAndUnknownOnesRefused) {
  for (const char* name : {"f32", "bf16", "int8"}) {
    EXPECT_EQ(to_string(parse_precision(name)), name);
  }
  expect_usage_error([] { parse_precision("fp8"); }, {"precision", "fp8", "f32, bf16, int8"});
}

}  // namespace
}  // namespace attend
