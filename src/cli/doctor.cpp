// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "attend/base/error.h"
#include "attend/kernels/attention.h"
#include "attend/nn/attention_function.h"
#include "attend/nn/multi_head_attention.h"
#include "common.h"
#include "verbs.h"

namespace attend {
namespace {

using nlohmann::json;

std::string cpu_field(const std::string& name) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with(name)) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "";
}

std::string instruction_sets() {
  const std::string flags = " " + cpu_field("flags") + " ";
  std::string found;
  for (const char* flag : {"avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"}) {
    if (flags.find(std::string(" ") + flag + " ") == std::string::npos) continue;
    found += (found.empty() ? "" : " ") + std::string(flag);
  }
  return found.empty() ? "none of avx2, avx512f" : found;
}

// The libraries this process has mapped: what is in use, not what was asked for at build time.
std::set<std::string> mapped_libraries(const std::vector<std::string>& words) {
  std::set<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t slash = line.find('/');
    if (slash == std::string::npos) continue;
    const std::string path = line.substr(slash);
    const std::string name = path.substr(path.rfind('/') + 1);
    for (const auto& word : words) {
      if (name.find(word) != std::string::npos) found.insert(path);
    }
  }
  return found;
}

/// Matrix product of two 1024 x 1024 floats in GFLOP/s: best of five.
double matrix_rate(int threads) {
  constexpr int64_t kSize = 1024;
  const int before = torch::get_num_threads();
  torch::set_num_threads(threads);
  const torch::Tensor left = torch::rand({kSize, kSize});
  const torch::Tensor right = torch::rand({kSize, kSize});
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor product = torch::matmul(left, right);
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds / 1e9);
  }
  torch::set_num_threads(before);
  return best;
}

/// Multi-head attention in float against the same weights in double: largest difference, relative
/// to the largest output. Float rounding alone gives about 1e-6.
double attention_error() {
  torch::NoGradGuard no_grad;
  AttentionOptions options;
  options.hidden = 64;
  options.heads = 4;
  options.causal = true;
  torch::manual_seed(1);
  MultiHeadAttention attention(options);
  attention->eval();
  const torch::Tensor input = torch::randn({2, 48, 64});
  const torch::Tensor single = attention->forward(input).output;
  attention->to(torch::kFloat64);
  const torch::Tensor exact = attention->forward(input.to(torch::kFloat64)).output;
  return ((single.to(torch::kFloat64) - exact).abs().max() / exact.abs().max()).item<double>();
}

json examine() {
  use_threads(0);
  const int threads = torch::get_num_threads();
  json blas = json::array();
  for (const auto& path : mapped_libraries({"blas", "mkl"})) blas.push_back(path);
  json runtimes = json::array();
  for (const auto& path : mapped_libraries({"libgomp", "libomp", "libiomp"})) {
    runtimes.push_back(path);
  }
  json warnings = json::array();
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) {
    if (std::getenv(name) != nullptr) {
      warnings.push_back(std::string(name) + " is set, which can halve OpenBLAS's speed; unset it");
    }
  }
  for (const auto& path : blas) {
    if (path.get<std::string>().find("openblas-pthread") != std::string::npos) {
      warnings.push_back(
          "OpenBLAS is the pthread flavour, which starts threads beside OpenMP's; install "
          "libopenblas0-openmp");
    }
  }
  const bool has_openblas = std::any_of(blas.begin(), blas.end(), [](const json& path) {
    return path.get<std::string>().find("openblas") != std::string::npos;
  });
  if (!has_openblas && !blas.empty()) {
    warnings.push_back("the BLAS in use is the slow reference one; install libopenblas0-openmp");
  }
  const double error = attention_error();
  return {{"version", ATTEND_VERSION},
          {"libtorch", TORCH_VERSION},
          {"cpu", cpu_field("model name")},
          {"instruction_sets", instruction_sets()},
          {"attention_kernels", kernels::to_string(kernels::active_isa())},
          {"threads", threads},
          {"blas", blas},
          {"openmp", runtimes},
          {"matmul_gflops_1_thread", matrix_rate(1)},
          {"matmul_gflops_all_threads", matrix_rate(threads)},
          {"attention_relative_error", error},
          {"self_test", error < 1e-5 ? "passed" : "failed"},
          {"warnings", warnings}};
}

std::string joined(const json& list) {
  std::string text;
  for (const auto& item : list) text += (text.empty() ? "" : ", ") + item.get<std::string>();
  return text.empty() ? "none found" : text;
}

void doctor(bool as_json) {
  const json found = examine();
  if (as_json) {
    write_output({}, found.dump(2) + "\n");
  } else {
    std::string text = fmt::format(
        "attend       {}, LibTorch {}\nprocessor    {} ({})\nkernels      {}\nthreads      "
        "{}\nBLAS         {}\n"
        "OpenMP       {}\nmatmul       {:.0f} GFLOP/s on 1 thread, {:.0f} on {}\n"
        "self-test    attention in float against double: relative error {:.1e}, {}\n",
        found["version"].get<std::string>(), found["libtorch"].get<std::string>(),
        found["cpu"].get<std::string>(), found["instruction_sets"].get<std::string>(),
        found["attention_kernels"].get<std::string>(), found["threads"].get<int>(),
        joined(found["blas"]), joined(found["openmp"]),
        found["matmul_gflops_1_thread"].get<double>(),
        found["matmul_gflops_all_threads"].get<double>(), found["threads"].get<int>(),
        found["attention_relative_error"].get<double>(), found["self_test"].get<std::string>());
    for (const auto& warning : found["warnings"]) {
      text += "warning      " + warning.get<std::string>() + "\n";
    }
    write_output({}, text);
  }
  if (found["self_test"] != "passed") {
    throw Error(ExitCode::kCheck,
                "self-test failed: attention in float differs from double by more "
                "than 1e-5; check the LibTorch and BLAS installation");
  }
}

}  // namespace

void add_doctor_verb(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("doctor", "Processor, threads, BLAS, self-test");
  auto as_json = std::make_shared<bool>(false);
  verb->add_flag("--json", *as_json, "Print JSON");
  verb->callback([as_json] { doctor(*as_json); });
}

}  // namespace attend
