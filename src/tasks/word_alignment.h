// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// From a matrix over the units of two sentences to links between their words, and how good such
// links are.
#pragma once

#include "attend/nn/torch.h"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "attend/data/unit.h"
#include "attend/tasks/sequence_task.h"

namespace attend {

/// What white space sets apart.
std::vector<Span> white_space_words(const std::string& text);

/// The word that each unit belongs to, or -1; both in order.
std::vector<int64_t> word_of_units(std::span<const Span> units, std::span<const Span> words);

/// The words of a sentence: what white space sets apart, and in stretches of Chinese, which has
/// none, every character.
std::vector<Span> alignment_words(const std::string& text);

/// `scores` [target units, source units]: how much each source unit says to each target unit. A
/// target word hears a source word as much as its units do on average; each target word is linked
/// to the source word that it hears best, in the order of target words. Words without units have no
/// link.
std::vector<WordLink> word_links(const torch::Tensor& scores, std::span<const Span> source_units,
                                 std::span<const Span> target_units,
                                 std::span<const Span> source_words,
                                 std::span<const Span> target_words);

}  // namespace attend
