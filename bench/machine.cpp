// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine.h"
#include "process.h"

namespace attend::bench {
namespace {

constexpr int kRepetitions = 7;
constexpr double kPieceMs = 60;  // long beside a thread's start, short beside the clock's drift

// A store that the compiler cannot see through keeps a loop whose result nobody needs.
volatile double sink = 0;

double peak_gflops(double (*loop)(int64_t), int threads) {
  if (!loop) return 0;
  int64_t rounds = 1024;
  for (;; rounds *= 2) {
    const double start = now_ms();
    loop(rounds);
    if (now_ms() - start > kPieceMs) break;
  }
  double best = 0;
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    double flops = 0;
    const double start = now_ms();
#pragma omp parallel num_threads(threads) reduction(+ : flops)
    flops += loop(rounds);
    best = std::max(best, flops / (now_ms() - start) / 1e6);
  }
  return best;
}

// One ascending stream a thread: several at once, at distances of a power of two, were measured to
// be slower (10 to 20 against 26 GB/s on a Zen 4), and software prefetching gained nothing.
uint64_t read_all(const uint64_t* data, size_t count) {
  uint64_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < count; ++i) sum += data[i];
  return sum;
}

double read_gbs(int threads) {
  constexpr size_t kLeastBytes = size_t{512} << 20;
  const size_t bytes = std::max(kLeastBytes, 16 * last_level_cache());
  const Buffer buffer(bytes);
  const size_t share = bytes / size_t(threads) / sizeof(uint64_t) / 1024 * 1024;
  double best = 0;
  // The first pass writes: every thread's part then lies in memory near it, and in no shared page.
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    uint64_t total = 0;
    const double start = now_ms();
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : total)
    for (int thread = 0; thread < threads; ++thread) {
      uint64_t* part = buffer.as<uint64_t>() + size_t(thread) * share;
      if (repetition == 0) {
        std::fill(part, part + share, uint64_t{1});
      } else {
        total += read_all(part, share);
      }
    }
    const double ms = now_ms() - start;
    sink = double(total);
    if (repetition > 0) {
      best = std::max(best, double(share * size_t(threads) * sizeof(uint64_t)) / ms / 1e6);
    }
  }
  return best;
}

}  // namespace

Limits measure_limits(int threads) {
  const kernels::Engine& engine = kernels::active_engine();
  Limits limits;
  limits.fp32_gflops = peak_gflops(engine.peak_fp32, threads);
  limits.bf16_gflops = peak_gflops(engine.peak_bf16, threads);
  limits.read_gbs = read_gbs(threads);
  return limits;
}

}  // namespace attend::bench
