// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/frozen_linear.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "attend/nn/log_sum_exp.h"
#include "attend/nn/parallel.h"
#include "frozen_product.h"
#include "option_checks.h"

namespace attend {
namespace {

constexpr detail::NamedValue<Precision> kPrecisions[] = {
    {"f32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}, {"int8", Precision::kInt8}};

kernels::WeightType weight_type(Precision precision) {
  switch (precision) {
    case Precision::kBFloat16:
      return kernels::WeightType::kBFloat16;
    case Precision::kInt8:
      return kernels::WeightType::kInt8;
    case Precision::kFloat32:
      break;
  }
  return kernels::WeightType::kFloat32;
}

// In huge pages where the system grants them: the weights are read from end to end for every token,
// and each small page would miss the TLB.
std::shared_ptr<void> huge_memory(int64_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t rounded = (static_cast<size_t>(bytes) + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = std::aligned_alloc(kHugePage, rounded);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return {memory, &std::free};
}

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Ranks the outputs of the packed rows `which`: of so few at a time that a block of their outputs
// stays in the first-level cache, while the weights of the block stay in the second.
void rank_rows(const kernels::PackedMatrix& matrix, const detail::PackedRowBuffer& packed,
               const float* source, detail::Range which, const std::vector<int64_t>& excluded,
               std::vector<OutputRanking>& rankings) {
  constexpr int64_t kPanels = kRankedBlock / kernels::kPanelOutputs, kRows = 16;
  std::vector<float> outputs(static_cast<size_t>(kRows * kRankedBlock));
  for (int64_t panel = 0; panel < matrix.panels(); panel += kPanels) {
    const kernels::PackedMatrix part =
        kernels::panels_of(matrix, panel, std::min(panel + kPanels, matrix.panels()));
    for (int64_t first = which.begin; first < which.end; first += kRows) {
      const detail::Range some{first, std::min(first + kRows, which.end)};
      packed.multiply(source, some, part, {0, part.panels()},
                      {outputs.data(), kRankedBlock, false});
      for (int64_t row = 0; row < some.size(); ++row) {
        const std::span<float> own(outputs.data() + row * kRankedBlock,
                                   static_cast<size_t>(part.outputs));
        for (const int64_t index : excluded) {
          const int64_t column = index - panel * kernels::kPanelOutputs;
          if (column >= 0 && column < part.outputs) own[static_cast<size_t>(column)] = kNever;
        }
        rankings[static_cast<size_t>(first + row)].add(own);
      }
    }
  }
}

}  // namespace

Precision parse_precision(const std::string& name) {
  return detail::parse_named("precision", name, kPrecisions);
}

std::string to_string(Precision precision) { return detail::name_of(precision, kPrecisions); }

PackedWeights::PackedWeights(Precision precision, bool many_rows)
    : type_(weight_type(precision)), many_rows_(many_rows) {}

size_t PackedWeights::add(const std::vector<torch::Tensor>& weights,
                          const std::vector<torch::Tensor>& biases) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> shifts;
  for (size_t i = 0; i < weights.size(); ++i) {
    const bool has = i < biases.size() && biases[i].defined();
    shifts.push_back(has ? biases[i].to(torch::kFloat)
                         : torch::zeros({weights[i].size(0)}, torch::kFloat));
  }
  pending_.push_back(
      {torch::cat(weights, 0).to(torch::kFloat).contiguous(), torch::cat(shifts, 0).contiguous()});
  return pending_.size() - 1;
}

void PackedWeights::pack() {
  int64_t most = 0;
  for (const Pending& one : pending_) {
    most += kernels::packed_bytes(type_, one.weight.size(0), one.weight.size(1));
  }
  memory_ = huge_memory(most);
  auto* memory = static_cast<char*>(memory_.get());
  for (const Pending& one : pending_) {
    matrices_.push_back(kernels::pack_matrix(
        type_, one.weight.size(0), one.weight.size(1), one.weight.data_ptr<float>(),
        one.bias.data_ptr<float>(), memory + bytes_, !many_rows_));
    bytes_ += kernels::packed_bytes(matrices_.back());
    count_ += one.weight.numel();
  }
  pending_.clear();
}

FrozenLinear::FrozenLinear(const torch::Tensor& weight, const torch::Tensor& bias,
                           Precision precision)
    : weights_(precision) {
  weights_.add({weight}, {bias});
  weights_.pack();
}

torch::Tensor FrozenLinear::forward(const torch::Tensor& input) const {
  const kernels::PackedMatrix& matrix = weights_[0];
  const torch::Tensor rows = input.detach().to(torch::kFloat).contiguous();
  TORCH_CHECK(rows.size(-1) == matrix.inputs, "FrozenLinear: rows of ", matrix.inputs,
              " numbers, not ", rows.size(-1));
  std::vector<int64_t> shape = rows.sizes().vec();
  shape.back() = matrix.outputs;
  torch::Tensor output = torch::empty(shape, torch::kFloat);
  const int64_t count = rows.numel() / matrix.inputs;
  const detail::PackedRowBuffer packed(matrix.type, count, matrix.inputs, matrix.inputs);
  const float* from = rows.data_ptr<float>();
  float* to = output.data_ptr<float>();
  detail::run_team(
      detail::team_size(count * matrix.outputs * matrix.inputs), [&](const detail::Team& team) {
        packed.fill(from, team.share(count));
        team.wait();
        detail::multiply(team, matrix, packed, from, {0, count}, {to, matrix.outputs, false});
      });
  return output;
}

torch::Tensor FrozenLinear::log_probabilities(const torch::Tensor& input,
                                              const torch::Tensor& targets) const {
  constexpr int64_t kRows = 128;
  torch::Tensor result = torch::zeros({input.size(0)}, torch::kFloat);
  auto to = result.accessor<float, 1>();
  const auto target = targets.accessor<int64_t, 1>();
  for (int64_t begin = 0; begin < input.size(0); begin += kRows) {
    const int64_t count = std::min(kRows, input.size(0) - begin);
    const torch::Tensor logits = forward(input.narrow(0, begin, count));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t wanted = target[begin + i];
      if (wanted < 0) continue;
      const float* row = logits.data_ptr<float>() + i * logits.size(1);
      to[begin + i] = row[wanted] - log_sum_exp({row, static_cast<size_t>(logits.size(1))});
    }
  }
  return result;
}

std::vector<std::vector<RankedOutput>> FrozenLinear::ranked(
    const torch::Tensor& input, int64_t count, const std::vector<int64_t>& excluded) const {
  constexpr int64_t kEnough = 8;  // rows that keep a thread busy
  const kernels::PackedMatrix& matrix = weights_[0];
  const int64_t rows = input.size(0), threads = at::get_num_threads();
  if (rows < kEnough * threads) return ranked_outputs(forward(input), count, excluded);
  const torch::Tensor floats = input.detach().to(torch::kFloat).contiguous();
  const float* from = floats.data_ptr<float>();
  const detail::PackedRowBuffer packed(matrix.type, rows, matrix.inputs, matrix.inputs);
  std::vector<OutputRanking> rankings(static_cast<size_t>(rows), OutputRanking(count));
  std::vector<std::vector<RankedOutput>> best(static_cast<size_t>(rows));
  const int64_t each = (rows + threads - 1) / threads;
  at::parallel_for(0, (rows + each - 1) / each, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const detail::Range some{part * each, std::min(rows, (part + 1) * each)};
      packed.fill(from, some);
      rank_rows(matrix, packed, from, some, excluded, rankings);
      for (auto row = static_cast<size_t>(some.begin); row < static_cast<size_t>(some.end); ++row) {
        best[row] = rankings[row].best();
      }
    }
  });
  return best;
}

}  // namespace attend
