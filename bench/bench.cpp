// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "cases.h"
#include "check.h"
#include "process.h"

namespace attend::bench {
namespace {

using kernels::ElementType;

template <typename... Arguments>
std::string format(const char* pattern, Arguments... arguments) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, arguments...);
  return text;
}

// A thread of its own starts without the memory that the kernels keep for the next call of a thread
// (else only the first case would show what it needs), and ends with its OpenMP team. The main
// thread must have no team: libgomp lets threads spin less once there are more than processors.
void in_own_thread(const std::function<void()>& action) { std::thread(action).join(); }

// The share of what the machine can do: of bandwidth where the cache is read once, else of
// products.
double share_of_limit(const Case& c, const Limits& limits, double ms) {
  if (c.what == What::kDecode) {
    return limits.read_gbs > 0 ? cache_bytes(c) / ms / 1e6 / limits.read_gbs : -1;
  }
  const bool bf16 = c.type == ElementType::kBFloat16 && limits.bf16_gflops > 0;
  const double peak = bf16 ? limits.bf16_gflops : limits.fp32_gflops;
  return peak > 0 ? flops(c) / ms / 1e6 / peak : -1;
}

class CaseRunner {
 public:
  CaseRunner(const Options& options, Printer& printer, const std::map<int, Limits>& limits)
      : options_(options), printer_(printer), limits_(limits) {}

  // False: the result was wrong for one of the thread counts.
  bool run(const Case& c, const std::vector<int>& threads) {
    Problem problem(c);
    Reference reference(problem);
    bool right = true;
    for (const int count : threads) {
      in_own_thread([&] { right &= run(problem, reference, count); });
    }
    return right;
  }

 private:
  bool run(Problem& problem, Reference& reference, int threads) {
    const Case& c = problem.measured();
    place_threads(threads, options_.pin);
    problem.set_threads(threads);
    const bool traced = c.what == What::kBackward || c.trace != TraceKind::kNone;
    const Timing first =
        measure_first([&] { traced ? problem.forward_traced() : problem.forward(); });
    const CheckResult forward = reference.check_forward(traced);
    if (!forward.passed) return report(c, threads, forward);
    if (c.what != What::kBackward) {
      time(problem, threads, first, forward);
      return true;
    }
    const Timing first_backward = measure_first([&] { problem.backward(); });
    const CheckResult backward = reference.check_backward();
    if (!backward.passed) return report(c, threads, backward);
    time(problem, threads, first_backward, backward);
    return true;
  }

  static bool report(const Case& c, int threads, const CheckResult& checked) {
    std::fprintf(stderr,
                 "attend: bench: %s, %d thread(s): %s differs from the double reference by %.2e, "
                 "bound %.2e; not timed\n",
                 name(c).c_str(), threads, checked.part.c_str(), checked.error, checked.bound);
    return false;
  }

  void time(Problem& problem, int threads, const Timing& first, const CheckResult& checked) {
    const Case& c = problem.measured();
    Line line;
    line.name = name(c);
    line.threads = threads;
    line.gflop = flops(c) / 1e9;
    line.note = format("%.0e", checked.error);
    std::vector<std::function<void()>> actions{[&problem] { problem.forward(); }};
    if (c.what == What::kBackward) actions = {[&problem] { problem.backward(); }};
    if (c.what == What::kTrace) {
      actions.insert(actions.begin(), [&problem] { problem.forward_traced(); });
    }
    // The memory case runs for minutes and is asked for its memory: the first run is enough.
    const auto timings =
        c.what == What::kMemory ? std::vector<Timing>{first} : measure(actions, options_);
    line.timing = timings[0];
    line.timing.rss_mb = first.rss_mb;
    line.timing.rss_delta_mb = first.rss_delta_mb;
    if (const auto found = limits_.find(threads); found != limits_.end()) {
      line.share = share_of_limit(c, found->second, line.timing.ms_min);
    }
    if (c.what == What::kDecode) {
      const double rate = cache_bytes(c) / line.timing.ms_min / 1e6;
      line.json = format("\"kv_gbs\":%.2f", rate);
      line.note += format(", %.1f GB/s", rate);
    }
    if (c.what == What::kTrace) {
      // From the medians: the two took turns, so what disturbed one disturbed the other.
      const double added = 100 * (timings[0].ms_median / timings[1].ms_median - 1);
      line.json =
          format("\"plain_ms_median\":%.4f,\"added_percent\":%.1f", timings[1].ms_median, added);
      line.note += format(", %+.1f %% over the plain forward", added);
    }
    if (c.what == What::kMemory) {
      line.note += format(", peak %.0f MB, %.0f MB beyond inputs and outputs", first.rss_mb,
                          first.rss_delta_mb);
    }
    printer_.line(line);
  }

  const Options& options_;
  Printer& printer_;
  const std::map<int, Limits>& limits_;
};

}  // namespace

