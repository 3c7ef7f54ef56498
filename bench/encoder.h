// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "bench/bench.h"

namespace attend::bench {

inline constexpr int64_t kEncoderLayers = 4;
inline constexpr int64_t kEncoderHidden = 256;
inline constexpr int64_t kEncoderHeads = 4;
inline constexpr int64_t kEncoderFeedForward = 1024;

struct EncoderInput {
  std::string name;  ///< "64x32"
  int64_t batch;
  int64_t length;
};

EncoderInput parse_encoder_input(const std::string& text);

/// Products of matrices only, as the peers count: the four projections, the feed-forward part and
/// the two products of attention. Training counts three times as much.
double encoder_forward_gflop(const EncoderInput& input);

/// As the peers name it: encoder_train_f32_drop0.0_64x32. `type` is "f32" or, with products in bf16
/// (EncoderOptions::mixed_precision), "mixed".
std::string training_name(double dropout, const EncoderInput& input, const char* type = "f32");

void print_encoder_line(const std::string& name, int threads, double gflop, const Timing& timing,
                        const EncoderInput& input, Printer& printer, double error = -1);

/// The whole model: an encoder of 4 blocks (hidden 256, 4 heads, feed-forward 1024), one training
/// step (forward, mean of squares, backward, AdamW) per dropout and one inference per input size,
/// fp32; training in mixed precision and inference in bf16 too when bf16 is asked for. Before it is
/// timed, its output and its gradients are compared with the same weights in double precision.
/// Returns how many differed too much.
int run_encoder_cases(const Options& options, Printer& printer);

}  // namespace attend::bench
