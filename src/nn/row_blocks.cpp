// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "row_blocks.h"

#include <algorithm>
#include <optional>

#include "attend/kernels/attention.h"
#include "attend/kernels/packed_matrix.h"
#include "attend/nn/parallel.h"
#include "elementwise_dispatch.h"

namespace attend::detail {
namespace {

// Measured on a Zen 4, 256 x 1024 weights: below, packing costs more than the products gain over
// OpenBLAS.
constexpr int64_t kFewestRows = 512;
// With 1024 inner numbers a block and its passes take 400 KB.
constexpr int64_t kBlockRows = 64;

// The layer's weights, packed for one call.
class CallWeights {
 public:
  explicit CallWeights(const torch::nn::Linear& layer) {
    const torch::Tensor weight = layer->weight.contiguous();
    const torch::Tensor bias = layer->bias.defined() ? layer->bias.contiguous() : layer->bias;
    matrix_ = {kernels::WeightType::kFloat32, weight.size(0), weight.size(1), nullptr};
    memory_ = torch::empty({kernels::packed_bytes(matrix_.type, matrix_.outputs, matrix_.inputs)},
                           torch::kByte);
    matrix_.memory = memory_.data_ptr<uint8_t>();
    at::parallel_for(0, matrix_.panels(), 2, [&](int64_t begin, int64_t end) {
      kernels::pack_panels(matrix_, weight.data_ptr<float>(),
                           bias.defined() ? bias.data_ptr<float>() : nullptr, begin, end);
    });
  }

  void multiply(const float* rows, int64_t count, float* out, bool add) const {
    kernels::multiply_floats(matrix_, rows, matrix_.inputs, count, 0, matrix_.panels(),
                             {out, matrix_.outputs, add});
  }

  int64_t outputs() const { return matrix_.outputs; }

 private:
  torch::Tensor memory_;
  kernels::PackedMatrix matrix_;
};

// Calls visit(first row, rows) for blocks of about equal size, from all threads.
template <class Visit>
void for_row_blocks(int64_t rows, const Visit& visit) {
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = rows * block / blocks;
      visit(first, rows * (block + 1) / blocks - first);
    }
  });
}

}  // namespace

bool goes_by_row_blocks(const torch::Tensor& input, const torch::nn::Linear& layer) {
  return !torch::GradMode::is_enabled() && input.is_cpu() && input.scalar_type() == torch::kFloat &&
         layer->weight.scalar_type() == torch::kFloat && input.dim() > 0 &&
         input.numel() >= kFewestRows * input.size(-1) &&
         kernels::active_isa() >= kernels::Isa::kAvx512;
}

torch::Tensor feed_forward_by_row_blocks(const torch::Tensor& hidden, torch::nn::LayerNorm norm,
                                         torch::nn::Linear up, torch::nn::Linear gate,
                                         torch::nn::Linear down) {
  const Loops& loops = active_loops();
  torch::Tensor output = hidden.clone(torch::MemoryFormat::Contiguous);
  const CallWeights up_weights(up), down_weights(down);
  std::optional<CallWeights> gate_weights;
  if (!gate.is_empty()) gate_weights.emplace(gate);
  const torch::Tensor gain = norm->weight.contiguous(), shift = norm->bias.contiguous();
  const int64_t size = hidden.size(-1), inner = up_weights.outputs();
  float* stream = output.data_ptr<float>();
  for_row_blocks(hidden.numel() / size, [&](int64_t first, int64_t count) {
    std::vector<float> normed(static_cast<size_t>(count * (size + 2))),
        middle(static_cast<size_t>(count * inner)), gated(gate.is_empty() ? 0 : middle.size());
    float *rows = stream + first * size, *statistics = normed.data() + count * size;
    const NormRows settings{count,
                            size,
                            static_cast<float>(norm->options.eps()),
                            gain.data_ptr<float>(),
                            shift.data_ptr<float>(),
                            nullptr,
                            nullptr};
    loops.layer_norm_float(settings, rows, normed.data(), statistics, statistics + count);
    up_weights.multiply(normed.data(), count, middle.data(), false);
    if (gate.is_empty()) {
      loops.gelu_float(middle.data(), middle.data(), count * inner);
    } else {
      gate_weights->multiply(normed.data(), count, gated.data(), false);
      loops.swiglu_float(gated.data(), middle.data(), middle.data(), count * inner);
    }
    down_weights.multiply(middle.data(), count, rows, true);
  });
  return output;
}

}  // namespace attend::detail
