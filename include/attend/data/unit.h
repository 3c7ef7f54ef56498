// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace attend {

/// A half-open byte range [begin, end) of the original text (UTF-8, before any normalisation).
struct Span {
  int64_t begin = 0;
  int64_t end = 0;

  bool operator==(const Span&) const = default;
};

/// What an explanation speaks of: a character, word, token, patch, frame or item. `text` is what a
/// person is shown; `span` is where it stands in the original input, so that a highlight is never
/// misplaced. Units without a place in the input (an added [CLS]) have an empty span.
struct Unit {
  std::string text;
  Span span;
};

}  // namespace attend
