// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bench/encoder.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cstdio>

#include "attend/nn/encoder.h"
#include "attend/train/optimizer.h"
#include "bench/process.h"

namespace attend::bench {
namespace {

using kernels::ElementType;

// Relative to the largest value: rounding of fp32 gives about 1e-6 for the output and 1e-5 for a
// gradient, bf16 (8 bits) some hundredths after four blocks.
constexpr double kOutputBound = 1e-5;
constexpr double kGradientBound = 1e-4;
constexpr double kBf16OutputBound = 5e-2;
constexpr double kBf16GradientBound = 5e-2;

Encoder make_encoder(double dropout, bool mixed_precision = false) {
  torch::manual_seed(0);
  EncoderOptions options;
  options.layers = kEncoderLayers;
  options.hidden = kEncoderHidden;
  options.heads = kEncoderHeads;
  options.feed_forward = kEncoderFeedForward;
  options.dropout = dropout;
  options.attention.dropout = dropout;
  options.positions = PositionKind::kNone;
  options.mixed_precision = mixed_precision;
  return Encoder(options);
}

torch::Tensor make_input(const EncoderInput& input) {
  torch::manual_seed(1);
  return torch::randn({input.batch, input.length, kEncoderHidden});
}

double relative_error(const torch::Tensor& found, const torch::Tensor& exact) {
  return ((found.to(torch::kFloat64) - exact).abs().max() / exact.abs().max()).item<double>();
}

struct Gradients {
  torch::Tensor output;
  std::vector<torch::Tensor> gradients;
};

Gradients run_both_ways(Encoder& encoder, const torch::Tensor& input) {
  Gradients result;
  encoder->zero_grad();
  result.output = encoder->forward(input).hidden;
  result.output.square().mean().backward();
  result.output = result.output.detach();
  for (const auto& parameter : encoder->parameters()) {
    result.gradients.push_back(parameter.grad().clone());
  }
  return result;
}

bool within(const char* part, const std::string& name, double error, double bound) {
  if (error <= bound) return true;
  std::fprintf(stderr,
               "attend: bench: %s: %s differs from double precision by %.2e, bound %.2e; not "
               "timed\n",
               name.c_str(), part, error, bound);
  return false;
}

// The checked input is cut to a few sequences: double precision takes the plain path, whose memory
// grows with the square of the length.
torch::Tensor checked_part(const torch::Tensor& input) { return input.narrow(0, 0, 1); }

class EncoderRunner {
 public:
  EncoderRunner(const Options& options, Printer& printer) : options_(options), printer_(printer) {}

  bool train(const EncoderInput& input, double dropout, ElementType products, int threads) {
    const bool mixed = products == ElementType::kBFloat16;
    const std::string name = training_name(dropout, input, mixed ? "mixed" : "f32");
    Encoder exact = make_encoder(0);
    Encoder checked = make_encoder(0, mixed);
    exact->to(torch::kFloat64);
    const torch::Tensor data = make_input(input);
    const Gradients expected = run_both_ways(exact, checked_part(data).to(torch::kFloat64));
    const Gradients found = run_both_ways(checked, checked_part(data));
    double error = 0;
    double scale = 0;
    for (size_t i = 0; i < expected.gradients.size(); ++i) {
      const torch::Tensor& gradient = expected.gradients[i];
      scale = std::max(scale, gradient.abs().max().item<double>());
      error = std::max(
          error, (found.gradients[i].to(torch::kFloat64) - gradient).abs().max().item<double>());
    }
    if (!within("a gradient", name, error / scale, mixed ? kBf16GradientBound : kGradientBound)) {
      return false;
    }

    Encoder encoder = make_encoder(dropout, mixed);
    encoder->train();
    TrainOptions training;
    training.weight_decay = 0;
    training.clip = 0;
    Optimizer optimizer(*encoder, training);
    const auto step = [&] {
      optimizer.zero_gradients();
      encoder->forward(data).hidden.square().mean().backward();
      optimizer.step(1e-4);
    };
    time(name, threads, 3 * encoder_forward_gflop(input), step, error / scale, input);
    return true;
  }

