// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace attend {
namespace {

std::string duration(double seconds) {
  const auto whole = static_cast<long long>(std::lround(seconds));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

}  // namespace

std::string metrics_text(const std::map<std::string, double>& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, value);
  }
  return text;
}

ProgressPrinter::ProgressPrinter(std::string primary_metric, std::string prefix)
    : primary_metric_(std::move(primary_metric)),
      prefix_(std::move(prefix)),
      terminal_(isatty(STDOUT_FILENO) != 0),
      last_(std::chrono::steady_clock::now()) {}

std::string ProgressPrinter::line(const TrainProgress& progress) const {
  std::string text =
      fmt::format("{}step {}/{}  epoch {:.1f}/{}  loss {:.4f}  {:.0f} examples/s  {} left", prefix_,
                  progress.step, progress.total_steps, progress.epoch, progress.epochs,
                  progress.loss, progress.examples_per_second, duration(progress.seconds_left));
  if (looked_) text += fmt::format("  best dev {} {:.4f}", primary_metric_, progress.best);
  return text;
}

void ProgressPrinter::show(const TrainProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const double waited = std::chrono::duration<double>(now - last_).count();
  if (progress.dev) {
    looked_ = true;
    finish();
    fmt::print("step {}  epoch {:.1f}  loss {:.4f}  dev {}{}\n", progress.step, progress.epoch,
               progress.loss, metrics_text(*progress.dev), progress.improved ? "  (best)" : "");
  } else if (terminal_ && waited > 0.1) {
    fmt::print("\r{}\x1b[K", line(progress));
    line_open_ = true;
  } else if (!terminal_ && waited > 10) {
    fmt::print("{}\n", line(progress));
  } else {
    return;
  }
  last_ = now;
  std::fflush(stdout);
}

void ProgressPrinter::finish() {
  if (line_open_) fmt::print("\r\x1b[K");
  line_open_ = false;
}

CountPrinter::CountPrinter(std::string what)
    : what_(std::move(what)),
      terminal_(isatty(STDERR_FILENO) != 0),
      last_(std::chrono::steady_clock::now()) {}

void CountPrinter::show(int64_t done, int64_t total, double per_second, double seconds_left) {
  const auto now = std::chrono::steady_clock::now();
  if (std::chrono::duration<double>(now - last_).count() < (terminal_ ? 0.1 : 10)) return;
  last_ = now;
  const std::string line = fmt::format("{} {}/{}  {:.1f}/s  {} left", what_, done, total,
                                       per_second, duration(seconds_left));
  fmt::print(stderr, "{}{}{}", terminal_ ? "\r" : "", line, terminal_ ? "\x1b[K" : "\n");
  std::fflush(stderr);
  line_open_ = terminal_;
}

void CountPrinter::finish() {
  if (line_open_) fmt::print(stderr, "\r\x1b[K");
  line_open_ = false;
}

}  // namespace attend
