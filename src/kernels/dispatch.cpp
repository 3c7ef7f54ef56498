// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dropout.h"
#include "engine.h"

namespace attend::kernels {
namespace {

constexpr std::array<const char*, 4> kNames{"portable", "avx2", "avx512", "avx512bf16"};

Isa best_isa() {
  for (int isa = int(kNames.size()) - 1; isa > 0; --isa) {
    if (isa_supported(Isa(isa))) return Isa(isa);
  }
  return Isa::kPortable;
}

Isa isa_at_start() {
  const Isa best = best_isa();
  const char* wanted = std::getenv("ATTEND_ISA");
  if (!wanted || !*wanted) return best;
  for (size_t isa = 0; isa < kNames.size(); ++isa) {
    if (std::strcmp(wanted, kNames[isa]) != 0) continue;
    if (isa_supported(Isa(isa))) return Isa(isa);
    std::fprintf(stderr, "attend: ATTEND_ISA=%s: this processor lacks it; using %s\n", wanted,
                 to_string(best));
    return best;
  }
  std::fprintf(stderr,
               "attend: ATTEND_ISA=%s is unknown (portable, avx2, avx512, avx512bf16); using %s\n",
               wanted, to_string(best));
  return best;
}

std::atomic<Isa>& chosen_isa() {
  static std::atomic<Isa> isa{isa_at_start()};
  return isa;
}

}  // namespace

const char* to_string(Isa isa) { return kNames[size_t(isa)]; }

bool isa_supported(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16") &&
             __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi2");
  }
  return false;
#else
  return isa == Isa::kPortable;
#endif
}

Isa active_isa() { return chosen_isa().load(std::memory_order_relaxed); }

bool use_isa(Isa isa) {
  if (!isa_supported(isa)) return false;
  chosen_isa().store(isa, std::memory_order_relaxed);
  return true;
}

const Engine& active_engine() {
  switch (active_isa()) {
#if defined(__x86_64__)
    case Isa::kAvx512Bf16:
      return avx512bf16::kEngine;
    case Isa::kAvx512:
      return avx512::kEngine;
    case Isa::kAvx2:
      return avx2::kEngine;
#endif
    default:
      return portable::kEngine;
  }
}

void forward(const Attention& attention, const MutableTensor& output, const Trace& trace) {
  assert(!check(attention));
  active_engine().forward(attention, output, trace);
}

void backward(const Attention& attention, const Gradients& gradients) {
  assert(!check(attention));
  active_engine().backward(attention, gradients);
}

void weights(const Attention& attention, const WeightsRequest& request) {
  assert(!check(attention));
  active_engine().weights(attention, request);
}

void multiply(const DenseProduct& product) {
  assert(product.depth > 0);
  if (product.rows > 0 && product.columns > 0) active_engine().multiply_dense(product);
}

bool dropout_keeps(const Attention& attention, int64_t batch_head, int64_t row, int64_t key) {
  const uint32_t row_key = dropout_row_key(attention.dropout_seed, batch_head, row);
  return dropout_bits(row_key, uint32_t(key)) >= dropout_threshold(attention.dropout);
}

}  // namespace attend::kernels
