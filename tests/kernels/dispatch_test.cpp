// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// That the instruction set asked for is the one in use.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "compare.h"
#include "engine.h"

namespace attend::kernels::testing {
namespace {

constexpr Isa kAll[] = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16};

Isa best() {
  Isa result = Isa::kPortable;
  for (const Isa isa : kAll) {
    if (isa_supported(isa)) result = isa;
  }
  return result;
}

// CTest runs this once per instruction set, and once with a name that does not exist.
TEST(Dispatch, FollowsTheEnvironment) {
  const char* wanted = std::getenv("ATTEND_ISA");
  ::testing::internal::CaptureStderr();
  const Isa active = active_isa();
  active_isa();
  const std::string said = ::testing::internal::GetCapturedStderr();
  if (!wanted) {
    EXPECT_EQ(active, best());
    EXPECT_EQ(said, "");
    return;
  }
  for (const Isa isa : kAll) {
    if (wanted != std::string(to_string(isa))) continue;
    EXPECT_EQ(active, isa);
    EXPECT_EQ(said, "");
    return;
  }
  EXPECT_EQ(active, best());
  EXPECT_NE(said.find(wanted), std::string::npos) << said;
  EXPECT_EQ(said.find(wanted), said.rfind(wanted)) << "said more than once: " << said;
}

TEST(Dispatch, ChoosesAmongTheEngines) {
  const Isa before = active_isa();
#if defined(__x86_64__)
  const Engine* engines[] = {&portable::kEngine, &avx2::kEngine, &avx512::kEngine,
                             &avx512bf16::kEngine};
#else
  const Engine* engines[] = {&portable::kEngine, nullptr, nullptr, nullptr};
#endif
  for (const Isa isa : kAll) {
    EXPECT_EQ(use_isa(isa), isa_supported(isa));
    if (!isa_supported(isa)) continue;
    EXPECT_EQ(active_isa(), isa);
    EXPECT_EQ(&active_engine(), engines[int(isa)]) << to_string(isa);
  }
  EXPECT_TRUE(use_isa(before));
}

TEST(Dispatch, EachSetIncludesTheOnesBeforeIt) {
  for (size_t n = 1; n < std::size(kAll); ++n) {
    if (!isa_supported(kAll[n])) continue;
    EXPECT_TRUE(isa_supported(kAll[n - 1])) << to_string(kAll[n]);
  }
}

TEST(Dispatch, EnginesAgree) {
  const Isa before = active_isa();
  for (const ElementType type : {ElementType::kFloat32, ElementType::kBFloat16}) {
    Problem p({.heads = 2,
               .kv_heads = 1,
               .queries = 70,
               .keys = 110,
               .dim = 40,
               .value_dim = 24,
               .type = type});
    const bool fp32 = type == ElementType::kFloat32;
    for (const Isa isa : kAll) {
      if (!use_isa(isa)) continue;
      expect_forward(p, to_string(isa), fp32 ? kForwardBound : 1.0 / 128);
      expect_backward(p, to_string(isa), fp32 ? kBackwardBound : 0.02);
    }
  }
  EXPECT_TRUE(use_isa(before));
}

}  // namespace
}  // namespace attend::kernels::testing
