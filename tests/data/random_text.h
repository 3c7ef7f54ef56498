// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <random>
#include <string>
#include <vector>

namespace attend::test {

/// Text made of everything that goes wrong with offsets; with `broken`, ill-formed bytes as well.
inline std::string random_text(std::mt19937& random, int pieces, bool broken = false) {
  static const std::vector<std::string> kGood = {"a",
                                                 "B",
                                                 "z",
                                                 "0",
                                                 "9",
                                                 " ",
                                                 "  ",
                                                 "\t",
                                                 "\n",
                                                 "\r\n",
                                                 ".",
                                                 ",",
                                                 "'",
                                                 "-",
                                                 "_",
                                                 "don't",
                                                 "3.14",
                                                 "word",
                                                 "Ａ",
                                                 "ｂ",
                                                 "１",
                                                 "！",
                                                 "\u3000",
                                                 "ﬁ",
                                                 "ﬃ",
                                                 "e\u0301",
                                                 "é",
                                                 "ß",
                                                 "ẞ",
                                                 "İ",
                                                 "ı",
                                                 "Å",
                                                 "\u212B",
                                                 "A\u030A",
                                                 "中",
                                                 "国",
                                                 "我们",
                                                 "。",
                                                 "，",
                                                 "「",
                                                 "々",
                                                 "か",
                                                 "か\u3099",
                                                 "ﾊﾞ",
                                                 "ー",
                                                 "한",
                                                 "\u1112\u1161\u11AB",
                                                 "👩‍👩‍👧",
                                                 "👍🏽",
                                                 "🇨🇳",
                                                 "🇩🇪",
                                                 "😀",
                                                 "\u200B",
                                                 "\u200D",
                                                 "\u00AD",
                                                 "\uFEFF",
                                                 "\u0301",
                                                 "\u00A0",
                                                 "\u2028",
                                                 "㎏",
                                                 "①",
                                                 "½",
                                                 "Ⅳ",
                                                 "ก็",
                                                 "नि",
                                                 "عربي",
                                                 "𠀀",
                                                 "葛\U000E0100",
                                                 "\U0001D400",
                                                 "\u00B4",
                                                 "\uFFFD"};
  static const std::vector<std::string> kBroken = {"\xFF",         "\xC0\x80",          "\xE4\xB8",
                                                   "\xED\xA0\x80", "\xF4\x90\x80\x80",  "\x80",
                                                   "\xF0\x9F\x98", std::string(1, '\0')};
  std::string text;
  for (int i = 0; i < pieces; ++i) {
    const auto pick = random();
    if (broken && pick % 7 == 0)
      text += kBroken[random() % kBroken.size()];
    else
      text += kGood[random() % kGood.size()];
  }
  return text;
}

}  // namespace attend::test
