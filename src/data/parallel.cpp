// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/parallel.h"

#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/data/bytes.h"
#include "attend/data/unicode.h"

namespace attend {
namespace {

using nlohmann::ordered_json;

Error at_line(const std::string& path, int64_t line, const std::string& what) {
  return data_error(path + ":" + std::to_string(line) + ": " + what);
}

struct Lines {
  std::vector<std::string> lines;
  bool gzip = false;
};

Lines read_lines(const std::string& path) {
  FileBytes file = read_bytes(path);
  std::string_view bytes = file.bytes;
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) {
    throw data_error(path + ": UTF-16; save the file as UTF-8");
  }
  Lines result;
  result.gzip = file.gzip;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    result.lines.emplace_back(line);
    if (const auto fault = first_utf8_fault(line)) {
      throw at_line(path, static_cast<int64_t>(result.lines.size()),
                    "byte " + std::to_string(*fault + 1) +
                        " of the line is not UTF-8; save the file as UTF-8");
    }
  }
  return result;
}

void check_pair(const std::string& path, const SentencePair& pair, bool require_targets) {
  if (is_blank(pair.source)) {
    throw at_line(path, pair.line, "the source is empty; fill it in or remove the pair");
  }
  if (require_targets && is_blank(pair.target)) {
    throw at_line(path, pair.line, "the target is empty; fill it in or remove the pair");
  }
}

size_t column_number(const std::string& wanted, size_t otherwise, const char* what) {
  if (wanted.empty()) return otherwise;
  size_t number = 0;
  const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
  if (error != std::errc() || end != wanted.data() + wanted.size() || number < 1) {
    throw usage_error(std::string(what) + " is \"" + printable(wanted, 40) +
                      "\"; for a TSV file it must be a column's number, from 1");
  }
  return number - 1;
}

std::vector<std::string> split_tabs(const std::string& line) {
  std::vector<std::string> fields;
  size_t begin = 0;
  while (true) {
    const size_t end = line.find('\t', begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string::npos) return fields;
    begin = end + 1;
  }
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find_first_not_of(' ', at);
    if (begin == std::string::npos) break;
    at = std::min(text.find(' ', begin), text.size());
    words.push_back(text.substr(begin, at - begin));
  }
  return words;
}

struct Link {
  int64_t source = 0;
  int64_t target = 0;
  bool possible = false;
};

// "3-4" or "3p4", counted from `first`, with words of the pair.
std::optional<Link> parse_link(const std::string& text, int64_t first, size_t source_words,
                               size_t target_words) {
  const size_t mark = text.find_first_of("-p");
  if (mark == std::string::npos) return std::nullopt;
  Link link;
  link.possible = text[mark] == 'p';
  const char* middle = text.data() + mark;
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), middle, link.source).ptr != middle ||
      std::from_chars(middle + 1, end, link.target).ptr != end) {
    return std::nullopt;
  }
  link.source -= first;
  link.target -= first;
  const bool inside = link.source >= 0 && link.target >= 0 &&
                      link.source < static_cast<int64_t>(source_words) &&
                      link.target < static_cast<int64_t>(target_words);
  return inside ? std::optional(link) : std::nullopt;
}

void add_links(const std::string& path, const std::string& text, SentencePair& pair) {
  const size_t sources = words_of(pair.source).size(), targets = words_of(pair.target).size();
  for (const std::string& word : words_of(text)) {
    const auto link = parse_link(word, 0, sources, targets);
    if (!link) {
      throw at_line(path, pair.line,
                    "link \"" + printable(word, 40) +
                        "\" is not i-j with words of this line, counted from 0");
    }
    pair.links.push_back({link->source, link->target});
  }
}

