// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/unicode.h"

#include <gtest/gtest.h>

#include "random_text.h"

namespace attend {
namespace {

using Pieces = std::vector<std::string>;
using Segmenter = std::vector<Span> (*)(std::string_view);
constexpr Segmenter kSegmenters[] = {character_spans, word_spans, mixed_spans};

Pieces pieces(Segmenter segment, const std::string& text) {
  Pieces result;
  for (const Span& span : segment(text))
    result.push_back(
        text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin)));
  return result;
}

bool on_boundary(std::string_view text, int64_t at) {
  return at == static_cast<int64_t>(text.size()) ||
         (static_cast<unsigned char>(text[static_cast<size_t>(at)]) & 0xC0) != 0x80;
}

// In order, not empty, without overlap, and what is left out is white space.
void expect_covering(std::string_view text, const std::vector<Span>& spans) {
  int64_t end = 0;
  const auto gap = [&](int64_t a, int64_t b) {
    return text.substr(static_cast<size_t>(a), static_cast<size_t>(b - a));
  };
  for (const Span& span : spans) {
    ASSERT_LE(end, span.begin);
    ASSERT_LT(span.begin, span.end);
    EXPECT_TRUE(is_blank(gap(end, span.begin)));
    end = span.end;
  }
  ASSERT_LE(end, static_cast<int64_t>(text.size()));
  EXPECT_TRUE(is_blank(gap(end, static_cast<int64_t>(text.size()))));
}

TEST(Utf8, FindsEveryKindOfFault) {
  const std::pair<std::string, int64_t> cases[] = {{"ab\x80", 2},
                                                   {"\xC0\xAF", 0},
                                                   {"\xC1\xBF", 0},
                                                   {"a\xE0\x80\x80", 1},
                                                   {"\xED\xA0\x80", 0},
                                                   {"中\xED\xBF\xBF", 3},
                                                   {"\xF0\x80\x80\x80", 0},
                                                   {"\xF4\x90\x80\x80", 0},
                                                   {"\xF5\x80\x80\x80", 0},
                                                   {"\xFF", 0},
                                                   {"ok\xE4\xB8", 2},
                                                   {"\xF0\x9F\x98", 0},
                                                   {"\xC3", 0},
                                                   {"\xC3(", 0}};
  for (const auto& [text, position] : cases) EXPECT_EQ(first_utf8_fault(text), position) << text;
  EXPECT_FALSE(first_utf8_fault("plain, 中文, é, 😀, \xF4\x8F\xBF\xBF"));
  EXPECT_FALSE(first_utf8_fault(""));
  EXPECT_TRUE(is_valid_utf8(std::string_view("\0", 1)));
}

TEST(Utf8, RepairsByMaximalSubparts) {
  EXPECT_EQ(repair_utf8("a\xFF"
                        "b"),
            "a\uFFFDb");
  EXPECT_EQ(repair_utf8("\xE4\xB8"), "\uFFFD");  // one truncated character
  EXPECT_EQ(repair_utf8("\xF0\x9F\x98"
                        "x"),
            "\uFFFDx");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate is three faults
  EXPECT_EQ(repair_utf8("fine 中"), "fine 中");
}

TEST(Utf8, RepairIsAlwaysValid) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_TRUE(is_valid_utf8(repair_utf8(bytes)));
    for (const Segmenter segment : kSegmenters) expect_covering(bytes, segment(bytes));
    EXPECT_TRUE(is_valid_utf8(normalise(bytes)));
  }
}

TEST(Blank, KnowsUnicodeSpaces) {
  EXPECT_TRUE(is_blank(""));
  EXPECT_TRUE(is_blank(" \t\r\n\u3000\u00A0\u2028"));
  EXPECT_FALSE(is_blank(" \u200B"));
  EXPECT_EQ(trim("\u3000 a b\u00A0\n"), "a b");
  EXPECT_EQ(trim("\u3000"), "");
  EXPECT_EQ(trim(" \x80\x80"), "\x80\x80");
}

