// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/text.h"

#include <gtest/gtest.h>

namespace attend {
namespace {

TEST(Utf8Length, IsStrict) {
  EXPECT_EQ(utf8_length("a"), 1u);
  EXPECT_EQ(utf8_length("é"), 2u);
  EXPECT_EQ(utf8_length("注意"), 3u);
  EXPECT_EQ(utf8_length("😀"), 4u);
  EXPECT_EQ(utf8_length(""), 0u);
  EXPECT_EQ(utf8_length("\x80"), 0u) << "continuation without a lead";
  EXPECT_EQ(utf8_length("\xe6\xb3"), 0u) << "cut off";
  EXPECT_EQ(utf8_length("\xc0\xaf"), 0u) << "overlong, two bytes";
  EXPECT_EQ(utf8_length("\xe0\x80\xaf"), 0u) << "overlong, three bytes";
  EXPECT_EQ(utf8_length("\xf0\x80\x80\xaf"), 0u) << "overlong, four bytes";
  EXPECT_EQ(utf8_length("\xed\xa0\x80"), 0u) << "surrogate";
  EXPECT_EQ(utf8_length("\xf4\x90\x80\x80"), 0u) << "beyond U+10FFFF";
  EXPECT_EQ(utf8_length("\xff"), 0u);
}

TEST(Printable, KeepsTextAndEscapesTheRest) {
  EXPECT_EQ(printable("layer.0 注意 😀"), "layer.0 注意 😀");
  EXPECT_EQ(printable("a\nb\tc\r\x1b[31m"), "a\\nb\\tc\\x0d\\x1b[31m");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable("\u0085"), "\\xc2\\x85") << "next line, a C1 control";
  EXPECT_EQ(printable("\u202e"), "\\xe2\\x80\\xae") << "right-to-left override";
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdef", 5), "abcde...");
  EXPECT_EQ(printable("注意", 4), "注...");
}

}  // namespace
}  // namespace attend
