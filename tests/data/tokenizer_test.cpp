// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/data/unicode.h"
#include "random_text.h"

namespace attend {
namespace {

namespace fs = std::filesystem;
constexpr TokenizerKind kKinds[] = {TokenizerKind::kCharacter, TokenizerKind::kWord,
                                    TokenizerKind::kMixed, TokenizerKind::kSubword};

const std::vector<std::string>& corpus() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> result;
    const char* seeds[] = {"the quick brown fox jumps over the lazy dog",
                           "我们喜欢中国的手机",
                           "Straße and café cost 3.14 euros",
                           "she sells sea shells, doesn't she?",
                           "体验2D巅峰 倚天屠龙记十大创新概览",
                           "a warm, funny, engaging film"};
    for (int i = 0; i < 60; ++i)
      result.push_back(std::string(seeds[i % 6]) + " " + seeds[(i * 5 + 1) % 6]);
    return result;
  }();
  return texts;
}

TokenizerOptions options_for(TokenizerKind kind) {
  TokenizerOptions options;
  options.kind = kind;
  if (kind == TokenizerKind::kSubword) options.max_vocabulary = 150;
  return options;
}

const Tokenizer& trained(TokenizerKind kind) {
  static std::array<std::unique_ptr<Tokenizer>, 4> cache;
  auto& tokenizer = cache[static_cast<size_t>(kind)];
  if (!tokenizer) tokenizer = train_tokenizer(options_for(kind), corpus());
  return *tokenizer;
}

std::string slice(const std::string& text, const Span& span) {
  return text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
}

class Folder {
 public:
  Folder() {
    static int count = 0;
    path_ = fs::temp_directory_path() /
            ("attend-tokenizer-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  fs::path path_;
};

void expect_model_error(const Folder& folder, const std::string& part) {
  try {
    Tokenizer::load(folder.path());
    FAIL() << "loaded, expected: " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kModel);
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find(folder.path().string()), std::string::npos) << e.what();
  }
}

TEST(Tokenizer, NamesOfKinds) {
  for (const TokenizerKind kind : kKinds) EXPECT_EQ(parse_tokenizer_kind(to_string(kind)), kind);
  EXPECT_THROW(parse_tokenizer_kind("bpe"), Error);
}

TEST(Tokenizer, SpecialIdsComeFirst) {
  const char* names[] = {"[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]"};
  for (const TokenizerKind kind : kKinds) {
    const Tokenizer& tokenizer = trained(kind);
    for (int64_t id = 0; id < kSpecialCount; ++id) {
      EXPECT_EQ(tokenizer.token_text(id), names[id]);
      EXPECT_EQ(tokenizer.find(names[id]), id);
    }
    EXPECT_EQ(tokenizer.find("no such entry"), std::nullopt);
    for (const int64_t id : tokenizer.encode("[MASK] [CLS] [PAD]").ids)
      EXPECT_TRUE(id == kUnknownId || id >= kSpecialCount) << id;
  }
}

TEST(Tokenizer, LooksUpNormalisedUnitsButKeepsOriginalSpans) {
  const Tokenizer& tokenizer = trained(TokenizerKind::kMixed);
  const std::string text = "ＴＨＥ  Cafe\u0301\t中Fox";
  const Encoding encoding = tokenizer.encode(text);
  ASSERT_EQ(encoding.ids.size(), 4u);
  EXPECT_EQ(tokenizer.token_text(encoding.ids[0]), "the");
  EXPECT_EQ(slice(text, encoding.spans[0]), "ＴＨＥ");
  EXPECT_EQ(tokenizer.token_text(encoding.ids[1]), "café");
  EXPECT_EQ(slice(text, encoding.spans[1]), "Cafe\u0301");
  EXPECT_EQ(slice(text, encoding.spans[2]), "中");
  EXPECT_EQ(tokenizer.token_text(encoding.ids[3]), "fox");
  EXPECT_EQ(slice(text, encoding.spans[3]), "Fox");
}

