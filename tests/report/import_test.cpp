// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/import.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <random>

#include "attend/base/error.h"
#include "attend/report/json.h"
#include "examples.h"

namespace attend {
namespace {

// --- files as NumPy and zip write them

void append_number(std::string& out, uint64_t value, int size) {
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i));
}

std::string npy(const std::string& kind, const std::string& shape, const std::string& data,
                const std::string& order = "False") {
  std::string header =
      "{'descr': '" + kind + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  append_number(out, header.size(), 2);
  return out + header + data;
}

template <class Number>
std::string bytes_of(const std::vector<Number>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Number)};
}

std::string utf32(const std::vector<std::u32string>& texts, std::size_t width) {
  std::string out;
  for (std::u32string text : texts) {
    text.resize(width);
    for (const char32_t c : text) append_number(out, c, 4);
  }
  return out;
}

struct Entry {
  std::string name;
  std::string data;
  bool deflated = false;
};

std::string zip(const std::vector<Entry>& entries) {
  std::string out, directory;
  for (const Entry& entry : entries) {
    std::string packed = entry.data;
    if (entry.deflated) {
      uLongf size = compressBound(entry.data.size());
      packed.resize(size);
      compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                reinterpret_cast<const Bytef*>(entry.data.data()), entry.data.size(), 6);
      packed = packed.substr(2, size - 6);  // the raw stream, without zlib's frame
    }
    const auto checksum =
        crc32_z(0, reinterpret_cast<const Bytef*>(entry.data.data()), entry.data.size());
    std::string common;
    append_number(common, 20, 2);
    append_number(common, 0, 2);
    append_number(common, entry.deflated ? 8 : 0, 2);
    append_number(common, 0, 4);
    append_number(common, checksum, 4);
    append_number(common, packed.size(), 4);
    append_number(common, entry.data.size(), 4);
    append_number(common, entry.name.size(), 2);
    append_number(common, 0, 2);
    directory += "PK\1\2" + std::string("\x14\0", 2) + common;
    append_number(directory, 0, 2 + 2 + 2 + 4);
    append_number(directory, out.size(), 4);
    directory += entry.name;
    out += "PK\3\4" + common + entry.name + packed;
  }
  const std::size_t begin = out.size();
  out += directory + "PK\5\6";
  append_number(out, 0, 4);
  append_number(out, entries.size(), 2);
  append_number(out, entries.size(), 2);
  append_number(out, directory.size(), 4);
  append_number(out, begin, 4);
  append_number(out, 0, 2);
  return out;
}

const std::vector<float> kWeights = {1, 0, 0.25, 0.75, 0.5, 0.5, 0, 1};  // two heads of 2 x 2

std::string good_npz(bool deflated) {
  return zip({{"attention.npy", npy("<f4", "(1, 2, 2, 2)", bytes_of(kWeights)), deflated},
              {"tokens.npy", npy("<U2", "(2,)", utf32({U"编程", U"b"}, 2)), deflated}});
}

void expect_two_heads(const Explanation& e, const std::string& first, const std::string& second) {
  ASSERT_EQ(e.units.size(), 2U);
  EXPECT_EQ(e.units[0].text, first);
  EXPECT_EQ(e.units[1].text, second);
  ASSERT_EQ(e.attention.size(), 3U) << "two heads and their mean";
  EXPECT_EQ(e.attention[0].weights, std::vector<float>(kWeights.begin(), kWeights.begin() + 4));
  EXPECT_EQ(e.attention[1].weights, std::vector<float>(kWeights.begin() + 4, kWeights.end()));
  EXPECT_EQ(e.attention[2].head, -1);
  EXPECT_EQ(e.attention[2].weights, (std::vector<float>{0.75F, 0.25F, 0.125F, 0.875F}));
  EXPECT_EQ(e.heads.size(), 2U);
}