void Printer::text(const std::string& text) {
  if (!options_.json) std::printf("%s\n", text.c_str());
}

void Printer::limits(int threads, const Limits& limits, double foreign) {
  const bool disturbed = foreign > kForeignLimit;
  disturbed_ += disturbed;
  if (!options_.json) {
    std::printf(
        "limits, %d thread(s): fp32 %.0f GFLOP/s, bf16 %s GFLOP/s, memory read %.1f GB/s%s\n",
        threads, limits.fp32_gflops,
        limits.bf16_gflops > 0 ? format("%.0f", limits.bf16_gflops).c_str() : "-", limits.read_gbs,
        disturbed ? " ~" : "");
  } else {
    const auto print = [threads](const char* limit, double value, const char* unit) {
      std::printf(
          "{\"peer\":\"machine\",\"case\":\"%s\",\"threads\":%d,\"value\":%.1f,\"unit\":\"%s\"}\n",
          limit, threads, value, unit);
    };
    print("fma_f32", limits.fp32_gflops, "GFLOP/s");
    if (limits.bf16_gflops > 0) print("dot_bf16", limits.bf16_gflops, "GFLOP/s");
    print("memory_read", limits.read_gbs, "GB/s");
  }
  std::fflush(stdout);
}

void Printer::line(const Line& line) {
  const Timing& t = line.timing;
  const bool disturbed = t.foreign > kForeignLimit;
  disturbed_ += disturbed;
  if (options_.json) {
    std::printf(
        "{\"peer\":\"%s\",\"case\":\"%s\",\"threads\":%d,\"ms_min\":%.4f,\"ms_median\":%.4f,"
        "\"gflops\":%.2f,\"gflops_median\":%.2f,\"rss_mb\":%.1f,\"rss_delta_mb\":%.1f,\"reps\":%d,"
        "\"foreign\":%.2f%s%s}\n",
        peer_.c_str(), line.name.c_str(), line.threads, t.ms_min, t.ms_median,
        line.gflop / t.ms_min * 1e3, line.gflop / t.ms_median * 1e3, t.rss_mb, t.rss_delta_mb,
        t.repetitions, t.foreign, line.json.empty() ? "" : ",", line.json.c_str());
    std::fflush(stdout);
    return;
  }
  if (!headed_) {
    std::printf("\n%-46s %3s %10s %10s %7s %8s %6s %6s  %s\n", "case", "thr", "min ms", "median",
                "spread", "GFLOP/s", "share", "vs 1", "error against double");
    headed_ = true;
  }
  std::string ratio = "-";
  if (line.threads == 1) {
    single_thread_ms_[line.name] = t.ms_min;
  } else if (single_thread_ms_.contains(line.name)) {
    ratio = format("%.2fx", single_thread_ms_[line.name] / t.ms_min);
  }
  const std::string share = line.share < 0 ? "-" : format("%.1f%%", 100 * line.share);
  std::printf("%-46s %3d %10.4g %10.4g %6.1f%% %8.1f %6s %6s  %s%s\n", line.name.c_str(),
              line.threads, t.ms_min, t.ms_median, 100 * t.spread, line.gflop / t.ms_min * 1e3,
              share.c_str(), ratio.c_str(), line.note.c_str(), disturbed ? " ~" : "");
  std::fflush(stdout);
}

void Printer::finish() {
  if (disturbed_ == 0) return;
  std::fprintf(stderr,
               "attend: bench: other processes used more than %.0f %% of a processor during %d "
               "line(s)%s\n",
               100 * kForeignLimit, disturbed_, options_.json ? "" : ", marked ~");
}

std::vector<int> thread_counts(const Options& options, Printer& printer) {
  const int most = int(allowed_processors().size());
  std::vector<int> counts;
  for (const int count : options.threads.empty() ? std::vector<int>{1, 2} : options.threads) {
    if (count <= most) {
      counts.push_back(count);
    } else {
      printer.text("left out: " + std::to_string(count) + " threads, as this process may use " +
                   std::to_string(most) + " processor(s)");
    }
  }
  return counts;
}

int run_kernel_cases(const Options& options, Printer& printer) {
  for (const auto& warning : environment_warnings()) {
    std::fprintf(stderr, "attend: bench: %s\n", warning.c_str());
  }
  const auto threads = thread_counts(options, printer);
  printer.text(processor_name() + ", instruction set " + kernels::to_string(kernels::active_isa()));
  std::map<int, Limits> limits;
  for (const int count : threads) {
    if (!options.limits) break;
    in_own_thread([&] {
      place_threads(count, options.pin);
      const Timing timing = measure_first([&] { limits[count] = measure_limits(count); });
      printer.limits(count, limits[count], timing.foreign);
    });
  }
  CaseRunner runner(options, printer, limits);
  int wrong = 0;
  for (const Case& c : chosen_cases(options)) wrong += !runner.run(c, threads);
  return wrong;
}

}  // namespace attend::bench
