// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/rationales.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attend/base/error.h"

namespace attend {
namespace {

using nlohmann::json;

constexpr const char* kSpace = " \t";

std::vector<std::string> words_of(std::string_view text, const char* separators) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find_first_not_of(separators, at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(separators, begin), text.size());
    words.emplace_back(text.substr(begin, at - begin));
  }
  return words;
}

// [begin, end) of tokens.
using TokenRange = std::pair<size_t, size_t>;

std::vector<TokenRange> token_ranges(const std::string& cell, size_t tokens,
                                     const std::string& origin) {
  const auto fail = [&](const std::string& what) {
    return data_error(origin + ": " + what + "; mend the row or name another column");
  };
  const json spans = json::parse(cell, nullptr, false);
  if (!spans.is_array()) throw fail("the spans are not an array such as [[0, 3], [7, 9]]");
  std::vector<TokenRange> ranges;
  for (const json& span : spans) {
    const bool pair = span.is_array() && span.size() == 2 && span[0].is_number_unsigned() &&
                      span[1].is_number_unsigned();
    if (!pair) throw fail("span " + span.dump() + " is not a pair [begin, end]");
    const auto begin = span[0].get<uint64_t>();
    const auto end = span[1].get<uint64_t>();
    if (begin >= end || end > tokens) {
      throw fail("span " + span.dump() + " does not lie in the " + std::to_string(tokens) +
                 " tokens of the text");
    }
    ranges.emplace_back(begin, end);
  }
  return ranges;
}

bool is_evidence(const std::string& tag, const std::string& label, const RationaleTags& tags) {
  if (tags.empty()) return tag == "1" || tag.starts_with("B-") || tag.starts_with("I-");
  auto found = tags.find(label);
  if (found == tags.end()) found = tags.find("");
  return found != tags.end() &&
         std::find(found->second.begin(), found->second.end(), tag) != found->second.end();
}

std::vector<TokenRange> tagged_ranges(const RationaleCell& cell, size_t tokens,
                                      const RationaleTags& tags) {
  const auto words = words_of(cell.cell, kSpace);
  if (words.size() != tokens) {
    throw data_error(cell.origin + ": " + std::to_string(words.size()) + " tags for " +
                     std::to_string(tokens) +
                     " tokens; mend the row, or name the columns of text and evidence");
  }
  std::vector<TokenRange> ranges;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!is_evidence(words[i], cell.label, tags)) continue;
    if (ranges.empty() || ranges.back().second != i) ranges.emplace_back(i, i);
    ranges.back().second = i + 1;
  }
  return ranges;
}

}  // namespace

std::vector<Span> white_space_tokens(std::string_view text) {
  std::vector<Span> tokens;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find_first_not_of(kSpace, at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(kSpace, begin), text.size());
    tokens.push_back({static_cast<int64_t>(begin), static_cast<int64_t>(at)});
  }
  return tokens;
}

std::vector<Span> evidence_spans(const RationaleCell& cell, const RationaleTags& tags) {
  const std::vector<Span> tokens = white_space_tokens(cell.text);
  const size_t start = std::min(cell.cell.find_first_not_of(kSpace), cell.cell.size());
  const bool as_json = start < cell.cell.size() && cell.cell[start] == '[';
  const auto ranges = as_json ? token_ranges(cell.cell, tokens.size(), cell.origin)
                              : tagged_ranges(cell, tokens.size(), tags);
  std::vector<Span> spans;
  spans.reserve(ranges.size());
  for (const TokenRange& range : ranges) {
    spans.push_back({tokens[range.first].begin, tokens[range.second - 1].end});
  }
  return spans;
}

RationaleTags parse_rationale_tags(const std::string& text) {
  RationaleTags tags;
  for (const std::string& part : words_of(text, " \t;")) {
    const size_t colon = part.rfind(':');
    const std::string label = colon == std::string::npos ? "" : part.substr(0, colon);
    const std::string list = colon == std::string::npos ? part : part.substr(colon + 1);
    auto& of_label = tags[label];
    for (std::string& tag : words_of(list, ",")) of_label.push_back(std::move(tag));
    if (of_label.empty()) {
      throw usage_error("rationale tags \"" + part +
                        "\" name no tag; write them as in \"positive:3,4 negative:0,1\"");
    }
  }
  return tags;
}

std::vector<RationaleRow> read_rationales(const std::filesystem::path& path,
                                          const RationaleOptions& options) {
  ReaderOptions reader = options.reader;
  reader.extra_columns = {options.column};
  std::vector<RationaleRow> rows;
  for (Row& row : read_rows(path, reader).rows) {
    RationaleRow marked;
    const std::string origin = path.string() + ":" + std::to_string(row.line);
    marked.spans = evidence_spans({row.text, row.label, row.extra.at(0), origin}, options.tags);
    marked.tokens = white_space_tokens(row.text);
    for (const Span& token : marked.tokens) {
      marked.evidence.push_back(std::any_of(
          marked.spans.begin(), marked.spans.end(),
          [&](const Span& span) { return span.begin <= token.begin && token.end <= span.end; }));
    }
    marked.text = std::move(row.text);
    marked.label = std::move(row.label);
    rows.push_back(std::move(marked));
  }
  return rows;
}

}  // namespace attend
