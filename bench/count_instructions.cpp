// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// attend-count-instructions QUERIESxKEYSxDIM [causal] [top_k]: how many instructions one head of
// fp32 attention takes, and how many of them multiply and add. It steps through one call of
// forward() in a child process, so that it needs no performance counters (virtual machines often
// have none). x86-64 Linux only.
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "attend/kernels/attention.h"

namespace {

using attend::kernels::Attention;
using attend::kernels::Trace;

struct Case {
  int64_t queries = 0, keys = 0, dim = 0;
  bool causal = false;
  int top_k = 0;
};

// In the child: a first call, which allocates and looks up, then the one between two breakpoints.
void run_child(const Case& wanted) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto numbers = [&](int64_t rows) {
    std::vector<float> made(static_cast<size_t>(rows * wanted.dim));
    for (float& number : made) number = normal(random);
    return made;
  };
  const std::vector<float> query = numbers(wanted.queries), key = numbers(wanted.keys),
                           value = numbers(wanted.keys);
  std::vector<float> output(query.size());
  std::vector<int32_t> top(static_cast<size_t>(wanted.queries * wanted.top_k));

  Attention attention;
  attention.queries = wanted.queries;
  attention.keys = wanted.keys;
  attention.dim = attention.value_dim = wanted.dim;
  attention.causal = wanted.causal;
  attention.threads = 1;
  const attend::kernels::Strides strides{0, 0, wanted.dim, 1};
  attention.query = {query.data(), strides};
  attention.key = {key.data(), strides};
  attention.value = {value.data(), strides};
  Trace trace;
  trace.top_k = wanted.top_k;
  trace.top_keys = wanted.top_k > 0 ? top.data() : nullptr;

  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  attend::kernels::forward(attention, {output.data(), strides}, trace);
  asm volatile("int3");
  attend::kernels::forward(attention, {output.data(), strides}, trace);
  asm volatile("int3");
  _exit(0);
}

// Whether the instruction of these first eight bytes is a fused multiply-add of any form
// (VFMADD, VFMSUB, VFNMADD, VFNMSUB; VEX or EVEX, opcode map 0F38).
bool multiplies_and_adds(uint64_t bytes) {
  const auto byte = [&](int i) { return unsigned(bytes >> (8 * i)) & 0xff; };
  unsigned opcode = 0;
  if (byte(0) == 0x62 && (byte(1) & 7) == 2) {
    opcode = byte(4);
  } else if (byte(0) == 0xc4 && (byte(1) & 31) == 2) {
    opcode = byte(3);
  }
  return opcode >= 0x96 && opcode <= 0xbf && (opcode & 15) >= 6;
}

int fail(const char* text) {
  std::fprintf(stderr, "attend-count-instructions: %s\n", text);
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  Case wanted;
  if (count < 2 || count > 4 ||
      std::sscanf(arguments[1], "%ldx%ldx%ld", &wanted.queries, &wanted.keys, &wanted.dim) != 3 ||
      wanted.queries < 1 || wanted.keys < 1 || wanted.dim < 1 || wanted.dim > 256) {
    return fail("usage: attend-count-instructions QUERIESxKEYSxDIM [causal: 0,1] [top_k: 0 to 32]");
  }
  if (count > 2) wanted.causal = std::atoi(arguments[2]) != 0;
  if (count > 3) wanted.top_k = std::atoi(arguments[3]);
  if (wanted.top_k < 0 || wanted.top_k > 32) return fail("top_k is 0 to 32");

  const pid_t child = fork();
  if (child < 0) return fail("cannot start a process");
  if (child == 0) run_child(wanted);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return fail("the system forbids tracing");

  constexpr uint64_t kBreakpoint = 0xcc;
  long instructions = 0, multiply_adds = 0;
  for (;; ++instructions) {
    user_regs_struct registers{};
    ptrace(PTRACE_GETREGS, child, nullptr, &registers);
    const auto bytes = static_cast<uint64_t>(
        ptrace(PTRACE_PEEKTEXT, child, reinterpret_cast<void*>(registers.rip), nullptr));
    if ((bytes & 0xff) == kBreakpoint) break;
    multiply_adds += multiplies_and_adds(bytes);
    ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return fail("the call ended early");
  }
  ptrace(PTRACE_KILL, child, nullptr, nullptr);
  std::printf("%ldx%ldx%ld%s, top %d: %ld instructions, of them %ld multiply and add (%s)\n",
              wanted.queries, wanted.keys, wanted.dim, wanted.causal ? " causal" : "", wanted.top_k,
              instructions, multiply_adds,
              attend::kernels::to_string(attend::kernels::active_isa()));
}
