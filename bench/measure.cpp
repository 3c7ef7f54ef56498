// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <algorithm>

#include "process.h"

namespace attend::bench {
namespace {

constexpr int kMostRepetitions = 2000;
constexpr double kShortMs = 300;  // a single warm-up of less may not reach the full clock
constexpr double kLongMs = 4000;
constexpr int kLongRepetitions = 3;

Timing summary(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  Timing timing;
  const auto at = [&times](double share) {
    return times[size_t(share * double(times.size() - 1))];
  };
  timing.ms_min = times.front();
  timing.ms_median = times[times.size() / 2];
  timing.spread = (at(0.9) - at(0.1)) / timing.ms_median;
  timing.repetitions = int(times.size());
  return timing;
}

std::vector<Timing> measure_once(const std::vector<std::function<void()>>& actions, double min_ms,
                                 int min_repetitions) {
  std::vector<std::vector<double>> times(actions.size());
  const double machine = machine_cpu_seconds();
  const double own = own_cpu_seconds();
  const double begin = now_ms();
  for (int round = 0;
       round < min_repetitions || (now_ms() - begin < min_ms && round < kMostRepetitions);
       ++round) {
    for (size_t i = 0; i < actions.size(); ++i) {
      const double start = now_ms();
      actions[i]();
      times[i].push_back(now_ms() - start);
    }
  }
  const double seconds = (now_ms() - begin) / 1e3;
  const double others = machine_cpu_seconds() - machine - (own_cpu_seconds() - own);
  std::vector<Timing> timings;
  for (auto& list : times) {
    timings.push_back(summary(std::move(list)));
    timings.back().foreign = std::max(0.0, others / seconds);
  }
  return timings;
}

}  // namespace

Timing measure_first(const std::function<void()>& action) {
  reset_peak_memory();
  const double resident = resident_mb();
  Timing timing = measure_once({action}, 0, 1)[0];
  timing.rss_mb = peak_resident_mb();
  timing.rss_delta_mb = timing.rss_mb - resident;
  return timing;
}

std::vector<Timing> measure(const std::vector<std::function<void()>>& actions,
                            const Options& options) {
  reset_peak_memory();
  const double resident = resident_mb();
  const double start = now_ms();
  for (const auto& action : actions) action();
  const double first_ms = now_ms() - start;
  if (first_ms < kShortMs) {
    for (const auto& action : actions) action();
  }
  const bool is_long = first_ms > kLongMs * double(actions.size());
  const int repetitions =
      is_long ? std::min(options.min_repetitions, kLongRepetitions) : options.min_repetitions;

  std::vector<Timing> best;
  for (int attempt = 0; attempt < options.tries; ++attempt) {
    wait_for_idle(options.wait_seconds);
    auto timings = measure_once(actions, options.min_ms, repetitions);
    if (best.empty() || timings[0].foreign < best[0].foreign) best = std::move(timings);
    if (best[0].foreign < kForeignLimit) break;
  }
  for (auto& timing : best) {
    timing.rss_mb = peak_resident_mb();
    timing.rss_delta_mb = timing.rss_mb - resident;
  }
  return best;
}

}  // namespace attend::bench