std::vector<SentencePair> read_tsv(const std::string& path, const std::vector<std::string>& lines,
                                   const ParallelOptions& options) {
  const size_t source = column_number(options.source_column, 0, "data.source_column");
  const size_t target = column_number(options.target_column, 1, "data.target_column");
  const size_t links = column_number(options.links_column, 0, "data.links_column");
  std::vector<SentencePair> pairs;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = static_cast<int64_t>(i) + 1;
    if (is_blank(lines[i]) && lines[i].find('\t') == std::string::npos) continue;
    std::vector<std::string> fields = split_tabs(lines[i]);
    const size_t needed = std::max(source, options.require_targets ? target : source) + 1;
    if (fields.size() < needed) {
      throw at_line(path, line,
                    std::to_string(fields.size()) + " column" + (fields.size() == 1 ? "" : "s") +
                        " where " + std::to_string(needed) +
                        " are needed; write source<TAB>target on each line");
    }
    SentencePair pair;
    pair.source = std::move(fields[source]);
    if (target < fields.size() && target != source) pair.target = std::move(fields[target]);
    pair.line = line;
    check_pair(path, pair, options.require_targets);
    if (!options.links_column.empty() && links < fields.size())
      add_links(path, fields[links], pair);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::vector<SentencePair> read_jsonl(const std::string& path, const std::vector<std::string>& lines,
                                     const ParallelOptions& options) {
  std::vector<SentencePair> pairs;
  std::string source = options.source_column, target = options.target_column;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = static_cast<int64_t>(i) + 1;
    if (is_blank(lines[i])) continue;
    const ordered_json object = ordered_json::parse(lines[i], nullptr, false);
    if (!object.is_object()) {
      throw at_line(path, line, "not a JSON object; write {\"source\": ..., \"target\": ...}");
    }
    if (source.empty() && object.contains("source")) source = "source";
    if (target.empty() && object.contains("target")) target = "target";
    for (const auto& [key, value] : object.items()) {
      if (!value.is_string() || key == source || key == target) continue;
      if (source.empty()) {
        source = key;
      } else if (target.empty()) {
        target = key;
      }
    }
    const auto text = [&](const std::string& key, bool required) {
      if (!required && (key.empty() || !object.contains(key))) return std::string();
      if (key.empty() || !object.contains(key) || !object.at(key).is_string()) {
        throw at_line(path, line,
                      "no text under \"" +
                          (key.empty() ? std::string("target") : printable(key, 40)) +
                          "\"; name the keys with data.source_column and data.target_column");
      }
      return object.at(key).get<std::string>();
    };
    SentencePair pair{text(source, true), text(target, options.require_targets), line};
    check_pair(path, pair, options.require_targets);
    add_links(path, text(options.links_column, false), pair);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::string describe_layout(const std::string& layout, bool gzip, size_t pairs, bool with_targets) {
  return layout + (gzip ? ", gzip, " : ", ") + std::to_string(pairs) +
         (with_targets ? " pairs" : " sentences");
}

ParallelText read_two_files(const std::string& source_path, const std::string& target_path) {
  Lines sources = read_lines(source_path);
  Lines targets = read_lines(target_path);
  const size_t common = std::min(sources.lines.size(), targets.lines.size());
  ParallelText text;
  for (size_t i = 0; i < common; ++i) {
    SentencePair pair{std::move(sources.lines[i]), std::move(targets.lines[i]),
                      static_cast<int64_t>(i) + 1};
    const bool no_source = is_blank(pair.source), no_target = is_blank(pair.target);
    if (no_source && no_target) continue;
    if (no_source || no_target) {
      throw at_line(no_source ? source_path : target_path, pair.line,
                    "empty, but line " + std::to_string(pair.line) + " of " +
                        (no_source ? target_path : source_path) +
                        " is not; fill it in or remove both lines");
    }
    text.pairs.push_back(std::move(pair));
  }
  if (sources.lines.size() != targets.lines.size()) {
    const bool longer_source = sources.lines.size() > targets.lines.size();
    throw at_line(longer_source ? source_path : target_path, static_cast<int64_t>(common) + 1,
                  "no partner: " + source_path + " has " + std::to_string(sources.lines.size()) +
                      " lines, " + target_path + " has " + std::to_string(targets.lines.size()) +
                      "; line i of one must translate line i of the other");
  }
  text.description =
      describe_layout("two files", sources.gzip || targets.gzip, text.pairs.size(), true);
  return text;
}

}  // namespace

ParallelText read_parallel(const std::string& path, const ParallelOptions& options) {
  std::error_code ignored;
  const size_t comma = path.find(',');
  ParallelText text;
  if (comma != std::string::npos && !std::filesystem::exists(path, ignored)) {
    text = read_two_files(path.substr(0, comma), path.substr(comma + 1));
  } else {
    const Lines file = read_lines(path);
    ParallelFormat format = options.format;
    if (format == ParallelFormat::kAuto) {
      const bool object = !file.lines.empty() && trim(file.lines[0]).starts_with("{");
      format = object ? ParallelFormat::kJsonl : ParallelFormat::kTsv;
    }
    const bool json = format == ParallelFormat::kJsonl;
    text.pairs = json ? read_jsonl(path, file.lines, options) : read_tsv(path, file.lines, options);
    const bool targets = !text.pairs.empty() && !text.pairs[0].target.empty();
    text.description = describe_layout(json      ? "JSONL"
                                       : targets ? "source<TAB>target"
                                                 : "one sentence per line",
                                       file.gzip, text.pairs.size(), targets);
  }
  if (text.pairs.empty()) throw data_error(path + ": no sentence in it; is it the right file?");
  return text;
}

std::vector<AlignedPair> read_aligned(const std::string& path, bool swapped) {
  const Lines file = read_lines(path);
  std::vector<AlignedPair> pairs;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    if (is_blank(file.lines[i])) continue;
    const auto line = static_cast<int64_t>(i) + 1;
    std::vector<std::string> fields = split_tabs(file.lines[i]);
    if (fields.size() < 3) {
      throw at_line(
          path, line,
          std::to_string(fields.size()) +
              " columns where 3 are needed; write source words<TAB>target words<TAB>links");
    }
    if (swapped) std::swap(fields[0], fields[1]);
    AlignedPair pair;
    pair.source = words_of(fields[0]);
    pair.target = words_of(fields[1]);
    for (const std::string& word : words_of(fields[2])) {
      const size_t left = swapped ? pair.target.size() : pair.source.size();
      const size_t right = swapped ? pair.source.size() : pair.target.size();
      auto link = parse_link(word, 1, left, right);
      if (!link) {
        throw at_line(path, line,
                      "link \"" + printable(word, 40) +
                          "\" is not i-j or ipj with words of this line, counted from 1");
      }
      if (swapped) std::swap(link->source, link->target);
      (link->possible ? pair.possible : pair.sure).push_back({link->source, link->target});
    }
    pairs.push_back(std::move(pair));
  }
  if (pairs.empty()) throw data_error(path + ": no sentence in it; is it the right file?");
  return pairs;
}

std::vector<std::string> read_source_lines(const std::string& path) {
  return read_lines(path).lines;
}

}  // namespace attend
