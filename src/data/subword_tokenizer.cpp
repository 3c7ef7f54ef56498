// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// SentencePiece. Its own normaliser (NFKC, case folding) is stored in the model, so that spm.model
// means the same elsewhere; it also keeps the byte offsets into the original text.
#include <algorithm>
#include <cassert>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/data/unicode.h"
#include "subword_engine.h"
#include "tokenizer_kinds.h"
#include "utf8.h"

namespace attend::internal {
namespace {

// Training keeps everything in memory several times over; more text than this hardly changes the
// pieces. Longer input is thinned evenly.
constexpr size_t kTrainingBytes = size_t{64} << 20;
// SentencePiece leaves out longer sentences, so ours are cut.
constexpr size_t kSentenceBytes = 4000;
// Long input is encoded in stretches, cut where a word ends: keeps working memory and time linear.
constexpr size_t kStretchBytes = 1 << 16;

class SubwordTokenizer final : public Tokenizer {
 public:
  /// `what` names the model in messages.
  SubwordTokenizer(const TokenizerOptions& options, std::string model, const std::string& what)
      : Tokenizer(options), model_(std::move(model)) {
    const auto fail = [&](const std::string& why) {
      return model_error(what + ": " + why + "; restore the file or train again");
    };
    if (model_.empty()) throw fail("empty file");
    if (!engine_->load(model_).empty()) throw fail("not a SentencePiece model");
    if (vocab_size() < kSpecialCount) throw fail("fewer entries than the five special tokens");
    for (int i = 0; i < kSpecialCount; ++i)
      if (engine_->piece(i) != kSpecialTokens[static_cast<size_t>(i)])
        throw fail("entry " + std::to_string(i) + " must be " +
                   std::string(kSpecialTokens[static_cast<size_t>(i)]) +
                   ": not a model that attend trained");
  }

  Encoding encode(std::string_view text) const override {
    Encoding encoding;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = stretch_end(text, begin);
      encode_stretch(text.substr(begin, end - begin), static_cast<int64_t>(begin), encoding);
      begin = end;
    }
    return encoding;
  }

  std::string decode(std::span<const int64_t> ids) const override {
    std::vector<int> pieces;
    for (const int64_t id : ids) {
      assert(0 <= id && id < vocab_size());
      if (id >= kSpecialCount) pieces.push_back(static_cast<int>(id));
    }
    std::string text;
    if (!engine_->decode(pieces, text).empty()) return {};
    return text;
  }

  int64_t vocab_size() const override { return engine_->size(); }

  std::string token_text(int64_t id) const override {
    assert(0 <= id && id < vocab_size());
    return engine_->piece(static_cast<int>(id));
  }

  std::optional<int64_t> find(std::string_view token) const override {
    const int id = engine_->find(token);
    if (id == kUnknownId && token != kSpecialTokens[kUnknownId]) return std::nullopt;
    return id;
  }

  void save(const std::filesystem::path& folder) const override {
    write_file_atomically(folder / kSubwordFile, model_);
    save_tokenizer_config(*this, folder);
  }

