// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "random_seed.h"

#include <ATen/CPUGeneratorImpl.h>

#include <mutex>

namespace attend::detail {

uint64_t draw_seed() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

}  // namespace attend::detail
