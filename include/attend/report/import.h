// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "attend/explain/explanation.h"

namespace attend {

/// An explanation that holds attention alone, from what another program wrote
/// (docs/explanation-format.md):
/// - JSON, {"tokens": [...], "attention": [layer][head][query][key]}, and for a decoder's
///   cross-attention "output_tokens" (the queries);
/// - .npz with the arrays attention (float16, 32 or 64) and, if wanted, tokens and output_tokens
///   (strings); stored or deflated;
/// - .npy with the array attention alone.
/// Arrays have the axes [layer, head, query, key]; axes in front may be missing, and a batch axis
/// of one input between layer and head is dropped. Head summaries and means over heads and layers
/// are added.
///
/// Throws Error(kData), one line that starts with `origin`, for anything else: shapes that do not
/// fit, sizes that the file does not hold, weights outside [0, 1] or rows that sum to more than 1
/// (before the softmax), pickled objects.
Explanation attention_from_bytes(std::string_view bytes, const std::string& origin);

/// True if `bytes` begin like a .npz or .npy file, or are JSON with "attention" but not one of our
/// formats.
bool is_foreign_attention(std::string_view bytes);

/// What one head does, from its map: see HeadSummary. `map` must not be a mean and have columns.
HeadSummary summary_of(const AttentionMap& map);

}  // namespace attend
