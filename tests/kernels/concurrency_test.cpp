// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Several callers at once: the kernels keep no state that one call could take from another.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "cases.h"
#include "compare.h"

namespace attend::kernels::testing {
namespace {

struct Results {
  Forward forward;
  Backward backward;
};

Results run_both(const Problem& p) { return {run_forward(p, kWholeTrace), run_backward(p)}; }

std::vector<Problem> problems() {
  std::vector<Problem> result;
  for (NamedProblem& c : random_cases(6, 47, 150)) {
    c.problem.settings.threads = 1 + int(result.size() % 2);
    result.push_back(c.problem);
  }
  return result;
}

void expect_same(const Results& actual, const Results& expected, size_t n) {
  EXPECT_TRUE(actual.forward.output == expected.forward.output) << "problem " << n;
  EXPECT_EQ(actual.forward.top_keys, expected.forward.top_keys) << "problem " << n;
  EXPECT_TRUE(actual.backward.d_query == expected.backward.d_query) << "problem " << n;
  EXPECT_TRUE(actual.backward.d_key == expected.backward.d_key) << "problem " << n;
  EXPECT_TRUE(actual.backward.d_value == expected.backward.d_value) << "problem " << n;
}

TEST(Concurrency, CallersInThreadsOfTheirOwn) {
  const std::vector<Problem> all = problems();
  std::vector<Results> alone, together(all.size());
  for (const Problem& p : all) alone.push_back(run_both(p));
  std::vector<std::thread> callers;
  for (size_t n = 0; n < all.size(); ++n) {
    callers.emplace_back([&, n] {
      for (int round = 0; round < 3; ++round) together[n] = run_both(all[n]);
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t n = 0; n < all.size(); ++n) expect_same(together[n], alone[n], n);
}

TEST(Concurrency, CallersInsideAParallelRegion) {
  std::vector<Problem> all = problems();
  for (Problem& p : all) p.settings.threads = 1;
  std::vector<Results> alone, together(all.size());
  for (const Problem& p : all) alone.push_back(run_both(p));
#pragma omp parallel for num_threads(3)
  for (size_t n = 0; n < all.size(); ++n) together[n] = run_both(all[n]);
  for (size_t n = 0; n < all.size(); ++n) expect_same(together[n], alone[n], n);
}

}  // namespace
}  // namespace attend::kernels::testing
