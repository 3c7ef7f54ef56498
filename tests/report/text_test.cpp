// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/text.h"

#include <gtest/gtest.h>

#include "examples.h"

namespace attend {
namespace {

TEST(DisplayWidth, OfEveryKindOfCharacter) {
  EXPECT_EQ(display_width(""), 0);
  EXPECT_EQ(display_width("attend"), 6);
  EXPECT_EQ(display_width("编程"), 4);
  EXPECT_EQ(display_width("ａ１"), 4) << "full-width forms";
  EXPECT_EQ(display_width("ｱ"), 1) << "half-width kana";
  EXPECT_EQ(display_width("e\xCC\x81"), 1) << "combining acute";
  EXPECT_EQ(display_width("한국"), 4);
  EXPECT_EQ(display_width("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), 2) << "decomposed Hangul";
  EXPECT_EQ(display_width("😀"), 2);
  EXPECT_EQ(display_width("👍🏽"), 2) << "skin tone";
  EXPECT_EQ(display_width("👩‍👩‍👧"), 2) << "joined by ZWJ";
  EXPECT_EQ(display_width("🇨🇳"), 2) << "flag";
  EXPECT_EQ(display_width("❤️"), 2) << "emoji by variation selector";
  EXPECT_EQ(display_width("1️⃣"), 2) << "keycap";
  EXPECT_EQ(display_width("\xE2\x80\x8B"), 0) << "zero-width space";
  EXPECT_EQ(display_width("é…"), 2) << "ambiguous width counts as narrow";
}

TEST(Graphemes, KeepClustersTogether) {
  const std::vector<std::string> expected = {"我", "e\xCC\x81", "👩‍👩‍👧", "🇨🇳", "x"};
  EXPECT_EQ(graphemes("我e\xCC\x81👩‍👩‍👧🇨🇳x"), expected);
}

TEST(Truncate, CutsBetweenGraphemes) {
  EXPECT_EQ(truncate_to_width("编程", 4), "编程");
  EXPECT_EQ(truncate_to_width("编程序", 5), "编程…");
  EXPECT_EQ(truncate_to_width("编程序", 4), "编…") << "half a character is not shown";
  EXPECT_EQ(truncate_to_width("attend", 4), "att…");
  EXPECT_EQ(truncate_to_width("attend", 4, false), "att~");
  EXPECT_EQ(truncate_to_width("ab👩‍👩‍👧c", 4), "ab…");
  EXPECT_EQ(truncate_to_width("编程", 1), "…");
  EXPECT_EQ(truncate_to_width("编程", 0), "");
}

TEST(Pad, FillsByDisplayWidth) {
  EXPECT_EQ(pad_to_width("编", 4), "编  ");
  EXPECT_EQ(pad_to_width("编", 4, Align::kRight), "  编");
  EXPECT_EQ(pad_to_width("编程", 3), "编程");
}

TEST(VisibleText, LeavesNoControlCharacter) {
  EXPECT_EQ(visible_text("a\x1b[31mb\n\t"), "a␛[31mb␊␉");
  EXPECT_EQ(visible_text("a\x1b\x7F", false), "a\\x1b\\x7f");
  EXPECT_EQ(visible_text("a\xE2\x80\xAEz"), "a<U+202E>z") << "right-to-left override";
  EXPECT_EQ(visible_text("\xC2\x9B"), "<U+009B>") << "the one-byte form of ESC [";
  EXPECT_EQ(visible_text("\xE2\x80\xA8"), "<U+2028>");
  EXPECT_EQ(visible_text("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(visible_text("👩‍👩‍👧 编程 ❤️"), "👩‍👩‍👧 编程 ❤️");
  for (const char c : visible_text(testing::hostile_text())) {
    EXPECT_FALSE((c >= 0 && c < 0x20) || c == 0x7F);
  }
}

TEST(XmlEscaped, ReplacesWhatXmlForbids) {
  EXPECT_EQ(xml_escaped("<a b=\"'&\">"), "&lt;a b=&quot;&#39;&amp;&quot;&gt;");
  EXPECT_EQ(xml_escaped(std::string("a\0b\x1b", 4)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(xml_escaped("\xEF\xBF\xBE\xC2\x85"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(xml_escaped("编程\n"), "编程\n");
}

TEST(TsvEscaped, KeepsOneFieldOneField) {
  EXPECT_EQ(tsv_escaped("a\tb\nc\rd\\t"), "a\\tb\\nc\\rd\\\\t");
  EXPECT_EQ(tsv_escaped("编程"), "编程");
}

}  // namespace
}  // namespace attend
