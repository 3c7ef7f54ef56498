// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bench/linear.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cstdio>

#include "attend/nn/torch.h"
#include "bench/process.h"
#include "src/nn/linear.h"

namespace attend::bench {
namespace {

// Relative to the largest value: sums of up to some thousand terms in fp32; factors (and all but
// the gradient of the weight) with 8 bits in bf16.
constexpr double kBound = 1e-5;
constexpr double kBf16Bound = 1.0 / 64;

struct Part {
  const char* name;
  std::function<torch::Tensor()> ours, library, exact;
};

class LinearRunner {
 public:
  LinearRunner(const Options& options, Printer& printer) : options_(options), printer_(printer) {}

  int run(const Layer& layer, kernels::ElementType type, int threads, const Limits& limits) {
    const bool bf16 = type == kernels::ElementType::kBFloat16;
    const auto kind = bf16 ? torch::kBFloat16 : torch::kFloat;
    torch::manual_seed(0);
    // As in training with mixed precision, the weight is kept in fp32; LibTorch gets it rounded.
    const torch::Tensor weight = torch::randn({layer.outputs, layer.inputs});
    const torch::Tensor bias = torch::randn({layer.outputs});
    const torch::Tensor input = torch::randn({layer.rows, layer.inputs}).to(kind);
    const torch::Tensor gradient = torch::randn({layer.rows, layer.outputs}).to(kind);
    const torch::Tensor typed_weight = weight.to(kind), typed_bias = bias.to(kind);
    const auto wide = [](const torch::Tensor& tensor) { return tensor.to(torch::kDouble); };
    const Part parts[] = {
        {"fwd", [&] { return detail::linear_output(input, weight, bias); },
         [&] { return torch::linear(input, typed_weight, typed_bias); },
         [&] { return torch::linear(wide(input), wide(typed_weight), wide(bias)); }},
        {"dinput", [&] { return detail::linear_by_input(gradient, weight); },
         [&] { return gradient.matmul(typed_weight); },
         [&] { return wide(gradient).matmul(wide(typed_weight)); }},
        {"dweight", [&] { return detail::linear_by_weight(gradient, input, weight); },
         [&] { return gradient.t().matmul(input); },
         [&] { return wide(gradient).t().matmul(wide(input)); }},
    };
    const double peak = bf16 ? limits.bf16_gflops : limits.fp32_gflops;
    int wrong = 0;
    for (const Part& part : parts) {
      Line line;
      line.name = fmt::format("linear_{}_{}_{}x{}x{}", part.name, bf16 ? "bf16" : "f32", layer.rows,
                              layer.inputs, layer.outputs);
      line.threads = threads;
      line.gflop = 2e-9 * double(layer.rows * layer.inputs * layer.outputs);
      const torch::Tensor expected = part.exact();
      const double error =
          ((wide(part.ours()) - expected).abs().max() / expected.abs().max()).item<double>();
      const double bound = bf16 ? kBf16Bound : kBound;
      if (!(error <= bound)) {
        std::fprintf(stderr,
                     "attend: bench: %s: differs from double precision by %.2e, bound %.2e; not "
                     "timed\n",
                     line.name.c_str(), error, bound);
        ++wrong;
        continue;
      }
      const auto timings = measure({[&] { part.ours(); }, [&] { part.library(); }}, options_);
      line.timing = timings[0];
      const auto share = [&](double ms) { return line.gflop / ms * 1e3 / peak; };
      if (peak > 0) line.share = share(timings[0].ms_min);
      line.json = fmt::format("\"libtorch_ms_min\":{:.4f},\"libtorch_ms_median\":{:.4f}",
                              timings[1].ms_min, timings[1].ms_median);
      line.note = fmt::format("{:.0e}; LibTorch {:.4g} ms", error, timings[1].ms_min);
      if (peak > 0) line.note += fmt::format(", {:.1f}%", 100 * share(timings[1].ms_min));
      printer_.line(line);
    }
    return wrong;
  }

 private:
  const Options& options_;
  Printer& printer_;
};

}  // namespace

int run_linear_cases(const Options& options, Printer& printer) {
  const torch::NoGradGuard no_gradients;
  LinearRunner runner(options, printer);
  const auto types = options.types.empty()
                         ? std::vector<kernels::ElementType>{kernels::ElementType::kFloat32,
                                                             kernels::ElementType::kBFloat16}
                         : options.types;
  int wrong = 0;
  for (const int threads : thread_counts(options, printer)) {
    at::set_num_threads(threads);
    place_threads(threads, options.pin);
    Limits limits;
    if (options.limits) {
      const Timing timing = measure_first([&] { limits = measure_limits(threads); });
      printer.limits(threads, limits, timing.foreign);
    }
    for (const kernels::ElementType type : types) {
      for (const Layer& layer : options.layers) wrong += runner.run(layer, type, threads, limits);
    }
  }
  return wrong;
}

}  // namespace attend::bench
