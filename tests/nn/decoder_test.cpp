// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/decoder.h"

#include "testing.h"

namespace attend {
namespace {

using testing::close;
using testing::expect_usage_error;
using testing::kAllPositions;
using testing::lengths_of;
using testing::random;

DecoderOptions small(CrossKind cross, PositionKind positions = PositionKind::kSinusoidal) {
  DecoderOptions options;
  options.block.layers = 2;
  options.block.hidden = 8;
  options.block.heads = 2;
  options.block.positions = positions;
  options.cross = cross;
  return options;
}

Decoder make(const DecoderOptions& options) {
  torch::manual_seed(5);
  Decoder decoder(options);
  testing::randomise(decoder);
  decoder->eval();
  return decoder;
}

TEST(Decoder, NoPositionSeesALaterOne) {
  for (const CrossKind cross : {CrossKind::kNone, CrossKind::kAttention, CrossKind::kMean}) {
    auto decoder = make(small(cross));
    DecoderCall call;
    if (cross != CrossKind::kNone) call.memory = random({1, 4, 8});
    const torch::Tensor input = random({1, 6, 8});
    torch::Tensor changed = input.clone();
    changed.narrow(1, 4, 2).copy_(random({1, 2, 8}));
    const torch::Tensor before = decoder->forward(input, call).hidden;
    const torch::Tensor after = decoder->forward(changed, call).hidden;
    EXPECT_TRUE(close(after.narrow(1, 0, 4), before.narrow(1, 0, 4)));
    EXPECT_FALSE(close(after.narrow(1, 4, 2), before.narrow(1, 4, 2)));
  }
}

TEST(Decoder, CacheEqualsRecomputation) {
  for (const PositionKind positions : kAllPositions) {
    for (const CrossKind cross : {CrossKind::kNone, CrossKind::kAttention, CrossKind::kMean}) {
      auto decoder = make(small(cross, positions));
      DecoderCall call;
      if (cross != CrossKind::kNone) {
        call.memory = random({2, 5, 8});
        call.memory_lengths = lengths_of({5, 3});
      }
      const torch::Tensor input = random({2, 7, 8});
      const torch::Tensor whole = decoder->forward(input, call).hidden;
      const torch::NoGradGuard no_grad;
      DecoderState state;
      call.state = &state;
      std::vector<torch::Tensor> parts{decoder->forward(input.narrow(1, 0, 3), call).hidden};
      for (int64_t at = 3; at < 7; ++at) {
        parts.push_back(decoder->forward(input.narrow(1, at, 1), call).hidden);
      }
      EXPECT_EQ(state.length(), 7);
      EXPECT_TRUE(close(torch::cat(parts, 1), whole)) << to_string(positions);
    }
  }
}

TEST(Decoder, CacheEqualsRecomputationInFloat) {
  DecoderOptions options = small(CrossKind::kAttention, PositionKind::kRelative);
  options.block.hidden = 64;
  torch::manual_seed(3);
  Decoder decoder(options);
  decoder->eval();
  const torch::NoGradGuard no_grad;
  DecoderCall call;
  call.memory = torch::randn({3, 9, 64});
  const torch::Tensor input = torch::randn({3, 40, 64});
  const torch::Tensor whole = decoder->forward(input, call).hidden;
  DecoderState state;
  call.state = &state;
  std::vector<torch::Tensor> parts;
  for (int64_t at = 0; at < 40; ++at) {
    parts.push_back(decoder->forward(input.narrow(1, at, 1), call).hidden);
  }
  EXPECT_TRUE(close(torch::cat(parts, 1), whole, 1e-5));
}

// Two hypotheses per memory, reordered and thinned out midway, against each alone.
TEST(Decoder, HypothesesShareAMemoryAndCanBeReordered) {
  auto decoder = make(small(CrossKind::kAttention, PositionKind::kRotary));
  const torch::NoGradGuard no_grad;
  const torch::Tensor memory = random({3, 5, 8});
  const torch::Tensor memory_lengths = lengths_of({5, 2, 4});
  const torch::Tensor input = random({6, 4, 8});
  DecoderState state;
  DecoderCall call;
  call.memory = memory;
  call.memory_lengths = memory_lengths;
  call.state = &state;
  decoder->forward(input.narrow(1, 0, 3), call);
  // Sentence 1 is done; of the others, hypotheses change places or double.
  const torch::Tensor rows = torch::tensor({1, 0, 5, 5});
  const torch::Tensor kept = torch::tensor({0, 2});
  state.reorder(rows);
  state.reorder_memory(kept);
  call.memory = memory.index_select(0, kept);
  call.memory_lengths = memory_lengths.index_select(0, kept);
  const torch::Tensor last = input.narrow(1, 3, 1).index_select(0, rows);
  const torch::Tensor step = decoder->forward(last, call).hidden;
  for (int64_t row = 0; row < 4; ++row) {
    const int64_t from = rows[row].item<int64_t>(), sentence = from / 2;
    DecoderCall alone;
    alone.memory = memory.narrow(0, sentence, 1);
    alone.memory_lengths = memory_lengths.narrow(0, sentence, 1);
    const torch::Tensor whole = decoder->forward(input.narrow(0, from, 1), alone).hidden;
    EXPECT_TRUE(close(step.narrow(0, row, 1), whole.narrow(1, 3, 1)));
  }
}

TEST(Decoder, LayersAreNumberedBehindTheEncoder) {
  DecoderOptions options = small(CrossKind::kAttention);
  options.first_layer = 3;
  auto decoder = make(options);
  DecoderCall call;
  call.memory = random({1, 5, 8});
  call.request = TraceRequest::all_weights();
  const Trace trace = decoder->forward(random({2, 4, 8}), call).trace;
  ASSERT_EQ(trace.layers.size(), 4u);
  for (int64_t index = 0; index < 4; ++index) {
    const LayerTrace& layer = trace.layers[static_cast<size_t>(index)];
    EXPECT_EQ(layer.layer, 3 + index);
    EXPECT_EQ(layer.role, index % 2 == 0 ? AttentionRole::kDecoder : AttentionRole::kCross);
    const int64_t keys = index % 2 == 0 ? 4 : 5;
    EXPECT_EQ(layer.weights.sizes(), (std::vector<int64_t>{2, 2, 4, keys}));
    EXPECT_TRUE(close(layer.weights.sum(-1), torch::ones({2, 2, 4})));
  }
  call.request.trace.layers = {7};
  expect_usage_error([&] { decoder->forward(random({1, 4, 8}), call); }, {"layer 7", "7 layers"});

  DecoderCall alone;
  alone.request = TraceRequest::all_weights();
  const Trace own = make(small(CrossKind::kNone))->forward(random({1, 4, 8}), alone).trace;
  ASSERT_EQ(own.layers.size(), 2u);
  EXPECT_EQ(own.layers[1].layer, 1);
  EXPECT_EQ(own.layers[1].role, AttentionRole::kDecoder);
}

TEST(Decoder, SharedWeightsOfAMemoryAreThoseOfEachSequence) {
  auto decoder = make(small(CrossKind::kAttention));
  const torch::Tensor input = random({4, 3, 8});
  const torch::Tensor memory = random({2, 5, 8});
  DecoderCall call;
  call.memory = memory;
  call.request = TraceRequest::all_weights();
  const Trace trace = decoder->forward(input, call).trace;
  call.memory = memory.repeat_interleave(2, 0);
  const Trace copied = decoder->forward(input, call).trace;
  for (size_t layer = 0; layer < 4; ++layer) {
    EXPECT_TRUE(close(trace.layers[layer].weights, copied.layers[layer].weights));
  }
}

TEST(Decoder, MeanReadsNothingButTheMean) {
  auto decoder = make(small(CrossKind::kMean));
  const torch::Tensor input = random({1, 3, 8});
  const torch::Tensor memory = random({1, 5, 8});
  DecoderCall call;
  call.memory = memory;
  call.memory_lengths = lengths_of({4});
  const torch::Tensor output = decoder->forward(input, call).hidden;
  call.memory = memory.narrow(1, 0, 4).mean(1, true);
  call.memory_lengths = torch::Tensor();
  EXPECT_TRUE(close(decoder->forward(input, call).hidden, output));
}

TEST(Decoder, BlocksCanShareParameters) {
  DecoderOptions options = small(CrossKind::kNone);
  const size_t own = make(options)->parameters().size();
  options.distinct_blocks = 1;
  auto shared = make(options);
  EXPECT_LT(shared->parameters().size(), own);
  DecoderCall call;
  call.request = TraceRequest::all_weights();
  EXPECT_EQ(shared->forward(random({1, 3, 8}), call).trace.layers.size(), 2u);
}

TEST(Decoder, GradientsReachInputAndMemory) {
  auto decoder = make(small(CrossKind::kAttention, PositionKind::kRelative));
  const torch::Tensor input = random({2, 3, 8}), memory = random({1, 4, 8});
  EXPECT_TRUE(testing::gradients_match(
      [&] {
        DecoderCall call;
        call.memory = memory;
        return decoder->forward(input, call).hidden;
      },
      {input, memory}));
}

TEST(Decoder, RefusesWhatDoesNotFit) {
  DecoderOptions options = small(CrossKind::kNone);
  options.distinct_blocks = 3;
  expect_usage_error([&] { Decoder decoder(options); }, {"distinct_blocks 3", "2 layers"});
  options = small(CrossKind::kNone);
  options.block.stem_width = 3;
  expect_usage_error([&] { Decoder decoder(options); }, {"stem_width"});
  options.block.stem_width = 0;
  options.block.recurrent_layers = 1;
  expect_usage_error([&] { Decoder decoder(options); }, {"recurrent_layers"});
  expect_usage_error([] { parse_cross_kind("all"); }, {"attention", "mean"});
}

}  // namespace
}  // namespace attend