TEST(Tokenizer, LimitsTheVocabulary) {
  TokenizerOptions options = options_for(TokenizerKind::kWord);
  options.max_vocabulary = 7;
  const std::vector<std::string> texts = {"a a a b b c", "a b d"};
  const auto small = train_tokenizer(options, texts);
  EXPECT_EQ(small->vocab_size(), 7);
  EXPECT_EQ(small->token_text(5), "a");
  EXPECT_EQ(small->token_text(6), "b");
  options = options_for(TokenizerKind::kWord);
  options.min_count = 2;
  const auto frequent = train_tokenizer(options, texts);
  EXPECT_EQ(frequent->vocab_size(), 7);
  EXPECT_EQ(frequent->encode("c").ids, (std::vector<int64_t>{kUnknownId}));
  options.max_vocabulary = 5;
  EXPECT_THROW(train_tokenizer(options, texts), Error);
}

TEST(Tokenizer, DecodesToReadableText) {
  const auto round = [](TokenizerKind kind, const std::string& text) {
    return trained(kind).decode(trained(kind).encode(text).ids);
  };
  EXPECT_EQ(round(TokenizerKind::kMixed, "the quick fox , 我们"), "the quick fox,我们");
  EXPECT_EQ(round(TokenizerKind::kCharacter, "我们"), "我们");
  EXPECT_EQ(round(TokenizerKind::kSubword, "the lazy dog"), "the lazy dog");
}

TEST(Tokenizer, SpansHoldOnRandomText) {
  std::mt19937 random(3);
  for (const TokenizerKind kind : kKinds) {
    const Tokenizer& tokenizer = trained(kind);
    for (int i = 0; i < 800; ++i) {
      const bool broken = i % 3 == 0;
      const std::string text =
          test::random_text(random, 1 + static_cast<int>(random() % 30), broken);
      const Encoding encoding = tokenizer.encode(text);
      ASSERT_EQ(encoding.ids.size(), encoding.spans.size());
      int64_t end = 0;
      for (size_t j = 0; j < encoding.ids.size(); ++j) {
        const Span span = encoding.spans[j];
        ASSERT_GE(encoding.ids[j], 0);
        ASSERT_LT(encoding.ids[j], tokenizer.vocab_size());
        ASSERT_LE(end, span.begin) << to_string(kind) << " " << text;
        ASSERT_LE(span.begin, span.end);
        ASSERT_LE(span.end, static_cast<int64_t>(text.size()));
        if (!broken) {
          ASSERT_TRUE(is_valid_utf8(slice(text, span))) << to_string(kind) << " " << text;
        }
        end = span.end;
      }
      EXPECT_EQ(units_of(tokenizer, text, encoding).size(), encoding.ids.size());
    }
  }
}

TEST(Subword, PointsAtTheOriginal) {
  const Tokenizer& tokenizer = trained(TokenizerKind::kSubword);
  const std::string text = "  ＴＨＥ   quick 我们 Straße caf\u00E9";
  const Encoding encoding = tokenizer.encode(text);
  std::string covered;
  for (const Span& span : encoding.spans) {
    EXPECT_FALSE(span.begin < span.end && is_blank(slice(text, span)));
    covered += slice(text, span);
  }
  EXPECT_EQ(covered, "ＴＨＥquick我们Straßecafé");
}

TEST(Subword, IsReproducible) {
  Folder first, second;
  train_tokenizer(options_for(TokenizerKind::kSubword), corpus())->save(first.path());
  train_tokenizer(options_for(TokenizerKind::kSubword), corpus())->save(second.path());
  EXPECT_EQ(read_file(first.path() / "spm.model"), read_file(second.path() / "spm.model"));
}

TEST(Subword, TooLittleTextIsAnError) {
  const TokenizerOptions options = options_for(TokenizerKind::kSubword);
  EXPECT_THROW(train_tokenizer(options, std::vector<std::string>{}), Error);
  EXPECT_THROW(train_tokenizer(options, std::vector<std::string>{"", "  "}), Error);
  TokenizerOptions tiny = options;
  tiny.max_vocabulary = 8;
  EXPECT_THROW(train_tokenizer(tiny, corpus()), Error);
}

TEST(Tokenizer, SavesAndLoads) {
  std::mt19937 random(5);
  for (const TokenizerKind kind : kKinds) {
    Folder folder;
    const Tokenizer& tokenizer = trained(kind);
    tokenizer.save(folder.path());
    const auto loaded = Tokenizer::load(folder.path());
    EXPECT_EQ(loaded->kind(), kind);
    EXPECT_EQ(loaded->vocab_size(), tokenizer.vocab_size());
    for (int i = 0; i < 100; ++i) {
      const std::string text =
          test::random_text(random, 20) + corpus()[static_cast<size_t>(i) % 60];
      const Encoding a = tokenizer.encode(text), b = loaded->encode(text);
      EXPECT_EQ(a.ids, b.ids);
      EXPECT_EQ(a.spans, b.spans);
    }
  }
}

