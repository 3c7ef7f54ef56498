// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What the operating system tells about this process and its neighbours (Linux).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace attend::bench {

/// The processors that this process may use, ascending, as they were when first asked.
const std::vector<int>& allowed_processors();

/// Puts OpenMP thread i of a team of `threads` on the i-th allowed processor. Some virtual machines
/// pack runnable threads on one processor; and libgomp ends threads that a smaller team does not
/// need, so this is called before every measurement. Nothing but `pin` = false undoes it.
void place_threads(int threads, bool pin);

double now_ms();

/// CPU seconds that all processes, and this one, have used.
double machine_cpu_seconds();
double own_cpu_seconds();

/// Waits until other processes use less than a tenth of one processor, at most `seconds`.
void wait_for_idle(double seconds);

/// Resident memory in MB (2^20 bytes), and its peak since reset_peak_memory().
double resident_mb();
double peak_resident_mb();
void reset_peak_memory();

/// The model name of the processor, and the size of its last-level cache in bytes (0: not known).
std::string processor_name();
size_t last_level_cache();

/// Lines about the environment that make figures untrustworthy.
std::vector<std::string> environment_warnings();

/// Zeroed memory of its own pages, huge ones where the system grants them; page faults and TLB
/// misses would otherwise be measured along with the kernel. Throws std::bad_alloc.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace attend::bench
