// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What to measure. One table of flags serves `attend bench` and attend-kernel-bench.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attend/kernels/attention.h"

namespace attend::bench {

enum class What {
  kLimits,
  kForward,
  kBackward,
  kDecode,
  kTrace,
  kMemory,
  kEncoder,
  kGenerate,
  kLinear
};

/// Whether it needs LibTorch, and so the full program.
constexpr bool needs_modules(What what) {
  return what == What::kEncoder || what == What::kGenerate || what == What::kLinear;
}

/// BxHxNxD[xM[xHkv]]: batch, query heads, queries, head dim, keys (N), key/value heads (H).
struct Shape {
  int64_t batch = 1;
  int64_t heads = 1;
  int64_t queries = 1;
  int64_t dim = 64;
  int64_t keys = 1;
  int64_t kv_heads = 1;
};

/// RxIxO: a linear layer and the rows it is given.
struct Layer {
  int64_t rows = 1;
  int64_t inputs = 1;
  int64_t outputs = 1;
};

struct Options {
  std::vector<What> what;     ///< empty: all but memory and what needs the modules
  std::vector<Shape> shapes;  ///< empty: the default cases, those of the other filters
  std::vector<kernels::ElementType> types;
  std::vector<bool> causal;
  int64_t window = -1;  ///< keys a query sees on each side (on its left only, if causal); -1 = all
  std::vector<int> threads;  ///< empty: 1 and 2
  double min_ms = 500;       ///< time every case for at least this long, milliseconds
  int min_repetitions = 5;   ///< and this often; 3 for a case of more than 4 s
  int tries = 1;             ///< repeat a case that other processes disturbed; the quietest counts
  double wait_seconds = 0;   ///< wait at most this long for an idle machine before each try
  bool limits = true;        ///< measure the machine first; without it there are no shares
  bool pin = true;           ///< thread i stays on the i-th processor that this process may use
  bool json = false;         ///< one JSON object a line instead of the table

  std::vector<std::string> encoder_inputs{"64x32", "8x512"};   ///< batch x length
  std::vector<double> dropouts{0.1, 0};                        ///< of the encoder's training
  std::vector<std::string> precisions{"f32", "bf16", "int8"};  ///< of generate
  std::vector<Layer> layers{{2048, 256, 256},
                            {2048, 256, 1024},
                            {2048, 1024, 256},
                            {4096, 256, 1024},
                            {4096, 1024, 256}};          ///< of linear: those of the encoder
  std::vector<int64_t> batches{1, 2, 4, 8, 16, 32, 64};  ///< texts side by side
};

struct Flag {
  const char* name;  ///< with the dashes
  const char* help;
  bool takes_value;
  /// Throws std::invalid_argument with a line for the user. `value` is empty without a value.
  void (*set)(Options& options, const std::string& value);
};

const std::vector<Flag>& flags();

/// argv[1] on, for programs that have nothing but these flags. Throws std::invalid_argument.
Options parse_flags(int argc, char** argv);

/// Throws std::invalid_argument for anything that is not BxHxNxD[xM[xHkv]] with numbers from 1.
Shape parse_shape(const std::string& text);

/// The shortest text that parse_shape() reads back.
std::string to_string(const Shape& shape);

}  // namespace attend::bench
