// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attend/data/tokenizer.h"

namespace attend::internal {

inline constexpr std::array<std::string_view, kSpecialCount> kSpecialTokens = {
    "[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]"};

inline constexpr const char* kConfigFile = "tokenizer_config.json";
inline constexpr const char* kVocabularyFile = "vocab.txt";
inline constexpr const char* kSubwordFile = "spm.model";

std::unique_ptr<Tokenizer> train_vocabulary(const TokenizerOptions& options,
                                            std::span<const std::string> texts);
std::unique_ptr<Tokenizer> load_vocabulary(const TokenizerOptions& options,
                                           const std::filesystem::path& folder);

std::unique_ptr<Tokenizer> train_subwords(const TokenizerOptions& options,
                                          std::span<const std::string> texts);
std::unique_ptr<Tokenizer> load_subwords(const TokenizerOptions& options,
                                         const std::filesystem::path& folder);

/// Writes tokenizer_config.json.
void save_tokenizer_config(const Tokenizer& tokenizer, const std::filesystem::path& folder);

}  // namespace attend::internal
