// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// LibTorch's fused operator, which other devices get, checked here on the CPU.
#include "nn/library_attention.h"

#include "fused_cases.h"

namespace attend {
namespace {

using testing::FusedCase;

TEST(LibraryAttention, EqualsPlainPathOrDeclines) {
  torch::manual_seed(1);
  int taken = 0;
  for (const FusedCase& made : testing::fused_cases()) {
    SCOPED_TRACE(made.name);
    const auto& [query, key, value] = std::tie(made.query, made.key, made.value);
    EXPECT_FALSE(detail::library_attention(query, key, value, made.arguments).defined());
    const torch::Tensor output =
        detail::library_attention_anywhere(query, key, value, made.arguments);
    const bool forbids =
        made.arguments.bias.defined() && torch::isneginf(made.arguments.bias).any().item<bool>();
    if (made.arguments.sink.defined() || forbids) {
      EXPECT_FALSE(output.defined());
    }
    if (!output.defined()) continue;
    ++taken;
    EXPECT_TRUE(testing::within_scale(output, made.reference().run().output, 1e-5, 1));
  }
  if (taken == 0) GTEST_SKIP() << "this LibTorch has no scaled_dot_product_attention";
  EXPECT_GT(taken, 20);
}

}  // namespace
}  // namespace attend