std::string error_of(const std::string& bytes) {
  try {
    attention_from_bytes(bytes, "x.npz");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "accepted";
}

TEST(Import, Json) {
  const Explanation e = attention_from_bytes(
      R"({"tokens": ["编程", "b"], "attention": [[[[1, 0], [0.25, 0.75]], [[0.5, 0.5], [0, 1]]]]})",
      "x.json");
  expect_two_heads(e, "编程", "b");
  EXPECT_EQ(e.input, "编程 b");
  EXPECT_EQ(to_json(explanation_from_json(to_json(e), "y.json")), to_json(e));
}

TEST(Import, NpzStoredAndDeflated) {
  for (const bool deflated : {false, true}) {
    expect_two_heads(attention_from_bytes(good_npz(deflated), "x.npz"), "编程", "b");
  }
}

TEST(Import, NpyAndEveryFloat) {
  const std::vector<double> doubles(kWeights.begin(), kWeights.end());
  // IEEE 754 binary16
  const std::vector<uint16_t> halves = {0x3C00, 0, 0x3400, 0x3A00, 0x3800, 0x3800, 0, 0x3C00};
  for (const std::string& file :
       {npy("<f4", "(1, 2, 2, 2)", bytes_of(kWeights)), npy("<f8", "(2, 2, 2)", bytes_of(doubles)),
        npy("<f2", "(1, 1, 2, 2, 2)", bytes_of(halves))}) {
    expect_two_heads(attention_from_bytes(file, "x.npy"), "0", "1");
  }
  const std::vector<uint16_t> small = {0x0001, 0x03FF, 0x0400, 0x3555};
  const Explanation e = attention_from_bytes(npy("<f2", "(2, 2)", bytes_of(small)), "x.npy");
  EXPECT_EQ(e.attention[0].weights[0], std::ldexp(1.0F, -24)) << "the smallest subnormal";
  EXPECT_EQ(e.attention[0].weights[1], std::ldexp(1023.0F, -24));
  EXPECT_EQ(e.attention[0].weights[2], std::ldexp(1.0F, -14));
  EXPECT_FLOAT_EQ(e.attention[0].weights[3], 0.33325195F);
}

TEST(Import, CrossAttention) {
  const Explanation e = attention_from_bytes(
      R"({"tokens": ["a", "b", "c"], "output_tokens": ["x", "y"],
          "attention": [[[[1, 0, 0], [0.2, 0.3, 0.5]]]]})",
      "x.json");
  EXPECT_EQ(e.attention[0].role, "cross");
  EXPECT_EQ(e.output, "x y");
  EXPECT_EQ(e.attention[0].columns, 3);
}

TEST(Import, BytesThatAreNoTextBecomeReplacementCharacters) {
  const Explanation e = attention_from_bytes(
      zip({{"attention.npy", npy("<f4", "(1, 1)", bytes_of(std::vector<float>{1}))},
           {"tokens.npy", npy("|S2", "(1,)", "\xFF\x61")}}),
      "x.npz");
  EXPECT_EQ(e.units[0].text,
            "\xEF\xBF\xBD"
            "a");
}

TEST(Import, WhatIsWrongIsSaidInOneLine) {
  const std::string weights = bytes_of(kWeights);
  const auto with_tokens = [&](const std::string& tokens) {
    return zip({{"attention.npy", npy("<f4", "(1, 2, 2, 2)", weights)}, {"tokens.npy", tokens}});
  };
  const auto only = [&](const std::string& array) { return zip({{"attention.npy", array}}); };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {only(npy("<f4", "(1, 2, 2, 3)", weights)), "x.npz: [attention] holds 32 bytes, not the 12"},
      {only(npy("<f4", "(4000000000, 4000000000)", weights)),
       "x.npz: [attention] claims more than"},
      {only(npy("<f4", "(99999999999999999999,)", weights)), "x.npz: [attention] has a header"},
      {only(npy("<f4", "(-1, 2)", weights)), "x.npz: [attention] has a header without a shape"},
      {only(npy("<f4", "(0, 2, 2, 2)", "")), "x.npz: attention has the shape [0, 2, 2, 2]: it is"},
      {only(npy("<f4", "(8,)", weights)), "x.npz: attention has the shape [8]; give [layer, head"},
      {only(npy("<f4", "(1, 2, 1, 2, 2)", weights)),
       "x.npz: attention has the shape [1, 2, 1, 2, 2]: a batch"},
      {only(npy("<f4", "(1, 2, 2, 2)", weights, "True")), "x.npz: [attention] is in Fortran order"},
      {only(npy(">f4", "(1, 2, 2, 2)", weights)), "x.npz: [attention] has the type \">f4\""},
      {only(npy("<i4", "(1, 2, 2, 2)", weights)), "x.npz: [attention] has the type \"<i4\""},
      {only(npy("|O", "(1, 2, 2, 2)", weights)), "x.npz: [attention] holds pickled objects"},
      {only("not an array"), "x.npz: [attention] is not a .npy array"},
      {only(npy("<f4", "(2, 1, 1, 4)", weights)),
       "x.npz: 1 queries for 4 keys; give output_tokens"},
      {with_tokens(npy("<U1", "(3,)", utf32({U"a", U"b", U"c"}, 1))),
       "x.npz: 3 tokens for 2 keys; give one per key"},
      {with_tokens(npy("<f4", "(2,)", bytes_of(std::vector<float>{1, 2}))),
       "x.npz: [tokens] holds numbers"},
      {zip({{"weights.npy", npy("<f4", "(8,)", weights)}}),
       "x.npz: no array \"attention\"; it holds weights"},
      {npy("<f4", "(2, 2)", bytes_of(std::vector<float>{1, 0, 3.5F, 0})),
       "x.npz: attention[0][0][1][0]: 3.5 is not between 0 and 1; give weights, after the softmax"},
      {npy("<f4", "(2, 2)", bytes_of(std::vector<float>{1, 0.5F, 0, 0})),
       "x.npz: attention[0][0][0]: the row sums to 1.5"},
      {npy("<f4", "(2, 2)", bytes_of(std::vector<float>{1, 0, NAN, 0})),
       "x.npz: attention[0][0][1][0]: nan is not"},
      {npy("<f8", "(2, 2)", bytes_of(std::vector<double>{1, 0, 1e300, 0})),
       "x.npz: attention[0][0][1][0]: inf is not"},
      {"PK\3\4 and nothing more", "x.npz: not a complete .npz"},
      {R"({"attention": [[[[1, 0], [1]]]]})", "x.npz: $.attention[0][0][1]: 1 items, but"},
      {R"({"attention": [[[[1, 0], 1]]]})", "x.npz: $.attention[0][0][1]: a number where"},
      {R"({"attention": [[[[[[1]]]]]]})", "x.npz: attention has the shape [1, 1, 1, 1, 1, 1]"},
      {R"({"attention": [[[["a"]]]]})", "x.npz: $.attention[0][0][0][0]: expected a number"},
      {R"({"attention": []})", "x.npz: attention has the shape [0]"},
      {R"({"tokens": ["a"]})", "x.npz: $: \"attention\" is missing"},
      {R"({"tokens": [1], "attention": [[1]]})", "x.npz: $.tokens[0]: expected a string"},
  };
  for (const auto& [bytes, message] : cases) {
    EXPECT_EQ(error_of(bytes).substr(0, message.size()), message);
  }
}

