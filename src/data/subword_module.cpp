// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The module libattend-subword.so: the only code that sees SentencePiece. See subword_engine.h.
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <unordered_map>

#include "subword_engine.h"

namespace attend::internal {
namespace {

class Sentences final : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return at_ >= sentences_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return sentences_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t at_ = 0;
};

std::string why(const sentencepiece::util::Status& status) {
  return status.ok() ? std::string() : status.ToString();
}

class SentencePieceEngine final : public SubwordEngine {
 public:
  std::string load(const std::string& model) override {
    return why(processor_.LoadFromSerializedProto(model));
  }

  std::string train(const std::map<std::string, std::string>& options,
                    const std::vector<std::string>& sentences, std::string& model) const override {
    Sentences iterator(sentences);
    return why(sentencepiece::SentencePieceTrainer::Train(
        std::unordered_map<std::string, std::string>(options.begin(), options.end()), &iterator,
        &model));
  }

  std::string encode(std::string_view text, std::vector<SubwordPiece>& pieces) const override {
    sentencepiece::ImmutableSentencePieceText result;
    const auto status = processor_.Encode(text, result.mutable_proto());
    if (!status.ok()) return why(status);
    pieces.clear();
    for (const auto& piece : result.pieces()) {
      pieces.push_back({static_cast<int>(piece.id()), static_cast<int>(piece.begin()),
                        static_cast<int>(piece.end())});
    }
    return {};
  }

  std::string decode(const std::vector<int>& ids, std::string& text) const override {
    return why(processor_.Decode(ids, &text));
  }

  int size() const override { return processor_.GetPieceSize(); }
  std::string piece(int id) const override { return processor_.IdToPiece(id); }
  int find(std::string_view piece) const override { return processor_.PieceToId(piece); }

 private:
  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace
}  // namespace attend::internal

extern "C" __attribute__((visibility("default"))) attend::internal::SubwordEngine*
attend_make_subword_engine() {
  return new attend::internal::SentencePieceEngine();
}
