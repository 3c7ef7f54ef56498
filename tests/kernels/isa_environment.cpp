// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Linked into every kernel test: when ATTEND_ISA asks for an instruction set that this processor
// lacks, all tests are skipped, and CTest reports that instead of a pass.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "attend/kernels/attention.h"

namespace attend::kernels::testing {
namespace {

class IsaEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    const char* wanted = std::getenv("ATTEND_ISA");
    if (!wanted) return;
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
      if (wanted == std::string(to_string(isa)) && !isa_supported(isa)) {
        GTEST_SKIP() << "SKIP: this processor lacks " << wanted;
      }
    }
  }
};

const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new IsaEnvironment);

}  // namespace
}  // namespace attend::kernels::testing
