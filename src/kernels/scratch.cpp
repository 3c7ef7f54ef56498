// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "scratch.h"

namespace attend::kernels {

Scratch& pair_scratch() {
  static thread_local Scratch scratch;
  return scratch;
}

Scratch& thread_scratch() {
  static thread_local Scratch scratch;
  return scratch;
}

Scratch& team_scratch() {
  static thread_local Scratch scratch;
  return scratch;
}

Scratch& column_scratch() {
  static thread_local Scratch scratch;
  return scratch;
}

}  // namespace attend::kernels
