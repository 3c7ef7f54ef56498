// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What step search and beam search share.
#pragma once

#include "attend/tasks/search.h"

namespace attend::internal {

int64_t max_length(const SearchOptions& options, int64_t group);

/// log_probability / length^length_penalty.
double normalised(const SearchOptions& options, double log_probability, int64_t length);

/// Whether nothing but `forbidden` tells the tokens that may follow from those that may not.
bool is_plain(const SearchOptions& options);

/// Repetition, forbidden tokens, least length and the caller's own rule, on one row in place.
void adjust_logits(const SearchOptions& options, int64_t group, std::span<const int64_t> tokens,
                   std::span<float> logits);

std::vector<std::vector<Hypothesis>> beam_search(NextTokenModel& model, int64_t groups,
                                                 const SearchOptions& options);

}  // namespace attend::internal