  // Not frozen is how a text classifier runs its encoder, in fp32.
  bool infer(const EncoderInput& input, ElementType type, bool frozen, int threads) {
    const bool bf16 = type == ElementType::kBFloat16;
    const std::string name = fmt::format("encoder_infer_{}{}_{}", frozen ? "" : "unfrozen_",
                                         bf16 ? "bf16" : "f32", input.name);
    const torch::NoGradGuard no_gradients;
    Encoder exact = make_encoder(0);
    Encoder encoder = make_encoder(0);
    exact->eval();
    encoder->eval();
    exact->to(torch::kFloat64);
    if (frozen) encoder->freeze(bf16 ? Precision::kBFloat16 : Precision::kFloat32);
    const torch::Tensor data = make_input(input);
    const torch::Tensor expected = exact->forward(checked_part(data).to(torch::kFloat64)).hidden;
    const double error = relative_error(encoder->forward(checked_part(data)).hidden, expected);
    if (!within("the output", name, error, bf16 ? kBf16OutputBound : kOutputBound)) return false;
    time(
        name, threads, encoder_forward_gflop(input), [&] { encoder->forward(data); }, error, input);
    return true;
  }

 private:
  void time(const std::string& name, int threads, double gflop, const std::function<void()>& action,
            double error, const EncoderInput& input) {
    print_encoder_line(name, threads, gflop, measure({action}, options_)[0], input, printer_,
                       error);
  }

  const Options& options_;
  Printer& printer_;
};

}  // namespace

EncoderInput parse_encoder_input(const std::string& text) {
  const size_t cross = text.find('x');
  return {text, std::stoll(text.substr(0, cross)), std::stoll(text.substr(cross + 1))};
}

double encoder_forward_gflop(const EncoderInput& input) {
  const double tokens = double(input.batch * input.length);
  return tokens * kEncoderLayers *
         (8.0 * kEncoderHidden * kEncoderHidden + 4.0 * kEncoderHidden * kEncoderFeedForward +
          4.0 * double(input.length) * kEncoderHidden) /
         1e9;
}

std::string training_name(double dropout, const EncoderInput& input, const char* type) {
  std::string number = fmt::format("{}", dropout);
  if (number.find('.') == std::string::npos) number += ".0";
  return fmt::format("encoder_train_{}_drop{}_{}", type, number, input.name);
}

void print_encoder_line(const std::string& name, int threads, double gflop, const Timing& timing,
                        const EncoderInput& input, Printer& printer, double error) {
  Line line;
  line.name = name;
  line.threads = threads;
  line.gflop = gflop;
  line.timing = timing;
  const double tokens = 1e3 * double(input.batch * input.length);
  line.json = fmt::format("\"tokens_per_s\":{:.0f},\"tokens_per_s_median\":{:.0f}",
                          tokens / timing.ms_min, tokens / timing.ms_median);
  line.note = fmt::format("{}{:.0f} tokens/s", error < 0 ? "" : fmt::format("{:.0e}, ", error),
                          tokens / timing.ms_min);
  printer.line(line);
}

int run_encoder_cases(const Options& options, Printer& printer) {
  EncoderRunner runner(options, printer);
  const auto types =
      options.types.empty() ? std::vector<ElementType>{ElementType::kFloat32} : options.types;
  int wrong = 0;
  for (const std::string& text : options.encoder_inputs) {
    const EncoderInput input = parse_encoder_input(text);
    for (const int threads : thread_counts(options, printer)) {
      at::set_num_threads(threads);
      place_threads(threads, options.pin);
      for (const double dropout : options.dropouts) {
        for (const ElementType type : types) wrong += !runner.train(input, dropout, type, threads);
      }
      for (const ElementType type : types) wrong += !runner.infer(input, type, true, threads);
      wrong += !runner.infer(input, ElementType::kFloat32, false, threads);
    }
  }
  return wrong;
}

}  // namespace attend::bench