TEST(Import, DamagedZipsAreRefused) {
  for (const bool deflated : {false, true}) {
    const std::string good = good_npz(deflated);
    const std::size_t data =
        good.find("NUMPY") != std::string::npos ? good.find("NUMPY") + 130 : 60;
    std::string damaged = good;
    damaged[data] ^= 0x10;
    EXPECT_NE(error_of(damaged), "accepted") << "a flipped bit";
    // Sizes that claim more or less than there is.
    const std::size_t entry = good.find("PK\1\2");
    for (const std::size_t field : {entry + 20, entry + 24, entry + 42}) {
      for (const uint32_t value : {0U, 1U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
        damaged = good;
        std::memcpy(damaged.data() + field, &value, 4);
        if (damaged == good) continue;
        EXPECT_NE(error_of(damaged), "accepted") << field << ' ' << value;
      }
    }
  }
}

TEST(Import, AnyDamageIsAnErrorAndNothingWorse) {
  std::mt19937 random(5);
  for (const std::string& good :
       {good_npz(false), good_npz(true), npy("<f4", "(1, 2, 2, 2)", bytes_of(kWeights))}) {
    for (int trial = 0; trial < 3000; ++trial) {
      std::string damaged = good;
      for (int k = 0; k <= trial % 3; ++k) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      if (trial % 5 == 0) damaged.resize(random() % damaged.size());
      try {
        attention_from_bytes(damaged, "x.npz");
      } catch (const Error&) {
      }
    }
  }
}

TEST(Import, ADeflatedBombCostsOnlyWhatItsEntrySays) {
  // 16 MB of zeros in some kB that claim to be 100 bytes.
  std::string bomb = zip({{"attention.npy", std::string(16 << 20, '\0'), true}});
  const std::size_t entry = bomb.find("PK\1\2");
  const uint32_t claimed = 100;
  std::memcpy(bomb.data() + entry + 24, &claimed, 4);
  EXPECT_EQ(error_of(bomb),
            "x.npz: [attention] does not unpack to the 100 bytes that its entry says");
}

TEST(Import, ForeignFilesAreToldApart) {
  EXPECT_TRUE(is_foreign_attention(good_npz(false)));
  EXPECT_TRUE(is_foreign_attention("\x93NUMPY"));
  EXPECT_TRUE(is_foreign_attention(R"({"tokens": ["\"format\""], "attention": []})"));
  EXPECT_TRUE(is_foreign_attention(R"({"tokens": ["format"], "attention" : []})"));
  EXPECT_FALSE(is_foreign_attention(to_json(testing::realistic(true))));
  EXPECT_FALSE(is_foreign_attention("{}"));
}

TEST(Import, HeadSummaries) {
  const AttentionMap map{0, 1, "", 3, 3, {1, 0, 0, 0.5F, 0.5F, 0, 0, 0.25F, 0.75F}};
  const HeadSummary head = summary_of(map);
  EXPECT_EQ(head.layer, 0);
  EXPECT_EQ(head.head, 1);
  EXPECT_NEAR(head.entropy,
              (std::log(2.0) - 0.25 * std::log(0.25) - 0.75 * std::log(0.75)) / std::log(3.0) / 3,
              1e-6);
  EXPECT_NEAR(head.distance, 0.75 / 3, 1e-6);
  EXPECT_NEAR(head.self, 2.25 / 3, 1e-6);
  EXPECT_NEAR(head.previous, 0.75 / 3, 1e-6);
  EXPECT_NEAR(head.first, 1.5 / 3, 1e-6);
  EXPECT_EQ(head.next, 0);
}

}  // namespace
}  // namespace attend
