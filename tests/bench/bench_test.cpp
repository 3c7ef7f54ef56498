// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <sched.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "bench/cases.h"
#include "bench/check.h"
#include "bench/process.h"

namespace attend::bench {
namespace {

using kernels::ElementType;

#if defined(__SANITIZE_THREAD__)
constexpr bool kShadowMemory = true;
#elif defined(__has_feature)
constexpr bool kShadowMemory = __has_feature(thread_sanitizer);
#else
constexpr bool kShadowMemory = false;
#endif

Options parsed(const std::vector<std::pair<std::string, std::string>>& given) {
  Options options;
  for (const auto& [name, value] : given) {
    for (const Flag& flag : flags()) {
      if (name == flag.name) flag.set(options, value);
    }
  }
  return options;
}

Case make_case(What what, const char* shape, bool causal = false, int64_t window = -1,
               TraceKind trace = TraceKind::kNone, ElementType type = ElementType::kFloat32) {
  return {what, parse_shape(shape), type, causal, window, trace};
}

TEST(Options, ShapesAreReadAndWrittenShortest) {
  const Shape shape = parse_shape("1x32x1x128x32768x8");
  EXPECT_EQ(shape.heads, 32);
  EXPECT_EQ(shape.queries, 1);
  EXPECT_EQ(shape.dim, 128);
  EXPECT_EQ(shape.keys, 32768);
  EXPECT_EQ(shape.kv_heads, 8);
  EXPECT_EQ(to_string(shape), "1x32x1x128x32768x8");
  EXPECT_EQ(to_string(parse_shape("2x8x512x64")), "2x8x512x64");
  EXPECT_EQ(to_string(parse_shape("2x8x512x64x512x8")), "2x8x512x64");
  for (const char* bad : {"", "1x8x512", "1x8x512x", "1x8x512x64x1x1x1", "1x0x512x64", "1x8x-1x64",
                          "axbxcxd", "1x8x512x64 "}) {
    EXPECT_THROW(parse_shape(bad), std::invalid_argument) << bad;
  }
}

TEST(Options, FlagsRefuseWhatTheyDoNotKnow) {
  for (const auto& [name, bad] :
       std::vector<std::pair<std::string, std::string>>{{"--what", "sideways"},
                                                        {"--dtype", "f16"},
                                                        {"--causal", "2"},
                                                        {"--threads", "0"},
                                                        {"--threads", "1,"},
                                                        {"--window", "-1"},
                                                        {"--min-ms", "soon"},
                                                        {"--inputs", "64"},
                                                        {"--dropout", "1"}}) {
    EXPECT_THROW(parsed({{name, bad}}), std::invalid_argument) << name << " " << bad;
  }
  const Options options = parsed({{"--threads", "1,2"}, {"--no-pin", ""}, {"--dtype", "bf16"}});
  EXPECT_EQ(options.threads, (std::vector<int>{1, 2}));
  EXPECT_FALSE(options.pin);
  EXPECT_EQ(options.types, std::vector<ElementType>{ElementType::kBFloat16});
}

TEST(Cases, NamesAreThoseOfThePeers) {
  EXPECT_EQ(name(make_case(What::kForward, "1x8x1024x64", true)), "fwd_f32_causal_1x8x1024x64");
  EXPECT_EQ(name(make_case(What::kBackward, "1x8x1024x64", false, -1, TraceKind::kNone,
                           ElementType::kBFloat16)),
            "bwd_bf16_full_1x8x1024x64");
  EXPECT_EQ(name(make_case(What::kDecode, "1x32x1x128x32768x8")),
            "decode_f32_full_1x32x1x128x32768x8");
  EXPECT_EQ(name(make_case(What::kForward, "1x8x8192x64", true, 256)),
            "fwd_f32_causal_window256_1x8x8192x64");
  EXPECT_EQ(name(make_case(What::kTrace, "1x8x64x64", false, -1, TraceKind::kEntropy)),
            "trace_lse+entropy_f32_full_1x8x64x64");
}

TEST(Cases, WorkIsCountedAsThePeersCount) {
  EXPECT_DOUBLE_EQ(flops(make_case(What::kForward, "2x8x100x64")), 4.0 * 2 * 8 * 100 * 100 * 64);
  EXPECT_DOUBLE_EQ(flops(make_case(What::kForward, "2x8x100x64", true)),
                   2.0 * 2 * 8 * 100 * 100 * 64);
  EXPECT_DOUBLE_EQ(flops(make_case(What::kBackward, "2x8x100x64")), 10.0 * 2 * 8 * 100 * 100 * 64);
  // 4 rows of 10 keys, causal and aligned at the end: 7 + 8 + 9 + 10 pairs.
  EXPECT_DOUBLE_EQ(flops(make_case(What::kForward, "1x1x4x8x10x1", true)), 4.0 * 34 * 8);
  // A window of 1 on both sides: 2 + 3 + 3 + 2 pairs; causal: 1 + 2 + 2 + 2.
  EXPECT_DOUBLE_EQ(flops(make_case(What::kForward, "1x1x4x8", false, 1)), 4.0 * 10 * 8);
  EXPECT_DOUBLE_EQ(flops(make_case(What::kForward, "1x1x4x8", true, 1)), 4.0 * 7 * 8);
  EXPECT_DOUBLE_EQ(cache_bytes(make_case(What::kDecode, "1x32x1x128x32768x8")),
                   2.0 * 8 * 32768 * 128 * 4);
}

TEST(Cases, FiltersLeaveDefaultCasesAndShapesReplaceThem) {
  const auto all = chosen_cases({});
  EXPECT_GT(all.size(), 30u);
  for (const Case& c : all) {
    EXPECT_NE(c.what, What::kMemory);
    EXPECT_NE(c.what, What::kEncoder);
  }
  const auto some = chosen_cases(parsed({{"--what", "fwd"}, {"--dtype", "bf16"}}));
  EXPECT_FALSE(some.empty());
  for (const Case& c : some) {
    EXPECT_EQ(c.what, What::kForward);
    EXPECT_EQ(c.type, ElementType::kBFloat16);
  }
  const auto given = chosen_cases(parsed({{"--what", "fwd,bwd"},
                                          {"--shapes", "1x2x16x8,1x2x32x8"},
                                          {"--dtype", "f32,bf16"},
                                          {"--causal", "0,1"}}));
  EXPECT_EQ(given.size(), 16u);
  EXPECT_TRUE(chosen_cases(parsed({{"--what", "limits"}})).empty());
}

TEST(Measure, TakesTurnsAndRepeatsAsOftenAsAsked) {
  Options options;
  options.min_ms = 0;
  options.min_repetitions = 7;
  std::string order;
  const auto timings = measure({[&order] {
                                  order += 'a';
                                  std::this_thread::sleep_for(std::chrono::milliseconds(4));
                                },
                                [&order] { order += 'b'; }},
                               options);
  ASSERT_EQ(timings.size(), 2u);
  EXPECT_EQ(order, "ababababababababab");  // two warm-ups and seven rounds
  EXPECT_EQ(timings[0].repetitions, 7);
  EXPECT_GE(timings[0].ms_min, 4);
  EXPECT_LE(timings[0].ms_min, timings[0].ms_median);
  EXPECT_LT(timings[1].ms_min, 4);
  EXPECT_GE(timings[0].spread, 0);
  EXPECT_GT(timings[0].rss_mb, 0);
}

TEST(Measure, GoesOnForTheTimeAsked) {
  Options options;
  options.min_ms = 60;
  options.min_repetitions = 1;
  const double start = now_ms();
  measure({[] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }}, options);
  EXPECT_GE(now_ms() - start, 60);
}

TEST(Measure, PeakMemoryIsThatOfTheCase) {
  if (kShadowMemory) GTEST_SKIP() << "the thread sanitizer takes as much again for its own notes";
  Options options;
  options.min_ms = 0;
  options.min_repetitions = 1;
  const auto touch = [](size_t bytes) {
    const Buffer buffer(bytes);
    for (size_t i = 0; i < bytes; i += 4096) buffer.as<char>()[i] = 1;
  };
  const double large = measure({[&] { touch(size_t{96} << 20); }}, options)[0].rss_delta_mb;
  const double small = measure({[&] { touch(size_t{1} << 20); }}, options)[0].rss_delta_mb;
  EXPECT_GT(large, 90);
  EXPECT_LT(large, 120);
  EXPECT_LT(small, 20);
}

TEST(Machine, LimitsArePlausible) {
  place_threads(1, true);
  const Limits limits = measure_limits(1);
  EXPECT_GT(limits.fp32_gflops, 0.5);
  EXPECT_GT(limits.read_gbs, 0.2);
  EXPECT_LT(limits.read_gbs, 2000);
}

TEST(Machine, ThreadsStayWhereTheyArePlaced) {
  const auto& processors = allowed_processors();
  const int threads = int(std::min<size_t>(2, processors.size()));
  place_threads(threads, true);
  std::vector<int> found(size_t(threads), -1);
#pragma omp parallel num_threads(threads)
  found[size_t(omp_get_thread_num())] = sched_getcpu();
  for (int i = 0; i < threads; ++i) EXPECT_EQ(found[size_t(i)], processors[size_t(i)]);
  place_threads(threads, false);
}

// The reference must accept what the kernels give, and refuse it once an input has changed by more
// than its bound: a check that accepts everything would look the same otherwise.
void change(const kernels::ConstTensor& tensor, int64_t at) {
  auto* data = static_cast<float*>(const_cast<void*>(tensor.data));
  data[at] += 0.5f;
}

class CheckTest : public testing::TestWithParam<Case> {};

TEST_P(CheckTest, AcceptsTheKernelsAndRefusesAChange) {
  Problem problem(GetParam());
  problem.set_threads(1);
  const bool backward = GetParam().what == What::kBackward;
  const bool traced = backward || GetParam().trace != TraceKind::kNone;
  traced ? problem.forward_traced() : problem.forward();
  if (backward) problem.backward();
  const auto check = [&] {
    Reference reference(problem);
    return backward ? reference.check_backward() : reference.check_forward(traced);
  };
  const CheckResult right = check();
  EXPECT_TRUE(right.passed) << right.part << " " << right.error << " > " << right.bound;
  EXPECT_FALSE(right.part.empty());

  // The last row is a sampled one, and every mask here lets it see the last key.
  const Shape& s = GetParam().shape;
  change(problem.attention().value, s.batch * s.kv_heads * s.keys * s.dim - 1);
  change(problem.attention().query, s.batch * s.heads * s.queries * s.dim - 1);
  const CheckResult wrong = check();
  EXPECT_FALSE(wrong.passed);
  EXPECT_GT(wrong.error, wrong.bound);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CheckTest,
    testing::Values(make_case(What::kForward, "2x2x70x24"),
                    make_case(What::kForward, "1x4x33x64x70x2", true),
                    make_case(What::kForward, "1x2x100x16", true, 9),
                    make_case(What::kForward, "1x2x100x16", false, 9),
                    make_case(What::kBackward, "1x4x70x32x70x2"),
                    make_case(What::kBackward, "1x2x70x32", true),
                    make_case(What::kDecode, "1x8x1x128x700x2"),
                    make_case(What::kTrace, "1x2x90x16", false, -1, TraceKind::kEntropy),
                    make_case(What::kTrace, "1x2x90x16", true, -1, TraceKind::kTopKeys),
                    make_case(What::kTrace, "1x2x90x16", false, -1, TraceKind::kReceived),
                    make_case(What::kMemory, "1x1x300x16", false, -1, TraceKind::kPooled)),
    [](const auto& tested) {
      std::string text = name(tested.param);
      for (char& c : text) {
        if (c == '+') c = '_';
      }
      return text;
    });

TEST(Check, EveryStatisticIsLookedAt) {
  const auto part_of = [](TraceKind kind, const auto& damage) {
    Problem problem(make_case(What::kTrace, "1x1x130x16", false, -1, kind));
    problem.set_threads(1);
    problem.forward_traced();
    Reference reference(problem);
    EXPECT_TRUE(reference.check_forward(true).passed);
    damage(problem.trace());
    const CheckResult wrong = reference.check_forward(true);
    EXPECT_FALSE(wrong.passed);
    return wrong.part;
  };
  using kernels::Trace;
  // Of the last row and the last key, which are sampled.
  const auto entropy = TraceKind::kEntropy;
  EXPECT_EQ(part_of(entropy, [](const Trace& t) { t.lse[129] += 0.001f; }), "LSE");
  EXPECT_EQ(part_of(entropy, [](const Trace& t) { t.entropy[129] *= 1.001f; }), "entropy");
  const auto top = TraceKind::kTopKeys;
  const int64_t second = 129 * kTopKeys + 1;
  EXPECT_EQ(part_of(top, [=](const Trace& t) { t.top_keys[second] = t.top_keys[second + 5]; }),
            "top keys");
  EXPECT_EQ(part_of(top, [=](const Trace& t) { t.top_keys[second] = 130; }), "top keys");
  EXPECT_EQ(part_of(top, [=](const Trace& t) { t.top_weights[second] *= 1.001f; }), "top weights");
  EXPECT_EQ(part_of(TraceKind::kReceived, [](const Trace& t) { t.received[129] += 0.01f; }),
            "mass received");
  EXPECT_EQ(part_of(TraceKind::kPooled, [](const Trace& t) { t.pooled[0] += 0.01f; }),
            "pooled map");
}

TEST(Check, AHalfPrecisionResultHasAWiderBound) {
  Problem problem(
      make_case(What::kForward, "1x2x70x32", false, -1, TraceKind::kNone, ElementType::kBFloat16));
  problem.set_threads(1);
  problem.forward();
  const CheckResult result = Reference(problem).check_forward(false);
  EXPECT_TRUE(result.passed) << result.error;
  EXPECT_EQ(result.bound, kBf16ForwardBound);
  EXPECT_GT(result.error, kForwardBound);  // it is bf16 indeed
}

TEST(Problem, RefusesWhatTheKernelsRefuse) {
  EXPECT_THROW(Problem(make_case(What::kForward, "1x3x16x8x16x2")), std::invalid_argument);
  EXPECT_THROW(Problem(make_case(What::kForward, "1x1x16x512")), std::invalid_argument);
}

}  // namespace
}  // namespace attend::bench
