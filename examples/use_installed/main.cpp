// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Runs self-attention on random vectors and prints who looks at whom: one row per query, one column
// per key. The second sequence is shorter, so nobody looks at its last two positions.
#include "attend/nn/torch.h"

#include <cstdio>

#include "attend/nn/multi_head_attention.h"

int main() {
  torch::manual_seed(1);
  torch::NoGradGuard no_grad;

  attend::AttentionOptions options;
  options.hidden = 16;
  options.heads = 2;
  attend::MultiHeadAttention attention(options);
  attention->eval();

  attend::AttentionCall call;
  call.lengths = torch::tensor({5, 3}, torch::kInt64);
  call.statistics.weights = true;  // not computed unless asked for

  const torch::Tensor input = torch::randn({2, 5, options.hidden});  // [batch, length, hidden]
  const attend::AttentionOutput result = attention->forward(input, call);
  const torch::Tensor weights = result.statistics.weights;  // [batch, heads, query, key]

  for (int64_t sequence = 0; sequence < weights.size(0); ++sequence) {
    for (int64_t head = 0; head < weights.size(1); ++head) {
      std::printf("sequence %d, head %d\n", static_cast<int>(sequence), static_cast<int>(head));
      for (int64_t query = 0; query < weights.size(2); ++query) {
        for (int64_t key = 0; key < weights.size(3); ++key) {
          std::printf("  %.3f", weights[sequence][head][query][key].item<double>());
        }
        std::printf("\n");
      }
    }
  }
}
