// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <omp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>
#include <thread>
#include <utility>

namespace attend::bench {
namespace {

std::vector<int> processors_at_start() {
  std::vector<int> processors;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
      if (CPU_ISSET(processor, &set)) processors.push_back(processor);
    }
  }
  if (processors.empty()) processors.push_back(0);
  return processors;
}

double status_mb(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) / 1024;
  }
  return 0;
}

}  // namespace

const std::vector<int>& allowed_processors() {
  static const std::vector<int> processors = processors_at_start();
  return processors;
}

void place_threads(int threads, bool pin) {
  const auto& processors = allowed_processors();
#pragma omp parallel num_threads(threads)
  {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (pin) {
      CPU_SET(processors[size_t(omp_get_thread_num()) % processors.size()], &set);
    } else {
      for (const int processor : processors) CPU_SET(processor, &set);
    }
    sched_setaffinity(0, sizeof set, &set);
  }
}

double now_ms() {
  return std::chrono::duration<double, std::milli>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double machine_cpu_seconds() {
  std::ifstream stat("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, hard = 0, soft = 0;
  stat >> word >> user >> nice >> system >> idle >> wait >> hard >> soft;
  return (user + nice + system + hard + soft) / double(sysconf(_SC_CLK_TCK));
}

double own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void wait_for_idle(double seconds) {
  const double start = now_ms();
  while (now_ms() - start < seconds * 1e3) {
    const double before = machine_cpu_seconds() - own_cpu_seconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    if (machine_cpu_seconds() - own_cpu_seconds() - before < 0.03) return;
  }
}

double resident_mb() { return status_mb("VmRSS"); }
double peak_resident_mb() { return status_mb("VmHWM"); }

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << '5'; }

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

size_t last_level_cache() {
  size_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) +
                       "/size");
    size_t size = 0;
    char unit = 0;
    if (!(file >> size >> unit)) continue;
    largest = std::max(largest, size << (unit == 'M' ? 20 : 10));
  }
  return largest;
}

std::vector<std::string> environment_warnings() {
  std::vector<std::string> warnings;
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) {
    if (std::getenv(name)) {
      warnings.push_back(std::string(name) + " is set, which can halve OpenBLAS's speed; unset it");
    }
  }
  return warnings;
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data_ == MAP_FAILED) throw std::bad_alloc();
  madvise(data_, bytes, MADV_HUGEPAGE);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace attend::bench
