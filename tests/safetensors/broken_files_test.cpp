// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <ostream>

#include "attend/base/file.h"
#include "attend/base/random.h"
#include "file_bytes.h"
#include "temporary_folder.h"

namespace attend {
namespace {

using testing::error_of;
using testing::file_of;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::parse_text;
using ::testing::StartsWith;
using testing::TemporaryFolder;
using namespace std::string_literals;

struct BrokenFile {
  std::string name;
  std::string file;
  std::string expected;  ///< what the message must say
};

/// GoogleTest shows this instead of the object's bytes.
void PrintTo(const BrokenFile& file, std::ostream* out) { *out << file.name; }

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

/// A file with the one tensor "t" and 8 bytes of data.
std::string one_tensor(const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
  return file_of(R"({"t":)" + entry(dtype, shape, offsets) + "}", "12345678");
}

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(length >> (8 * i));
  return file + rest;
}

const std::string kGood = one_tensor("F32", "[2]", "[0,8]");
const std::string kFull = entry("F32", "[2]", "[0,8]");

std::vector<BrokenFile> broken_files() {
  const std::string half = entry("U8", "[4]", "[0,4]");
  return {
      // Cut off, or of another kind.
      {"Empty", "", "it has 0 bytes, fewer than the 8"},
      {"SevenBytes", kGood.substr(0, 7), "it has 7 bytes"},
      {"OnlyLength", kGood.substr(0, 8), "it is cut off: the header has"},
      {"HeaderCut", kGood.substr(0, 30), "it is cut off: the header has"},
      {"DataCut", kGood.substr(0, kGood.size() - 1),
       "ends at byte 8 but the file has only 7 bytes of data"},
      {"NoData", kGood.substr(0, kGood.size() - 8), "has only 0 bytes of data"},
      {"LengthOverLimit", with_length(100'000'001, "{}"), "over the limit of 100000000"},
      {"LengthHuge", with_length(~0ull, "{}"), "18446744073709551615 is over the limit"},
      {"LengthWrapsWithEight", with_length(~0ull - 7, "{}"), "over the limit"},
      {"LengthPastEnd", with_length(3, "{}"), "the header has 3 bytes, 2 are there"},
      {"LengthZero", with_length(0, "{}"), "does not start with '{'"},
      {"Zip", "PK\x03\x04"s + std::string(100, '\0'), "convert it in Python"},
      {"Pickle", "\x80\x02}q\x01(X"s + std::string(100, '\0'), "is a PyTorch pickle"},
      {"PickleOfThreeBytes", "\x80\x04."s, "is a PyTorch pickle"},
      {"PickleThatLooksLikeALength", "\x80\x02"s + std::string(1000, '\0'), "is a PyTorch pickle"},
      {"LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
       "fetch it with 'git lfs pull'"},
      {"Html", "<!DOCTYPE html><html>not found</html>", "over the limit"},

      // Not the JSON object it should be.
      {"NotUtf8", file_of("{\"\xff\":" + kFull + "}", "12345678"), "is not UTF-8 (at byte 2)"},
      {"OverlongUtf8", file_of("{\"\xc0\xaf\":" + kFull + "}"), "is not UTF-8"},
      {"Surrogate", file_of("{\"\xed\xa0\x80\":" + kFull + "}"), "is not UTF-8"},
      {"LoneEscapedSurrogate", file_of(R"({"\ud800":)" + kFull + "}"), "is not JSON"},
      {"ByteOrderMark", file_of("\xef\xbb\xbf{}"), "does not start with '{'"},
      {"LeadingSpace", file_of(" {}"), "does not start with '{'"},
      {"List", file_of("[]"), "does not start with '{'"},
      {"Unfinished", file_of(R"({"t":)"), "is not JSON (at byte"},
      {"TrailingComma", file_of("{\"t\":" + kFull + ",}"), "is not JSON"},
      {"TwoObjects", file_of("{}{}"), "is not JSON"},
      {"NulPadding", file_of("{}\0\0"s), "control character (at byte 2)"},
      {"HiddenBehindNul", file_of("{}\0{}"s), "control character"},
      {"NewlineInName", file_of("{\"a\nb\":" + kFull + "}"), "is not JSON"},
      {"Comment", file_of("{}//"), "is not JSON"},
      {"NestedLists", file_of("{\"t\":" + std::string(100000, '[')),
       "\"t\" is a list, not an object"},
      {"NestedObjects",
       [] {
         std::string deep;
         for (int i = 0; i < 100000; ++i) deep += "{\"shape\":";
         return file_of("{\"t\":" + deep);
       }(),
       "has an object as shape"},
      {"NestedShape", one_tensor("F32", "[[2]]", "[0,8]"), "has a list inside shape"},

      // Names and fields.
      {"TensorTwice", file_of("{\"t\":" + kFull + ",\"t\":" + kFull + "}", "12345678"),
       "\"t\" is listed twice"},
      {"TensorTwiceByEscape",
       file_of("{\"t\":" + kFull + ",\"\\u0074\":" + kFull + "}", "12345678"),
       "\"t\" is listed twice"},
      {"MetadataTwice", file_of(R"({"__metadata__":{},"__metadata__":{}})"), "listed twice"},
      {"MetadataKeyTwice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})"),
       "metadata \"a\" is listed twice"},
      {"MetadataNumber", file_of(R"({"__metadata__":{"epoch":3}})"),
       "metadata \"epoch\" is a number, not a text"},
      {"MetadataNull", file_of(R"({"__metadata__":{"a":null}})"), "metadata \"a\" is null"},
      {"MetadataObject", file_of(R"({"__metadata__":{"a":{}}})"), "metadata \"a\" is an object"},
      {"MetadataList", file_of(R"({"__metadata__":["a"]})"), "\"__metadata__\" is a list"},
      {"TensorNumber", file_of(R"({"t":1})"), "\"t\" is a number, not an object"},
      {"TensorNull", file_of(R"({"t":null})"), "\"t\" is null"},
      {"FieldTwice",
       file_of(R"({"t":{"dtype":"U8","dtype":"I8","shape":[],"data_offsets":[0,1]}})"),
       "has two fields dtype"},
      {"FieldUnknown", file_of(R"({"t":{"dtype":"U8","stride":[1]}})"), "unknown field \"stride\""},
      {"NoDtype", file_of(R"({"t":{"shape":[],"data_offsets":[0,1]}})", "1"), "has no dtype"},
      {"NoShape", file_of(R"({"t":{"dtype":"U8","data_offsets":[0,1]}})", "1"), "has no shape"},
      {"NoOffsets", file_of(R"({"t":{"dtype":"U8","shape":[]}})", "1"), "has no data_offsets"},
      {"NoFields", file_of(R"({"t":{}})"), "has no dtype"},
      {"ControlInName", file_of(R"({"a\n\u001b[31m":{}})"), R"("a\n\x1b[31m" has no dtype)"},
      {"LongName", file_of("{\"" + std::string(5000, 'n') + "\":{}}"), "nnn...\" has no dtype"},

      // Types, shapes, offsets.
      {"DtypeUnknown", one_tensor("F8_E4M3", "[8]", "[0,8]"), "unknown dtype \"F8_E4M3\""},
      {"DtypeLowerCase", one_tensor("f32", "[2]", "[0,8]"), "unknown dtype \"f32\""},
      {"DtypeNumber", file_of(R"({"t":{"dtype":7}})"), "has a number as dtype"},
      {"ShapeText", one_tensor("F32", "\"2\"", "[0,8]"), "has a text as shape"},
      {"ShapeNegative", one_tensor("F32", "[-2]", "[0,8]"), "the negative number -2 in shape"},
      {"ShapeFraction", one_tensor("F32", "[2.0]", "[0,8]"),
       "has 2.0 in shape, not a whole number"},
      {"ShapeTextInside", one_tensor("F32", "[\"2\"]", "[0,8]"), "has a text inside shape"},
      {"ShapeOver63Bits", one_tensor("U8", "[9223372036854775808]", "[0,8]"),
       "does not fit into 63 bits"},
      {"ShapeOver64Bits", one_tensor("U8", "[99999999999999999999]", "[0,8]"),
       "does not fit into 63 bits"},
      {"ShapeProductOverflows", one_tensor("U8", "[4294967296,4294967296]", "[0,8]"),
       "has a shape whose size does not fit into 63 bits"},
      {"ShapeProductOverflowsToTheRightSize",
       one_tensor("U8", "[4294967296,4294967296,2]", "[0,0]"), "does not fit into 63 bits"},
      {"BytesOverflow", one_tensor("F64", "[2305843009213693952]", "[0,8]"),
       "does not fit into 63 bits"},
      {"EmptyShapeHidesOverflow", one_tensor("U8", "[0,4294967296,4294967296]", "[0,0]"),
       "does not fit into 63 bits"},
      {"RankTooHigh",
       one_tensor(
           "F64",
           [] {
             std::string shape = "[1";
             for (int i = 0; i < 64; ++i) shape += ",1";
             return shape + "]";
           }(),
           "[0,8]"),
       "more than 64 dimensions"},
      {"TooFewBytes", one_tensor("F32", "[3]", "[0,8]"),
       "of shape [3] and dtype F32 needs 12 bytes but has 8"},
      {"TooManyBytes", one_tensor("F32", "[1]", "[0,8]"), "needs 4 bytes but has 8"},
      {"ScalarOfWrongSize", one_tensor("F32", "[]", "[0,8]"), "needs 4 bytes but has 8"},
      {"EmptyWithBytes", one_tensor("F32", "[0]", "[0,8]"), "needs 0 bytes but has 8"},
      {"OneOffset", one_tensor("F32", "[2]", "[8]"), "needs two data_offsets"},
      {"ThreeOffsets", one_tensor("F32", "[2]", "[0,8,8]"), "needs two data_offsets"},
      {"OffsetsReversed", one_tensor("F32", "[2]", "[8,0]"),
       "ends at byte 0 before it begins at 8"},
      {"OffsetNegative", one_tensor("F32", "[2]", "[-8,0]"), "negative number -8 in data_offsets"},
      {"OffsetPastEnd", one_tensor("F32", "[4]", "[0,16]"), "only 8 bytes of data"},
      {"OffsetHuge", one_tensor("F32", "[2]", "[9223372036854775799,9223372036854775807]"),
       "only 8 bytes of data"},
      {"Overlap",
       file_of("{\"a\":" + half + ",\"b\":" + entry("U8", "[5]", "[3,8]") + "}", "12345678"),
       "tensor \"b\" overlaps the tensor before it"},
      {"SameRange", file_of("{\"a\":" + half + ",\"b\":" + half + "}", "1234"), "overlaps"},
      {"Inside",
       file_of("{\"a\":" + kFull + ",\"b\":" + entry("U8", "[1]", "[4,5]") + "}", "12345678"),
       "tensor \"b\" overlaps"},
      {"Hole",
       file_of("{\"a\":" + half + ",\"b\":" + entry("U8", "[2]", "[6,8]") + "}", "12345678"),
       "a hole of 2 bytes before tensor \"b\""},
      {"HoleAtStart", one_tensor("F32", "[1]", "[4,8]"), "a hole of 4 bytes before tensor \"t\""},
      {"EmptyTensorBehindAHole",
       file_of("{\"a\":" + half + ",\"b\":" + entry("U8", "[0]", "[6,6]") + "}", "12345678"),
       "a hole of 2 bytes"},
      {"TrailingBytes", kGood + "x", "1 bytes after the last tensor belong to none"},
      {"DataWithoutTensors", file_of("{}", "12345678"), "8 bytes after the last tensor"},
  };
}

class Broken : public ::testing::TestWithParam<BrokenFile> {};

TEST_P(Broken, IsRefusedInOneLineThatSaysWhy) {
  const auto [code, text] = error_of([] { parse_text(GetParam().file); });
  EXPECT_EQ(code, ExitCode::kModel);
  EXPECT_THAT(text, HasSubstr(GetParam().expected));
  EXPECT_THAT(text, StartsWith("model.safetensors: "));
  EXPECT_THAT(text, HasSubstr("; ")) << "no fix";
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  EXPECT_LT(text.size(), 600u);
}

TEST_P(Broken, IsRefusedFromDiskAsWell) {
  TemporaryFolder folder;
  write_file_atomically(folder / "m", GetParam().file);
  const auto [code, text] = error_of([&] { SafetensorsFile file(folder / "m"); });
  EXPECT_EQ(code, ExitCode::kModel);
  EXPECT_THAT(text, StartsWith((folder / "m").string() + ": "));
  EXPECT_THAT(text, HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(Safetensors, Broken, ::testing::ValuesIn(broken_files()),
                         [](const auto& test) { return test.param.name; });

TEST(BrokenFiles, TheFileTheyAreMadeFromIsGood) {
  EXPECT_EQ(parse_text(kGood).find("t")->bytes.size(), 8u);
}

TEST(BrokenFiles, EveryTruncationIsRefused) {
  for (std::size_t size = 0; size < kGood.size(); ++size) {
    EXPECT_THROW(parse_text(std::string_view(kGood).substr(0, size)), Error) << size;
  }
}

TEST(BrokenFiles, TenThousandMutatedHeadersAreReadOrRefused) {
  const std::string header = R"({"__metadata__":{"format":"pt"},"a":)" +
                             entry("F32", "[2,2]", "[0,16]") + R"(,"b":)" +
                             entry("U8", "[8]", "[16,24]") + "}";
  const std::string good = file_of(header, std::string(24, 'x'));
  ASSERT_NO_THROW(parse_text(good));
  const std::string tokens = "{}[]\",:0123456789-e.\\u \n\t\0\xff"s;
  Random random(11);
  int accepted = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10000; ++i) {
    std::string file = good;
    for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      const std::size_t at = random.below(8 + header.size());
      const char byte = random.below(2) == 0 ? tokens[random.below(tokens.size())]
                                             : static_cast<char>(random.next_u64());
      switch (random.below(4)) {
        case 0:
          file[at] = byte;
          break;
        case 1:
          file.erase(at, 1 + random.below(4));
          break;
        case 2:
          file.insert(at, 1, byte);
          break;
        default:
          file.insert(at, good.substr(random.below(good.size()), random.below(20)));
          break;
      }
      // A mutation that changes the length would mostly be refused for it alone.
      if (random.below(4) != 0 && file.size() >= 32) {
        const std::uint64_t length = file.size() - 8 - 24;
        for (std::size_t b = 0; b < 8; ++b) file[b] = static_cast<char>(length >> (8 * b));
      }
    }
    try {
      std::size_t bytes = 0;
      const SafetensorsFile parsed = parse_text(file);
      for (const TensorView& tensor : parsed.tensors()) bytes += tensor.bytes.size();
      ASSERT_LE(bytes, file.size());
      ++accepted;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::kModel);
      ASSERT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 5.0);
  EXPECT_GT(accepted, 100) << "mutations are too coarse to reach the deeper checks";
  EXPECT_LT(accepted, 9000);
}

}  // namespace
}  // namespace attend
