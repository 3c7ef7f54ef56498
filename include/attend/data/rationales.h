// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Texts of which people marked the evidence.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attend/data/reader.h"
#include "attend/data/unit.h"

namespace attend {

/// The stretches of `text` between white space (space, tab), as byte spans.
std::vector<Span> white_space_tokens(std::string_view text);

/// Which tags are evidence, by the label of the row; "" stands for any label. Empty: "1" is, and
/// any tag that begins with "B-" or "I-".
using RationaleTags = std::map<std::string, std::vector<std::string>>;

/// Parses "positive:3,4 negative:0,1" (or "1,2" for any label). Throws Error(kUsage).
RationaleTags parse_rationale_tags(const std::string& text);

/// A cell that marks evidence in a text.
struct RationaleCell {
  std::string_view text;
  std::string label;
  std::string
      cell;  ///< a JSON array [[begin, end), ...] over white-space tokens, or a tag for each
  std::string origin;  ///< "FILE:LINE", for messages
};

/// The marked stretches in bytes of the text, in the order of the cell (of tags: runs). Throws
/// Error(kData) if the cell is neither form, a span lies outside the text, or there is another
/// number of tags than of tokens.
std::vector<Span> evidence_spans(const RationaleCell& cell, const RationaleTags& tags = {});

struct RationaleOptions {
  std::string column;      ///< with the evidence: a name, or a number from 1
  RationaleTags tags;      ///< see evidence_spans
  ReaderOptions reader{};  ///< of the rest; extra_columns is overwritten
};

struct RationaleRow {
  std::string text;
  std::string label;           ///< empty if the file has none
  std::vector<Span> tokens;    ///< white-space tokens of the text, in bytes
  std::vector<bool> evidence;  ///< one per token
  std::vector<Span> spans;     ///< as they were marked, in bytes
};

/// Reads a file of marked texts. Throws as read_rows and evidence_spans do.
std::vector<RationaleRow> read_rationales(const std::filesystem::path& path,
                                          const RationaleOptions& options);

}  // namespace attend
