// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "attend/base/file.h"
#include "attend/base/random.h"
#include "file_bytes.h"
#include "temporary_folder.h"

namespace attend {
namespace {

using testing::error_of;
using testing::file_of;
using ::testing::HasSubstr;
using testing::parse_text;
using testing::TemporaryFolder;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(Safetensors, RoundTripsEveryTypeScalarsAndEmptyTensors) {
  Random random(1);
  std::vector<std::string> storage;
  std::vector<TensorView> tensors;
  storage.reserve(64);
  for (int type = 0; type <= static_cast<int>(DType::kI64); ++type) {
    const auto dtype = static_cast<DType>(type);
    for (const std::vector<std::int64_t>& shape :
         {std::vector<std::int64_t>{}, {0}, {3}, {2, 0, 5}, {2, 3}}) {
      std::size_t size = dtype_size(dtype);
      for (const auto dimension : shape) size *= static_cast<std::size_t>(dimension);
      std::string& bytes = storage.emplace_back();
      for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random.next_u64());
      const std::string name = std::string(dtype_name(dtype)) + "." + std::to_string(shape.size()) +
                               "." + std::to_string(size) + "\n注意\"";
      tensors.push_back({name, dtype, shape, bytes_of(bytes)});
    }
  }
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"\x01 键", "a\\b\n"}};
  TemporaryFolder folder;
  write_safetensors(folder / "m", tensors, metadata);

  const SafetensorsFile file(folder / "m");
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const TensorView& expected : tensors) {
    const TensorView* found = file.find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(found->dtype, expected.dtype);
    EXPECT_EQ(found->shape, expected.shape);
    EXPECT_TRUE(std::ranges::equal(found->bytes, expected.bytes)) << expected.name;
    const auto address = reinterpret_cast<std::uintptr_t>(found->bytes.data());
    EXPECT_EQ(address % dtype_size(expected.dtype), 0u) << "our own files are aligned";
  }
  EXPECT_EQ(file.find("F32"), nullptr);
}

TEST(Safetensors, GoldenBytes) {
  const std::vector<TensorView> tensors{
      {"b", DType::kU8, {3}, bytes_of("xyz")},
      {"c", DType::kI64, {}, bytes_of("12345678")},
      {"a", DType::kU8, {1, 1}, bytes_of("w")},
  };
  // Largest type first, then by name; header padded to 8 bytes.
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("c":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                             R"("a":{"dtype":"U8","shape":[1,1],"data_offsets":[8,9]},)"
                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[9,12]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  ASSERT_NE(header, padded) << "the example should show the padding";
  TemporaryFolder folder;
  write_safetensors(folder / "m", tensors, {{"format", "pt"}});
  EXPECT_EQ(read_file(folder / "m"), file_of(padded, "12345678wxyz"));

  std::vector<TensorView> reversed(tensors.rbegin(), tensors.rend());
  write_safetensors(folder / "n", reversed, {{"format", "pt"}});
  EXPECT_EQ(read_file(folder / "m"), read_file(folder / "n"));
}

TEST(Safetensors, NoTensorsAtAll) {
  TemporaryFolder folder;
  write_safetensors(folder / "m", std::span<const TensorView>());
  EXPECT_EQ(read_file(folder / "m"), file_of("{}      "));
  EXPECT_TRUE(SafetensorsFile(folder / "m").tensors().empty());
}

TEST(Safetensors, AsksForOneTensorAtATime) {
  TemporaryFolder folder;
  std::string scratch;
  std::vector<TensorInfo> infos{{"x", DType::kU8, {2}}, {"y", DType::kU8, {2}}};
  write_safetensors(folder / "m", infos, [&](const TensorInfo& tensor) {
    scratch = tensor.name + tensor.name;
    return bytes_of(scratch);
  });
  EXPECT_THAT(read_file(folder / "m"), ::testing::EndsWith("xxyy"));
}

TEST(Safetensors, ViewsOutliveTheFirstCopyAndAReplacedFile) {
  TemporaryFolder folder;
  const std::vector<TensorView> old{{"t", DType::kU8, {3}, bytes_of("old")}};
  const std::vector<TensorView> fresh{{"t", DType::kU8, {3}, bytes_of("new")}};
  write_safetensors(folder / "m", old);
  auto first = std::make_unique<SafetensorsFile>(folder / "m");
  const SafetensorsFile second = *first;
  first.reset();
  write_safetensors(folder / "m", fresh);
  EXPECT_TRUE(std::ranges::equal(second.find("t")->bytes, bytes_of("old")));
}

TEST(Safetensors, ReadsWhatCannotBeMapped) {
  TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::thread writer([&] {
    std::FILE* pipe = std::fopen((folder / "pipe").c_str(), "w");
    const std::string file =
        file_of(R"({"t":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", "abc");
    std::fwrite(file.data(), 1, file.size(), pipe);
    std::fclose(pipe);
  });
  const SafetensorsFile file(folder / "pipe");
  writer.join();
  EXPECT_TRUE(std::ranges::equal(file.find("t")->bytes, bytes_of("abc")));
}

TEST(Safetensors, ReadsUnalignedTensorsAndAnyOrderAndWhiteSpace) {
  const SafetensorsFile file =
      parse_text(file_of(R"({ "b": {"data_offsets":[1,5], "shape":[1], "dtype":"F32"},)"
                         "\n\t"
                         R"("a": {"dtype":"U8","shape":[1],"data_offsets":[0,1]} })",
                         "x1234"));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_TRUE(std::ranges::equal(file.find("b")->bytes, bytes_of("1234")));
}

TEST(Safetensors, MissingFileAndFolder) {
  TemporaryFolder folder;
  auto [code, text] = error_of([&] { SafetensorsFile file(folder / "none"); });
  EXPECT_EQ(code, ExitCode::kModel);
  EXPECT_THAT(text, HasSubstr("none: file not found"));
  std::tie(code, text) = error_of([&] { SafetensorsFile file(folder.path()); });
  EXPECT_EQ(code, ExitCode::kModel);
  EXPECT_THAT(text, HasSubstr("is a folder"));
}

TEST(Safetensors, WriterRefusesWhatNoReaderWouldTake) {
  TemporaryFolder folder;
  const auto write = [&](std::vector<TensorView> tensors) {
    write_safetensors(folder / "m", tensors);
  };
  const auto one = bytes_of("1");
  EXPECT_THROW(write({{"a", DType::kU8, {2}, one}}), std::invalid_argument);
  EXPECT_THROW(write({{"a", DType::kU8, {1}, one}, {"a", DType::kU8, {1}, one}}),
               std::invalid_argument);
  EXPECT_THROW(write({{"a", DType::kU8, {-1}, one}}), std::invalid_argument);
  EXPECT_THROW(write({{"__metadata__", DType::kU8, {1}, one}}), std::invalid_argument);
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Safetensors, FullDiskIsADataError) {
  const std::vector<TensorView> tensors{{"a", DType::kU8, {1}, bytes_of("1")}};
  const auto [code, text] = error_of([&] { write_safetensors("/dev/full", tensors); });
  EXPECT_EQ(code, ExitCode::kData);
  EXPECT_THAT(text, HasSubstr("/dev/full: disk is full"));
}

}  // namespace
}  // namespace attend
