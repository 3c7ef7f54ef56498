// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "attend/explain/explanation.h"

namespace attend {

struct HtmlOptions {
  /// Size budget of the page in bytes. Attention maps that do not fit are dropped, the means last,
  /// and a notice on the page says which.
  std::size_t max_bytes = 5'000'000;
};

/// One self-contained page: no network, no external file, light and dark, keyboard reachable.
/// Throws Error(kData) if the explanation is broken (check_explanation).
std::string to_html(const Explanation& explanation, const HtmlOptions& options = {});

}  // namespace attend
