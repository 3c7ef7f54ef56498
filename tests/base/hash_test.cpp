// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/hash.h"

#include <gtest/gtest.h>

namespace attend {
namespace {

TEST(Hash, EqualsThePublishedValues) {  // http://www.isthe.com/chongo/tech/comp/fnv/
  EXPECT_EQ(hash_bytes(""), 0xcbf29ce484222325u);
  EXPECT_EQ(hash_bytes("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash_bytes("foobar"), 0x85944171f73967e8u);
}

TEST(Hash, PiecesEqualTheWhole) {
  EXPECT_EQ(hash_bytes("bar", hash_bytes("foo")), hash_bytes("foobar"));
}

TEST(Hash, SeesEveryByte) {
  using namespace std::string_view_literals;
  EXPECT_NE(hash_bytes("\0"sv), hash_bytes("\0\0"sv));
  EXPECT_NE(hash_bytes("\xff"), hash_bytes("\x7f"));
}

TEST(Hash, TextHasAlwaysSixteenDigits) {
  EXPECT_EQ(hash_text(0x0123456789abcdefu), "0123456789abcdef");
  EXPECT_EQ(hash_text(10), "000000000000000a");
}

}  // namespace
}  // namespace attend
