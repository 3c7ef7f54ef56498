// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "attend/data/tokenizer.h"
#include "attend/tasks/search.h"
#include "process.h"
#include "src/tasks/language_model.h"

namespace attend::bench {
namespace {

constexpr int64_t kHidden = 512, kHeads = 8, kLayers = 7, kFeedForward = 2048, kVocabulary = 6000;
constexpr int64_t kContext = 256, kSteps = 32, kCheckedSteps = 3;

LanguageModel make_model() {
  LanguageModelOptions options;
  options.vocabulary = kVocabulary;
  EncoderOptions& block = options.decoder.block;
  block.hidden = kHidden;
  block.heads = kHeads;
  block.layers = kLayers;
  block.feed_forward = kFeedForward;
  block.positions = PositionKind::kRotary;
  torch::manual_seed(0);
  LanguageModel model(options);
  model->eval();
  return model;
}

torch::Tensor random_tokens(int64_t batch, int64_t length) {
  return torch::randint(kSpecialCount, kVocabulary, {batch, length}, torch::kInt64);
}

// Behind a context that was read before; every search goes on from there.
class Continuation : public NextTokenModel {
 public:
  Continuation(LanguageModel model, const torch::Tensor& context) : model_(std::move(model)) {
    call_.state = &state_;
    // In two parts: the second one makes the cache grow to what the timed steps need.
    read(context.narrow(1, 0, kContext - kContext / 4));
    logits_ = read(context.narrow(1, kContext - kContext / 4, kContext / 4));
    after_context_ = state_;
  }

  torch::Tensor next(const torch::Tensor& tokens) override { return read(tokens.unsqueeze(1)); }
  void keep(const torch::Tensor&, const torch::Tensor&) override {}
  void rewind() { state_ = after_context_; }
  const torch::Tensor& logits() const { return logits_; }

 private:
  torch::Tensor read(const torch::Tensor& tokens) {
    const torch::Tensor hidden = model_->forward(model_->embed(tokens), call_).hidden;
    return model_->logits(hidden.select(1, hidden.size(1) - 1));
  }

  LanguageModel model_;
  DecoderState state_, after_context_;
  DecoderCall call_;
  torch::Tensor logits_;
};

// The largest difference of logits from the plain decoder in double precision, behind the context
// and a few further tokens; of one text, since texts do not see each other.
double error_of(LanguageModel& model, LanguageModel& exact) {
  const torch::Tensor context = random_tokens(1, kContext), more = random_tokens(1, kCheckedSteps);
  Continuation found(model, context);
  const torch::Tensor expected =
      exact->logits(exact->forward(exact->embed(torch::cat({context, more}, 1))).hidden)[0];
  double error = 0;
  torch::Tensor logits = found.logits();
  for (int64_t step = 0; step <= kCheckedSteps; ++step) {
    const torch::Tensor row = expected[kContext - 1 + step];
    error = std::max(
        error, ((logits[0].to(torch::kDouble) - row).abs().max() / row.abs().max()).item<double>());
    if (step < kCheckedSteps) logits = found.next(more.select(1, step));
  }
  return error;
}

double bound_of(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return 1e-5;
    case Precision::kBFloat16:
      return 3e-2;
    case Precision::kInt8:
      return 5e-2;
  }
  return 0;
}

// Keys and values that a step reads on the average.
double cache_bytes(Precision precision, int64_t batch) {
  const double positions = kContext + (kSteps + 1) / 2.0;
  return 2.0 * kLayers * kHidden * positions * double(batch) *
         (precision == Precision::kFloat32 ? 4 : 2);
}

class GenerateRunner {
 public:
  GenerateRunner(const Options& options, Printer& printer) : options_(options), printer_(printer) {
    exact_->to(torch::kDouble);
    parameters_ = 0;
    for (const auto& parameter : exact_->parameters()) parameters_ += double(parameter.numel());
    printer.text(fmt::format("generate: {:.1f} M parameters, behind {} tokens, {} tokens each",
                             parameters_ / 1e6, kContext, kSteps));
  }

  bool run(Precision precision, int threads, double read_gbs) {
    LanguageModel model = make_model();
    model->freeze(precision);
    const double error = error_of(model, exact_);
    const std::string name = "generate_" + to_string(precision);
    if (!(error <= bound_of(precision))) {
      std::fprintf(stderr,
                   "attend: bench: %s: logits differ from double precision by %.2e, bound %.2e; "
                   "not timed\n",
                   name.c_str(), error, bound_of(precision));
      return false;
    }
    for (const int64_t batch : options_.batches) {
      time(fmt::format("{}_{}", name, batch), model, precision, batch, threads, read_gbs, error);
    }
    return true;
  }

 private:
  void time(const std::string& name, const LanguageModel& model, Precision precision, int64_t batch,
            int threads, double read_gbs, double error) {
    Continuation continuation(model, random_tokens(batch, kContext));
    SearchOptions search_options;
    search_options.max_length = {kSteps};
    search_options.forbidden = {search_options.end};
    Timing timing = measure({[&] {
                              continuation.rewind();
                              search(continuation, batch, search_options);
                            }},
                            options_)[0];
    // One step is what a reader of the text waits for.
    timing.ms_min /= kSteps;
    timing.ms_median /= kSteps;
    const double bytes = double(model->frozen_bytes()) + cache_bytes(precision, batch);
    Line line;
    line.name = name;
    line.threads = threads;
    line.timing = timing;
    line.gflop = double(batch) * (2 * parameters_ + 4.0 * kLayers * kHidden * kContext) / 1e9;
    const double rate = bytes / timing.ms_min / 1e6, tokens = 1e3 * double(batch) / timing.ms_min;
    if (read_gbs > 0) line.share = rate / read_gbs;
    line.json = fmt::format(
        "\"tokens_per_s\":{:.0f},\"tokens_per_s_median\":{:.0f},\"read_mb\":{:.1f},"
        "\"read_gbs\":{:.2f}",
        tokens, 1e3 * double(batch) / timing.ms_median, bytes / 1e6, rate);
    line.note = fmt::format("{:.0e}, {:.0f} tokens/s, {:.1f} MB a step, {:.1f} GB/s", error, tokens,
                            bytes / 1e6, rate);
    printer_.line(line);
  }

  const Options& options_;
  Printer& printer_;
  LanguageModel exact_ = make_model();
  double parameters_ = 0;
};

}  // namespace

int run_generate_cases(const Options& options, Printer& printer) {
  const torch::NoGradGuard no_grad;
  GenerateRunner runner(options, printer);
  int wrong = 0;
  for (const int threads : thread_counts(options, printer)) {
    at::set_num_threads(threads);
    place_threads(threads, options.pin);
    double read_gbs = 0;
    if (options.limits) {
      Limits limits;
      const Timing timing = measure_first([&] { limits = measure_limits(threads); });
      printer.limits(threads, limits, timing.foreign);
      read_gbs = limits.read_gbs;
    }
    for (const std::string& precision : options.precisions) {
      wrong += !runner.run(parse_precision(precision), threads, read_gbs);
    }
  }
  return wrong;
}

}  // namespace attend::bench
