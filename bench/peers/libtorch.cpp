// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The LibTorch that attend is built with as a peer, with attend's own flags and JSON lines:
// attention as its users write it (two products and a softmax; 1.13 has no fused one), and its own
// encoder.
#include <torch/torch.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "bench/cases.h"
#include "bench/encoder.h"
#include "bench/process.h"

namespace attend::bench {
namespace {

torch::Tensor plain_attention(const torch::Tensor& query, const torch::Tensor& key,
                              const torch::Tensor& value, const torch::Tensor& hidden) {
  torch::Tensor scores =
      torch::matmul(query, key.transpose(-1, -2)) / std::sqrt(double(query.size(-1)));
  if (hidden.defined()) scores = scores.masked_fill(hidden, -INFINITY);
  return torch::matmul(torch::softmax(scores, -1), value);
}

void run_attention(const Case& c, const Options& options, Printer& printer) {
  const Shape& s = c.shape;
  const bool backward = c.what == What::kBackward;
  if ((c.what != What::kForward && !backward) || s.heads != s.kv_heads || c.window >= 0) return;
  if (double(s.batch * s.heads) * double(s.queries) * double(s.keys) * 4 > 4e9) return;  // memory
  const auto type = c.type == kernels::ElementType::kFloat32 ? torch::kFloat32 : torch::kBFloat16;
  torch::manual_seed(0);
  const auto make = [&](int64_t rows) {
    return torch::randn({s.batch, s.heads, rows, s.dim}).to(type).requires_grad_(backward);
  };
  const torch::Tensor query = make(s.queries), key = make(s.keys), value = make(s.keys);
  torch::Tensor hidden;
  if (c.causal) hidden = torch::ones({s.queries, s.keys}, torch::kBool).triu(1);
  std::string title = name(c);
  title.insert(title.find('_') + 1, "eager_");

  for (const int threads : thread_counts(options, printer)) {
    at::set_num_threads(threads);
    place_threads(threads, options.pin);
    std::function<void()> action;
    if (backward) {
      const torch::Tensor output = plain_attention(query, key, value, hidden);
      const torch::Tensor gradient = torch::randn_like(output);
      action = [=] {
        torch::autograd::grad({output}, {query, key, value}, {gradient}, /*retain_graph=*/true);
      };
    } else {
      action = [=] {
        const torch::NoGradGuard no_gradients;
        plain_attention(query, key, value, hidden);
      };
    }
    Line line;
    line.name = title;
    line.threads = threads;
    line.gflop = flops(c) / 1e9;
    line.timing = measure({action}, options)[0];
    printer.line(line);
  }
}

void run_encoder(const Options& options, Printer& printer) {
  for (const std::string& text : options.encoder_inputs) {
    const EncoderInput input = parse_encoder_input(text);
    for (const int threads : thread_counts(options, printer)) {
      at::set_num_threads(threads);
      place_threads(threads, options.pin);
      const auto time = [&](const std::string& title, double gflop,
                            const std::function<void()>& action) {
        print_encoder_line(title, threads, gflop, measure({action}, options)[0], input, printer);
      };
      const auto make = [](double dropout) {
        torch::manual_seed(0);
        const auto layer = torch::nn::TransformerEncoderLayerOptions(kEncoderHidden, kEncoderHeads)
                               .dim_feedforward(kEncoderFeedForward)
                               .dropout(dropout);
        return torch::nn::TransformerEncoder(
            torch::nn::TransformerEncoderOptions(layer, kEncoderLayers));
      };
      torch::manual_seed(1);
      const torch::Tensor data = torch::randn({input.length, input.batch, kEncoderHidden});
      for (const double dropout : options.dropouts) {
        auto encoder = make(dropout);
        torch::optim::Adam optimizer(encoder->parameters(), torch::optim::AdamOptions(1e-4));
        time(training_name(dropout, input), 3 * encoder_forward_gflop(input), [&] {
          optimizer.zero_grad();
          encoder->forward(data).square().mean().backward();
          optimizer.step();
        });
      }
      auto encoder = make(0);
      encoder->eval();
      const torch::NoGradGuard no_gradients;
      time("encoder_infer_f32_" + text, encoder_forward_gflop(input),
           [&] { encoder->forward(data); });
    }
  }
}

int run(int argc, char** argv) {
  const Options options = parse_flags(argc, argv);
  Printer printer(options, fmt::format("libtorch-{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR));
  for (const Case& c : chosen_cases(options)) run_attention(c, options, printer);
  for (const What what : options.what) {
    if (what == What::kEncoder) run_encoder(options, printer);
  }
  printer.finish();
  return 0;
}

}  // namespace
}  // namespace attend::bench

int main(int argc, char** argv) {
  try {
    return attend::bench::run(argc, argv);
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "attend-peer-libtorch: %s\n", error.what());
    return 1;
  }
}
