// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attend/explain/explanation.h"
#include "attend/report/comparison.h"
#include "attend/report/dataset.h"

namespace attend {

struct HtmlOptions {
  /// Size budget of the page in bytes. What does not fit loses detail in this order, and a notice
  /// on the page says so: weights of 8 instead of 16 bits, single heads pooled, single heads left
  /// out, means pooled, no maps. Data sets: inputs cut, then rows left out.
  std::size_t max_bytes = 5'000'000;
};

// One self-contained page each: no network, no external file, light and dark, keyboard reachable
// ("?" lists the keys), and an address after # that shows the same view again. They throw
// Error(kData) if what they are given is broken (check_explanation, check_dataset).

std::string to_html(const Explanation& explanation, const HtmlOptions& options = {});
std::string to_html(const Comparison& comparison, const HtmlOptions& options = {});
std::string to_html(const DatasetReport& report, const HtmlOptions& options = {});

}  // namespace attend