 private:
  static size_t stretch_end(std::string_view text, size_t begin) {
    if (text.size() - begin <= kStretchBytes) return text.size();
    size_t end = begin + kStretchBytes;
    // After white space if there is any in the second half, else at a character.
    const size_t space = text.find_last_of(" \t\n", end);
    if (space != std::string_view::npos && space > begin + kStretchBytes / 2) return space;
    while (end > begin + 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return end;
  }

  void encode_stretch(std::string_view stretch, int64_t base, Encoding& encoding) const {
    // SentencePiece cannot take ill-formed bytes apart as we do, and reads a NUL as an end; both
    // are replaced first, and the offsets led back through this table.
    std::string repaired;
    std::vector<Span> source;
    const bool clean = is_valid_utf8(stretch) && stretch.find('\0') == std::string_view::npos;
    if (!clean) {
      for (size_t at = 0; at < stretch.size();) {
        const CodePoint c = next_code_point(stretch, at);
        append_utf8(c.value == 0 ? kReplacement : c.value, repaired);
        source.resize(repaired.size(),
                      {static_cast<int64_t>(at), static_cast<int64_t>(at) + c.length});
        at += static_cast<size_t>(c.length);
      }
    }
    const std::string_view input = clean ? stretch : std::string_view(repaired);
    std::vector<SubwordPiece> pieces;
    if (const std::string why = engine_->encode(input, pieces); !why.empty())
      throw data_error("a text cannot be cut into subwords: " + why);

    int64_t previous = base;
    for (const SubwordPiece& piece : pieces) {
      std::string_view surface = input.substr(static_cast<size_t>(piece.begin),
                                              static_cast<size_t>(piece.end - piece.begin));
      const std::string_view inner = trim(surface);
      Span span{piece.begin, piece.begin};
      if (!inner.empty()) {
        span.begin = inner.data() - input.data();
        span.end = span.begin + static_cast<int64_t>(inner.size());
      }
      if (!clean) {
        const auto original = [&](int64_t at) {
          return at < static_cast<int64_t>(source.size()) ? source[static_cast<size_t>(at)].begin
                                                          : static_cast<int64_t>(stretch.size());
        };
        span = {original(span.begin), original(span.end)};
      }
      // Of pieces made from one original character (ß -> s s) one has its span, the others an empty
      // one.
      span.begin = std::max(span.begin + base, previous);
      span.end = std::max(span.end + base, span.begin);
      previous = span.end;
      encoding.ids.push_back(piece.id);
      encoding.spans.push_back(span);
    }
  }

  std::string model_;
  std::unique_ptr<SubwordEngine> engine_ = make_subword_engine();
};

std::vector<std::string> training_sentences(std::span<const std::string> texts) {
  size_t total = 0;
  for (const std::string& text : texts) total += text.size();
  const size_t stride = total / kTrainingBytes + 1;
  std::vector<std::string> sentences;
  for (size_t i = 0; i < texts.size(); i += stride) {
    std::string text = repair_utf8(texts[i]);
    // SentencePiece skips sentences with its own marks or NUL in them.
    std::replace(text.begin(), text.end(), '\0', ' ');
    std::replace(text.begin(), text.end(), '\n', ' ');
    for (size_t begin = 0; begin < text.size();) {
      size_t end = std::min(begin + kSentenceBytes, text.size());
      if (end < text.size())
        while (end > begin + 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
      const std::string_view sentence = trim(std::string_view(text).substr(begin, end - begin));
      if (!sentence.empty()) sentences.emplace_back(sentence);
      begin = end;
    }
  }
  return sentences;
}

}  // namespace

std::unique_ptr<Tokenizer> train_subwords(const TokenizerOptions& options,
                                          std::span<const std::string> texts) {
  const std::vector<std::string> sentences = training_sentences(texts);
  if (sentences.empty())
    throw data_error("no text to learn subwords from: every row is empty; check the text column");
  const char* rule = options.fold_case   ? "nmt_nfkc_cf"
                     : options.normalise ? "nmt_nfkc"
                                         : "identity";
  const auto special = [](int64_t id) {
    return std::string(kSpecialTokens[static_cast<size_t>(id)]);
  };
  std::string model;
  const std::string why = make_subword_engine()->train(
      {{"model_type", "unigram"},
       {"vocab_size", std::to_string(options.max_vocabulary)},
       {"hard_vocab_limit", "false"},  // a small file gives a smaller vocabulary
       {"character_coverage", "0.9995"},
       {"max_sentence_length", std::to_string(2 * kSentenceBytes)},
       {"normalization_rule_name", rule},
       {"pad_id", "0"},
       {"unk_id", "1"},
       {"bos_id", "-1"},
       {"eos_id", "-1"},
       {"pad_piece", special(kPaddingId)},
       {"unk_piece", special(kUnknownId)},
       {"control_symbols",
        special(kMaskId) + "," + special(kClassifyId) + "," + special(kSeparatorId)},
       {"num_threads", "2"},  // fixed: the sums, and so the pieces, depend on it
       {"minloglevel", "2"}},
      sentences, model);
  if (!why.empty())
    throw data_error("cannot learn " + std::to_string(options.max_vocabulary) +
                     " subwords from this text: " + why +
                     "; give more text, another vocabulary size, or use the kind mixed");
  return std::make_unique<SubwordTokenizer>(options, std::move(model), "the trained subword model");
}

std::unique_ptr<Tokenizer> load_subwords(const TokenizerOptions& options,
                                         const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kSubwordFile;
  return std::make_unique<SubwordTokenizer>(options, read_file(path, ExitCode::kModel),
                                            path.string());
}

}  // namespace attend::internal