TEST(Characters, KeepWhatAPersonSeesAsOne) {
  EXPECT_EQ(pieces(character_spans, "a中e\u0301"), (Pieces{"a", "中", "e\u0301"}));
  EXPECT_EQ(pieces(character_spans, "👩‍👩‍👧👍🏽"),
            (Pieces{"👩‍👩‍👧", "👍🏽"}));
  EXPECT_EQ(pieces(character_spans, "🇨🇳🇩🇪"), (Pieces{"🇨🇳", "🇩🇪"}));
  EXPECT_EQ(pieces(character_spans, "\u1112\u1161\u11AB"), (Pieces{"\u1112\u1161\u11AB"}));
  EXPECT_EQ(pieces(character_spans, " a\t\r\n b\u3000"), (Pieces{"a", "b"}));
  EXPECT_EQ(pieces(character_spans, ""), Pieces{});
}

TEST(Words, CutEnglishChineseAndMarks) {
  EXPECT_EQ(pieces(word_spans, "I don't pay $3.14, ok?"),
            (Pieces{"I", "don't", "pay", "$", "3.14", ",", "ok", "?"}));
  EXPECT_EQ(pieces(word_spans, "中国人民喜欢iPhone手机。"),
            (Pieces{"中国", "人民", "喜欢", "iPhone", "手机", "。"}));
  EXPECT_EQ(pieces(word_spans, "a\tb\n\nc"), (Pieces{"a", "b", "c"}));
}

TEST(Mixed, CutsHanSinglyAndKeepsEnglishWords) {
  EXPECT_EQ(pieces(mixed_spans, "我用iPhone 15拍2D图。OK!"),
            (Pieces{"我", "用", "iPhone", "15", "拍", "2D", "图", "。", "OK", "!"}));
  EXPECT_EQ(pieces(mixed_spans, "か\u3099ん"), (Pieces{"か\u3099", "ん"}));
  EXPECT_EQ(pieces(mixed_spans, "葛\U000E0100城𠀀a"), (Pieces{"葛\U000E0100", "城", "𠀀", "a"}));
}

TEST(Sentences, EndAtStopsThatEndOne) {
  EXPECT_EQ(pieces(sentence_spans, "It cost $3.14. He paid!  \n Why?"),
            (Pieces{"It cost $3.14.", "He paid!", "Why?"}));
  EXPECT_EQ(pieces(sentence_spans, "我喜欢。你呢？好！"), (Pieces{"我喜欢。", "你呢？", "好！"}));
  // Tokenised and in lower case; a stop inside a word, or at the beginning, ends nothing.
  EXPECT_EQ(pieces(sentence_spans, "a so - so film . the cast ? good ! mr. x said so ."),
            (Pieces{"a so - so film .", "the cast ?", "good !", "mr. x said so ."}));
  EXPECT_EQ(pieces(sentence_spans, ". and ..."), (Pieces{". and ..."}));
  EXPECT_EQ(pieces(sentence_spans, " \n\t"), Pieces{});
}

TEST(Segments, CoverRandomText) {
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = test::random_text(random, 1 + static_cast<int>(random() % 30));
    for (const Segmenter segment : kSegmenters) {
      const std::vector<Span> spans = segment(text);
      expect_covering(text, spans);
      for (const Span& span : spans) {
        EXPECT_TRUE(on_boundary(text, span.begin));
        EXPECT_TRUE(on_boundary(text, span.end));
      }
    }
  }
}

TEST(Segments, FastPathEqualsIcu) {
  // The emoji sends the whole text through ICU.
  std::mt19937 random(9);
  const std::string alphabet[] = {"a",  " ",  "\n",     "中", "。",    "，",
                                  "Ａ", "！", "\u2018", "1",  "\u3000"};
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (int j = 0; j < 20; ++j) text += alphabet[random() % std::size(alphabet)];
    Pieces slow = pieces(character_spans, text + "😀");
    slow.pop_back();
    EXPECT_EQ(pieces(character_spans, text), slow);
  }
}