TEST(Tokenizer, RandomTextSurvivesTheVocabularyFile) {
  std::mt19937 random(6);
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back(test::random_text(random, 20, true));
  for (const TokenizerKind kind :
       {TokenizerKind::kCharacter, TokenizerKind::kWord, TokenizerKind::kMixed}) {
    Folder folder;
    const auto tokenizer = train_tokenizer(options_for(kind), texts);
    tokenizer->save(folder.path());
    const auto loaded = Tokenizer::load(folder.path());
    for (const std::string& text : texts) {
      const Encoding encoding = loaded->encode(text);
      EXPECT_EQ(encoding.ids, tokenizer->encode(text).ids);
      EXPECT_EQ(std::count(encoding.ids.begin(), encoding.ids.end(), kUnknownId), 0);
    }
  }
}

TEST(Tokenizer, RefusesDamagedFiles) {
  const std::string good = R"({"kind": "mixed", "vocab_size": 6})";
  const std::string specials = "[PAD]\n[UNK]\n[MASK]\n[CLS]\n[SEP]\n";
  Folder folder;
  expect_model_error(folder, "tokenizer_config.json");
  folder.write("tokenizer_config.json", "{");
  expect_model_error(folder, "not valid JSON");
  folder.write("tokenizer_config.json", std::string(1'000'000, '['));
  expect_model_error(folder, "64 levels");
  folder.write("tokenizer_config.json", "[]");
  expect_model_error(folder, "not a JSON object");
  folder.write("tokenizer_config.json", R"({"kind": 7})");
  expect_model_error(folder, "wrong type");
  folder.write("tokenizer_config.json", R"({"kind": "bpe"})");
  expect_model_error(folder, "bpe");
  folder.write("tokenizer_config.json", good);
  expect_model_error(folder, "vocab.txt");
  folder.write("vocab.txt", "[PAD]\n[UNK]\n");
  expect_model_error(folder, "five special tokens");
  folder.write("vocab.txt", "[PAD]\nfoo\n");
  expect_model_error(folder, "vocab.txt:2");
  folder.write("vocab.txt", specials + "a\nb\na\n");
  expect_model_error(folder, "vocab.txt:8");
  folder.write("vocab.txt", specials + "a\n\nb\n");
  expect_model_error(folder, "empty line");
  folder.write("vocab.txt", specials + "\xFF\n");
  expect_model_error(folder, "UTF-8");
  folder.write("vocab.txt", specials + "a\nb\n");
  expect_model_error(folder, "vocab_size 6");
  folder.write("vocab.txt", specials + "a\r\n");
  EXPECT_EQ(Tokenizer::load(folder.path())->encode("A").ids, (std::vector<int64_t>{5}));

  folder.write("tokenizer_config.json", R"({"kind": "subword"})");
  expect_model_error(folder, "spm.model");
  folder.write("spm.model", "");
  expect_model_error(folder, "empty file");
  folder.write("spm.model", "this is not a model");
  expect_model_error(folder, "spm.model");
}

TEST(Subword, RefusesDamagedModels) {
  Folder folder;
  trained(TokenizerKind::kSubword).save(folder.path());
  const std::string model = read_file(folder.path() / "spm.model");
  for (size_t size = 0; size < model.size(); size += 1 + model.size() / 40) {
    folder.write("spm.model", model.substr(0, size));
    EXPECT_THROW(Tokenizer::load(folder.path()), Error) << size;
  }
}

TEST(Tokenizer, LongLinesTakeLinearTime) {
  std::string words, solid;
  while (words.size() < 1'000'000) words += corpus()[words.size() % 60] + " ";
  while (solid.size() < 1'000'000) solid += "我们喜欢中国的手机";
  const std::string same(1'000'000, 'a');
  for (const TokenizerKind kind : kKinds)
    for (const std::string* text :
         std::initializer_list<const std::string*>{&words, &solid, &same}) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_FALSE(trained(kind).encode(*text).ids.empty());
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
      EXPECT_LT(time.count(), 8.0) << to_string(kind);  // quadratic would take minutes
    }
}

}  // namespace
}  // namespace attend
