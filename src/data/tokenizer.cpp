// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/tokenizer.h"

#include <cassert>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/text.h"
#include "attend/data/unicode.h"
#include "json.h"
#include "tokenizer_kinds.h"

namespace attend {
namespace {

constexpr std::array<std::string_view, 4> kKindNames = {"char", "word", "mixed", "subword"};

void check_options(const TokenizerOptions& options) {
  if (options.max_vocabulary <= kSpecialCount || options.max_vocabulary > 10'000'000)
    throw usage_error("max_vocabulary " + std::to_string(options.max_vocabulary) +
                      ": must lie between 6 and 10,000,000");
  if (options.min_count < 1)
    throw usage_error("min_count " + std::to_string(options.min_count) + ": must be 1 or more");
}

}  // namespace

std::string_view to_string(TokenizerKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

TokenizerKind parse_tokenizer_kind(std::string_view name) {
  for (size_t i = 0; i < kKindNames.size(); ++i)
    if (kKindNames[i] == name) return static_cast<TokenizerKind>(i);
  throw usage_error("tokenizer \"" + printable(name, 40) +
                    "\": no such kind; use char, word, mixed or subword");
}

std::unique_ptr<Tokenizer> train_tokenizer(const TokenizerOptions& options,
                                           std::span<const std::string> texts) {
  check_options(options);
  return options.kind == TokenizerKind::kSubword ? internal::train_subwords(options, texts)
                                                 : internal::train_vocabulary(options, texts);
}

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / internal::kConfigFile;
  const auto fail = [&](const std::string& what) {
    return model_error(path.string() + ": " + what + "; restore the file or train again");
  };
  nlohmann::json json;
  std::string error;
  if (!internal::parse_json(read_file(path, ExitCode::kModel), json, error)) throw fail(error);
  if (!json.is_object()) throw fail("not a JSON object");

  TokenizerOptions options;
  try {
    const auto kind = json.at("kind").get<std::string>();
    try {
      options.kind = parse_tokenizer_kind(kind);
    } catch (const Error& e) {
      throw fail(e.what());
    }
    options.normalise = json.value("normalise", options.normalise);
    options.fold_case = json.value("fold_case", options.fold_case);
    options.min_count = json.value("min_count", options.min_count);
    options.max_vocabulary = json.value("max_vocabulary", options.max_vocabulary);
    auto tokenizer = options.kind == TokenizerKind::kSubword
                         ? internal::load_subwords(options, folder)
                         : internal::load_vocabulary(options, folder);
    const auto size = json.value("vocab_size", tokenizer->vocab_size());
    if (size != tokenizer->vocab_size())
      throw fail("vocab_size " + std::to_string(size) + ", but the vocabulary beside it has " +
                 std::to_string(tokenizer->vocab_size()) + " entries");
    return tokenizer;
  } catch (const nlohmann::json::exception&) {
    throw fail("\"kind\" is missing, or a value has the wrong type");
  }
}

void internal::save_tokenizer_config(const Tokenizer& tokenizer,
                                     const std::filesystem::path& folder) {
  const TokenizerOptions& options = tokenizer.options();
  nlohmann::ordered_json json;
  json["tokenizer_class"] = "AttendTokenizer";
  json["kind"] = std::string(to_string(options.kind));
  json["normalise"] = options.normalise;
  json["fold_case"] = options.fold_case;
  json["do_lower_case"] = options.fold_case;
  json["min_count"] = options.min_count;
  json["max_vocabulary"] = options.max_vocabulary;
  json["vocab_size"] = tokenizer.vocab_size();
  constexpr std::array<const char*, kSpecialCount> keys = {"pad_token", "unk_token", "mask_token",
                                                           "cls_token", "sep_token"};
  for (size_t i = 0; i < keys.size(); ++i) json[keys[i]] = std::string(kSpecialTokens[i]);
  write_file_atomically(folder / kConfigFile, json.dump(2) + "\n");
}

std::vector<Unit> units_of(const Tokenizer& tokenizer, std::string_view text,
                           const Encoding& encoding) {
  std::vector<Unit> units;
  units.reserve(encoding.spans.size());
  for (size_t i = 0; i < encoding.spans.size(); ++i) {
    const Span span = encoding.spans[i];
    assert(span.begin <= span.end && span.end <= static_cast<int64_t>(text.size()));
    if (span.begin < span.end)
      units.push_back({repair_utf8(text.substr(static_cast<size_t>(span.begin),
                                               static_cast<size_t>(span.end - span.begin))),
                       span});
    else
      units.push_back({tokenizer.token_text(encoding.ids[i]), span});
  }
  return units;
}

}  // namespace attend