TEST(Normalise, MakesEqualWhatMeansTheSame) {
  EXPECT_EQ(normalise("ＡＢＣ１２３"), "abc123");
  EXPECT_EQ(normalise("ﬁn"), "fin");
  EXPECT_EQ(normalise("e\u0301"), "é");
  EXPECT_EQ(normalise("Straße ẞ"), "strasse ss");
  EXPECT_EQ(normalise("İ"), "i\u0307");
  EXPECT_EQ(normalise("so\u00ADft"), "soft");
  EXPECT_EQ(normalise("ＡＢ", {.nfkc = true, .fold_case = false}), "AB");
  EXPECT_EQ(normalise("Ａß", {.nfkc = false, .fold_case = true}), "ａss");
  EXPECT_EQ(normalise("Ａ\xFF", {.nfkc = false, .fold_case = false}), "Ａ\uFFFD");
  EXPECT_EQ(normalise("中文ABC。"), "中文abc。");
}

TEST(Normalise, OffsetsLeadBackToTheOriginal) {
  const auto from = [](const std::string& text, const std::string& part) {
    const NormalizedText n = normalise_with_offsets(text);
    const size_t at = n.text.find(part);
    EXPECT_NE(at, std::string::npos) << n.text;
    const Span span = n.original(static_cast<int64_t>(at), static_cast<int64_t>(at + part.size()));
    return text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
  };
  EXPECT_EQ(from("xＡＢy", "ab"), "ＡＢ");
  EXPECT_EQ(from("aﬁb", "f"), "ﬁ");
  EXPECT_EQ(from("cafe\u0301!", "é"), "e\u0301");
  EXPECT_EQ(from("Straße", "ss"), "ß");
  EXPECT_EQ(from("Straße", "e"), "e");
  EXPECT_EQ(from("İx", "i\u0307"), "İ");
  EXPECT_EQ(from("👩‍👩‍👧b", "b"), "b");
  EXPECT_EQ(from("a\xFFＢ", "b"), "Ｂ");
  EXPECT_EQ(normalise_with_offsets("").original(0, 0), (Span{0, 0}));
}

TEST(Normalise, OffsetsAreInOrderOnRandomText) {
  std::mt19937 random(11);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = test::random_text(random, 1 + static_cast<int>(random() % 25), i % 2);
    for (const bool nfkc : {true, false})
      for (const bool fold : {true, false}) {
        const NormalizedText n = normalise_with_offsets(text, {nfkc, fold});
        EXPECT_EQ(n.text, normalise(text, {nfkc, fold}));
        ASSERT_EQ(n.source.size(), n.text.size());
        EXPECT_TRUE(is_valid_utf8(n.text));
        Span previous;
        for (const Span& span : n.source) {
          ASSERT_LT(span.begin, span.end);
          ASSERT_LE(previous.begin, span.begin);
          ASSERT_TRUE(span == previous || previous.end <= span.begin);
          ASSERT_LE(span.end, static_cast<int64_t>(text.size()));
          previous = span;
        }
      }
  }
}

TEST(ComparisonKey, SeesThroughSpelling) {
  EXPECT_EQ(comparison_key("Hello, World!"), comparison_key("ｈｅｌｌｏ world"));
  EXPECT_EQ(comparison_key("股价 大跌！"), comparison_key("股价大跌"));
  EXPECT_NE(comparison_key("?"), comparison_key("!"));
  EXPECT_NE(comparison_key("a"), comparison_key("b"));
}

TEST(CountCharacters, SkipsSpace) { EXPECT_EQ(count_characters("a 中👩‍👩‍👧\n"), 3); }

}  // namespace
}  // namespace attend
