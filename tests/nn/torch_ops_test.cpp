// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

#include "attend/nn/attention_function.h"
#include "testing.h"

namespace attend {
namespace {

using Stack = std::vector<c10::IValue>;

class TorchOps : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_NE(dlopen(ATTEND_TORCH_OPS, RTLD_NOW | RTLD_LOCAL), nullptr) << dlerror();
  }

  void SetUp() override {
    torch::manual_seed(1);
    query = torch::randn({2, 4, 6, 8});
    key = torch::randn({2, 2, 7, 8});
    value = torch::randn({2, 2, 7, 5});
    sink = torch::randn({4});
  }

  // The operator's inputs, with its defaults for what is not set here.
  Stack call(const char* name, const std::map<std::string, c10::IValue>& set) const {
    const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
    Stack stack = {query, key, value};
    for (size_t at = 3; at < handle.schema().arguments().size(); ++at) {
      const c10::Argument& argument = handle.schema().arguments()[at];
      const auto found = set.find(argument.name());
      stack.push_back(found == set.end() ? *argument.default_value() : found->second);
    }
    handle.callBoxed(&stack);
    return stack;
  }

  torch::Tensor query, key, value, sink;
};

TEST_F(TorchOps, AttentionTakesEveryArgument) {
  EXPECT_TRUE(torch::equal(call("attend::attention", {})[0].toTensor(),
                           attention(query, key, value).output));
  AttentionArguments arguments;
  arguments.causal = true;
  arguments.scale = 0.7;
  arguments.query_offset = 2;
  arguments.window_left = 4;
  arguments.window_right = 3;
  arguments.query_lengths = testing::lengths_of({6, 3});
  arguments.key_lengths = testing::lengths_of({4, 7});
  arguments.bias = torch::randn({6, 7});
  arguments.distance_bias = torch::randn({4, 5});
  arguments.alibi_slopes = torch::rand({4});
  arguments.sink = sink;
  arguments.dropout = 0.5;
  torch::manual_seed(2);
  const torch::Tensor expected = attention(query, key, value, arguments).output;
  torch::manual_seed(2);
  const Stack actual = call("attend::attention", {{"causal", true},
                                                  {"scale", 0.7},
                                                  {"query_offset", 2},
                                                  {"window_left", 4},
                                                  {"window_right", 3},
                                                  {"query_lengths", arguments.query_lengths},
                                                  {"key_lengths", arguments.key_lengths},
                                                  {"bias", arguments.bias},
                                                  {"distance_bias", arguments.distance_bias},
                                                  {"alibi_slopes", arguments.alibi_slopes},
                                                  {"sink", sink},
                                                  {"dropout", 0.5}});
  ASSERT_EQ(actual.size(), 1U);
  EXPECT_TRUE(torch::equal(actual[0].toTensor(), expected));
}

TEST_F(TorchOps, GradientsFlow) {
  for (torch::Tensor input : {query, key, value, sink}) input.requires_grad_(true);
  AttentionArguments arguments;
  arguments.sink = sink;
  const auto gradients = [&](const torch::Tensor& output) {
    return torch::autograd::grad({output.square().sum()}, {query, key, value, sink});
  };
  const auto expected = gradients(attention(query, key, value, arguments).output);
  const auto actual = gradients(call("attend::attention", {{"sink", sink}})[0].toTensor());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(torch::equal(actual[i], expected[i]));
}

TEST_F(TorchOps, TraceReportsWhatItSaw) {
  AttentionArguments arguments;
  arguments.causal = true;
  arguments.statistics.lse = arguments.statistics.entropy = arguments.statistics.received = true;
  arguments.statistics.top_keys = 3;
  const AttentionResult expected = attention(query, key, value, arguments);
  const Stack actual = call("attend::attention_trace", {{"causal", true}, {"top_keys", 3}});
  const AttentionStatistics& seen = expected.statistics;
  const std::vector<torch::Tensor> all = {expected.output, seen.lse,         seen.entropy,
                                          seen.top_keys,   seen.top_weights, seen.received};
  ASSERT_EQ(actual.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(torch::equal(actual[i].toTensor(), all[i]));
  EXPECT_THROW(call("attend::attention_trace", {{"top_keys", 0}}), c10::Error);
}

TEST_F(TorchOps, WrongShapesAreRefused) {
  key = torch::randn({2, 3, 7, 8});
  EXPECT_THROW(call("attend::attention", {}), c10::Error);
}

}  // namespace
}  // namespace attend
