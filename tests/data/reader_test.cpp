// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/reader.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <random>

#include "attend/base/error.h"
#include "attend/data/bytes.h"

namespace attend {
namespace {

namespace fs = std::filesystem;

ReadResult read(const std::string& bytes, const ReaderOptions& options = {},
                const std::string& name = "data.txt") {
  return read_rows_from_memory(bytes, name, options);
}

ReaderOptions collecting() {
  ReaderOptions options;
  options.bad_lines = BadLines::kCollect;
  return options;
}

ReaderOptions unlabelled() {
  ReaderOptions options;
  options.require_labels = false;
  return options;
}

// The message of the Error that `action` throws.
template <typename Action>
std::string error_of(Action action, ExitCode code = ExitCode::kData) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << "one line: " << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks " << part;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class File {
 public:
  explicit File(const std::string& bytes, const std::string& name = "file.tsv") {
    static int count = 0;
    folder_ = fs::temp_directory_path() /
              ("attend-reader-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    fs::create_directories(folder_);
    path_ = folder_ / name;
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~File() { fs::remove_all(folder_); }
  const fs::path& path() const { return path_; }
  const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_, path_;
};

void expect_two_rows(const ReadResult& result, DataFormat format) {
  EXPECT_EQ(result.format, format);
  EXPECT_TRUE(result.has_labels);
  ASSERT_EQ(result.rows.size(), 2u);
  EXPECT_EQ(result.rows[0].label, "good");
  EXPECT_EQ(result.rows[0].text, "a fine film");
  EXPECT_EQ(result.rows[1].label, "bad");
  EXPECT_EQ(result.rows[1].text, "很差的电影");
}

TEST(Formats, NamesRoundTrip) {
  for (const char* name : {"auto", "tsv", "csv", "jsonl", "fasttext", "plain"})
    EXPECT_EQ(to_string(parse_data_format(name)), name);
  error_of([] { parse_data_format("xml"); }, ExitCode::kUsage);
}

TEST(Formats, LabelThenText) {
  const auto result = read("good\ta fine film\nbad\t很差的电影\n");
  expect_two_rows(result, DataFormat::kTsv);
  EXPECT_EQ(result.description, "label<TAB>text, 2 columns, 2 rows");
  EXPECT_EQ(result.rows[1].line, 2);
}

TEST(Formats, TextThenLabel) {
  const auto result = read("a fine film\tgood\n很差的电影\tbad\n");
  expect_two_rows(result, DataFormat::kTsv);
  EXPECT_EQ(result.description, "text<TAB>label, 2 columns, 2 rows");
}

TEST(Formats, ManyColumns) {
  std::string bytes;
  for (int i = 0; i < 50; ++i)
    bytes += std::string(i % 2 ? "1" : "0") + "\t" + (i % 3 ? "手机" : "水果") + "\t评论第" +
             std::to_string(i) + "条，写得比较长一些\n";
  const auto result = read(bytes);
  EXPECT_EQ(result.description, "label<TAB>-<TAB>text, 3 columns, 50 rows");
  ReaderOptions options;
  options.label_column = "2";
  options.extra_columns = {"1"};
  const auto by_category = read(bytes, options);
  EXPECT_EQ(by_category.rows[1].label, "手机");
  EXPECT_EQ(by_category.rows[1].extra, (std::vector<std::string>{"1"}));
}

TEST(Formats, AnArrayIsKeptWholeWhereItIsAskedFor) {
  const std::string bytes =
      R"({"label": ["a", "b"], "text": "good film", "spans": [[0, 1], [1, 2]]})"
      "\n"
      R"({"label": "a", "text": "bad film", "spans": []})";
  ReaderOptions options;
  options.format = DataFormat::kJsonl;
  options.extra_columns = {"spans"};
  const auto result = read(bytes, options);
  EXPECT_EQ(result.rows[0].extra, (std::vector<std::string>{"[[0,1],[1,2]]"}));
  EXPECT_EQ(result.rows[1].extra, (std::vector<std::string>{"[]"}));
  EXPECT_EQ(result.rows[0].label, "a");  // elsewhere the first value counts
}

TEST(Formats, TagColumnsAreNoText) {
  std::string bytes;
  for (int i = 0; i < 40; ++i)
    bytes += std::string(i % 2 ? "AddToPlaylist" : "GetWeather") + "\tadd song " +
             std::to_string(i) + " now\tO B-music_item I-music_item B-somewhere_long\n";
  EXPECT_EQ(read(bytes).description, "label<TAB>text<TAB>-, 3 columns, 40 rows");
}

TEST(Formats, TsvWithHeader) {
  const auto result = read("id\tlabel\tsentence\n1\tgood\ta fine film\n2\tbad\t很差的电影\n");
  expect_two_rows(result, DataFormat::kTsv);
  EXPECT_EQ(result.description,
            "TSV with header, text = \"sentence\", label = \"label\", 3 columns, 2 rows");
  EXPECT_EQ(result.rows[0].line, 2);
}

TEST(Formats, PairsOfTexts) {
  ReaderOptions options;
  options.text2_column = "sentence2";
  const auto result =
      read("sentence1\tsentence2\tlabel\nis it?\tit is\tyes\nis he?\tno way\tno\n", options);
  EXPECT_EQ(result.rows[0].text, "is it?");
  EXPECT_EQ(result.rows[0].text2, "it is");
  EXPECT_EQ(result.rows[0].label, "yes");
}

TEST(Formats, Csv) {
  const auto result =
      read("text,label\r\n\"a fine film\",good\r\n很差的电影,\"bad\"\r\n", {}, "x.csv");
  expect_two_rows(result, DataFormat::kCsv);
  expect_two_rows(read("text,label\na fine film,good\n很差的电影,bad\n"), DataFormat::kCsv);
  expect_two_rows(read("label;text\ngood;a fine film\nbad;很差的电影\n", {}, "x.csv"),
                  DataFormat::kCsv);
}

TEST(Formats, CsvQuoting) {
  const auto result =
      read("label,text\ngood,\"one, \"\"two\"\"\nthree\"\nbad,\"\"\"\"\nbad,x\n", {}, "x.csv");
  ASSERT_EQ(result.rows.size(), 3u);
  EXPECT_EQ(result.rows[0].text, "one, \"two\"\nthree");
  EXPECT_EQ(result.rows[0].line, 2);
  EXPECT_EQ(result.rows[1].text, "\"");
  EXPECT_EQ(result.rows[1].line, 4);
}

TEST(Formats, Jsonl) {
  const auto result = read(
      "{\"text\": \"a fine film\", \"label\": \"good\"}\n{\"label\": \"bad\", \"text\": "
      "\"\\u5f88\\u5dee的电影\"}\n");
  expect_two_rows(result, DataFormat::kJsonl);
  EXPECT_EQ(result.description, "JSONL, text = \"text\", label = \"label\", 2 rows");
}

TEST(Formats, JsonlKeysAndTypes) {
  ReaderOptions options;
  options.text_column = "review";
  options.label_column = "stars";
  const auto result = read(
      "{\"review\": \"a\", \"stars\": 5, \"spans\": [[1, 2]]}\n"
      "{\"review\": \"b\", \"stars\": true}\n{\"review\": \"c\", \"stars\": [3, 4]}\n",
      options);
  EXPECT_EQ(result.rows[0].label, "5");
  EXPECT_EQ(result.rows[1].label, "true");
  EXPECT_EQ(result.rows[2].label, "3");
  const auto many = read("{\"text\": \"t\", \"labels\": [\"x\", \"y\"]}\n");
  EXPECT_EQ(many.rows[0].label, "x");
  ASSERT_EQ(many.notes.size(), 1u);
  expect_part(many.notes[0], "several labels");
}

TEST(Formats, FastText) {
  const auto result = read("__label__good a fine film\n__label__bad __label__film 很差的电影\n");
  expect_two_rows(result, DataFormat::kFastText);
  ASSERT_EQ(result.notes.size(), 1u);
  expect_part(result.notes[0], "1 row has several labels");
}

TEST(Formats, PlainLines) {
  const auto result = read("a fine film, label\n\n很差的电影\n", unlabelled());
  EXPECT_EQ(result.format, DataFormat::kPlain);
  EXPECT_FALSE(result.has_labels);
  ASSERT_EQ(result.rows.size(), 2u);
  EXPECT_EQ(result.rows[1].line, 3);
  EXPECT_EQ(result.facts.blank_lines, 1);
  expect_part(error_of([] { read("one\ntwo\n"); }), "label");
}

TEST(Formats, CanBeOverridden) {
  ReaderOptions options = unlabelled();
  options.format = DataFormat::kPlain;
  EXPECT_EQ(read("good\ta fine film\n", options).rows[0].text, "good\ta fine film");
  options = {};
  options.format = DataFormat::kTsv;
  options.separator = '|';
  EXPECT_EQ(read("good|a fine film\nbad|so so\n", options).rows[1].text, "so so");
  options = {};
  options.label_column = "1";
  options.text_column = "2";
  EXPECT_EQ(read("a long text to the left\tb\n", options).rows[0].text, "b");
  options.label_column = "7";
  expect_part(error_of([&] { read("a\tb\n", options); }, ExitCode::kUsage), "2 columns");
  options.label_column = "kind";
  expect_part(error_of([&] { read("text\tlabel\na\tb\n", options); }, ExitCode::kUsage),
              "\"text\", \"label\"");
}

TEST(Formats, ExtraTabsBelongToTheText) {
  const auto result = read("a\tone\tmore\nb\ttwo\na\tthree\n");
  EXPECT_EQ(result.rows[0].text, "one\tmore");
  EXPECT_EQ(result.notes.size(), 1u);
}

TEST(Labels, NamesReplaceIds) {
  const File names("negative\r\npositive\r\n\r\n");
  ReaderOptions options;
  options.label_names = names.path();
  const auto result = read("0\tbad film\n1\tgood film\npositive\tfine film\n", options);
  EXPECT_EQ(result.rows[0].label, "negative");
  EXPECT_EQ(result.rows[1].label, "positive");
  EXPECT_EQ(result.rows[2].label, "positive");
  EXPECT_EQ(distinct_labels(result.rows, result.label_names),
            (std::vector<std::string>{"negative", "positive"}));
  const std::string error = error_of([&] { read("0\tbad\n2\tgood film\n", options); });
  expect_part(error, "data.txt:2: the label \"2\"");
  const File twice("a\na\n");
  options.label_names = twice.path();
  expect_part(error_of([&] { read("0\tbad\n", options); }), ":2: the name \"a\" comes twice");
}

TEST(Labels, DistinctOnesAreOrdered) {
  const auto labels = [](const std::string& bytes) { return distinct_labels(read(bytes).rows); };
  EXPECT_EQ(labels("10\ta b c\n9\td e f\n10\tg h i\n"), (std::vector<std::string>{"9", "10"}));
  EXPECT_EQ(labels("b\ta b c\na\td e f\n"), (std::vector<std::string>{"a", "b"}));
}

TEST(Bytes, MarkAndLineEndings) {
  const auto result = read("\xEF\xBB\xBFgood\ta fine film\r\nbad\t很差的电影");
  expect_two_rows(result, DataFormat::kTsv);
  EXPECT_TRUE(result.facts.byte_order_mark);
  EXPECT_EQ(result.facts.crlf_lines, 1);
  EXPECT_EQ(result.facts.lines, 2);
}

TEST(Bytes, Gzip) {
  const std::string bytes = "good\ta fine film\nbad\t很差的电影\n";
  const File packed(gzip(bytes), "name.without.gz.tsv");
  const auto result = read_rows(packed.path());
  expect_two_rows(result, DataFormat::kTsv);
  EXPECT_EQ(result.description, "label<TAB>text, 2 columns, gzip, 2 rows");
  EXPECT_EQ(gunzip(gzip("ab") + gzip("") + gzip("cd"), "x"), "abcd");
  EXPECT_EQ(gunzip(gzip("ab") + std::string(512, '\0'), "x"), "ab");
}

TEST(Bytes, DamagedGzip) {
  std::mt19937 random(1);
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += "good\t" + std::to_string(random()) + "\n";
  const std::string packed = gzip(bytes);
  for (const size_t size : {size_t{2}, size_t{9}, packed.size() / 2, packed.size() - 1})
    expect_part(error_of([&] { gunzip(packed.substr(0, size), "f.gz"); }), "f.gz: truncated");
  std::string damaged = packed;
  for (size_t i = 100; i < 160; ++i) damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
  expect_part(error_of([&] { gunzip(damaged, "f.gz"); }), "f.gz: damaged");
  expect_part(error_of([&] { gunzip(packed + "junk", "f.gz"); }), "after its end");
  expect_part(error_of([&] { gunzip(gzip(std::string(1 << 20, 'a')), "f.gz", 1000); }), "1000");
}

TEST(Bytes, FilesThatCannotBeRead) {
  expect_part(error_of([] { read_rows("/no/such/file.tsv"); }), "/no/such/file.tsv");
  const File file("a\tb\n");
  expect_part(error_of([&] { read_rows(file.folder()); }), file.folder().string());
  for (const char* empty : {"", "\n\n  \n", "\xEF\xBB\xBF", "\xEF\xBB\xBF\r\n"})
    expect_part(error_of([&] { read(empty); }), "empty file");
  expect_part(error_of([] {
                read("label\ttext\n", [] {
                  ReaderOptions o;
                  o.text_column = "text";
                  return o;
                }());
              }),
              "only a header");
  expect_part(error_of([] {
                read(
                    std::string("\xFF\xFE"
                                "a\0\t\0",
                                6));
              }),
              "UTF-16");
}

TEST(BadLines, AreThrownWithPlaceRuleAndFix) {
  EXPECT_EQ(error_of([] { read("a\tone two\nb\tthree four\nfive six\n"); }),
            "data.txt:3: 1 column where the file has 2; add what is missing, or remove the line");
  expect_part(error_of([] { read("a\tone\nb\t \n"); }), "data.txt:2: empty text");
  expect_part(error_of([] { read("a\tone two\n\tthree four\nb\tx\n"); }),
              "data.txt:2: empty label");
  expect_part(error_of([] { read("a\tone\nb\tt\xFFwo\n"); }), "data.txt:2: byte 4 of the line");
  expect_part(error_of([] { read("a\t\xD6\xD0\xB9\xFA\n"); }), "iconv -f GB18030");
  expect_part(error_of([] { read("{\"text\": \"a\", \"label\": 1}\n{\"text\": }\n"); }),
              "data.txt:2: not valid JSON at byte");
  expect_part(error_of([] { read("{\"text\": \"a\", \"label\": 1}\n[1]\n"); }), "jq -c");
  expect_part(error_of([] { read("[\n{\"text\": \"a\"},\n]\n", {}, "x.json"); }), "jq -c");
  expect_part(error_of([] { read("{\"text\": \"a\", \"label\": 1}\n{\"label\": 1}\n"); }),
              "no text under \"text\"");
  expect_part(error_of([] { read("{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n"); }),
              "no label under \"label\"");
  expect_part(error_of([] { read("text,label\na,b\nc,\"d\n", {}, "x.csv"); }),
              "x.csv:3: the quote opened in line 3, column 2, is never closed");
  expect_part(error_of([] { read("text,label\na,b\nc,\"d\"e\n", {}, "x.csv"); }),
              "after a closing quote");
  expect_part(error_of([] { read("text,label\na,b\nc,d,e\n", {}, "x.csv"); }), "3 columns");
}

TEST(BadLines, AreCollected) {
  const auto result = read(
      "a\tone two\nb\nc\tthr\xFF"
      "ee\nd\tfour five\ne\t\n",
      collecting());
  ASSERT_EQ(result.rows.size(), 2u);
  EXPECT_EQ(result.rows[1].line, 4);
  ASSERT_EQ(result.problems.size(), 3u);
  EXPECT_EQ(result.problems[0].line, 2);
  EXPECT_EQ(result.problems[2].line, 5);
  EXPECT_EQ(describe("x.tsv", {3, "rule", "fix"}), "x.tsv:3: rule; fix");
}

TEST(Hostile, JsonBombs) {
  for (const std::string& bomb :
       {std::string(1'000'000, '['), "{\"text\":" + std::string(500'000, '['), [] {
          std::string nested;
          for (int i = 0; i < 200'000; ++i) nested += "{\"text\":";
          return nested;
        }()})
    expect_part(error_of([&] { read(bomb, {}, "x.jsonl"); }), "x.jsonl:1: JSON nested");
  expect_part(error_of([] { read("{\"text\": 1e999999, \"label\": 1}", {}, "x.jsonl"); }),
              "x.jsonl:1");
}

TEST(Hostile, LongLineAndNul) {
  const std::string text(1'000'000, 'x');
  EXPECT_EQ(read("a\t" + text + "\nb\ty z\n").rows[0].text.size(), text.size());
  const std::string nul("b\ta\0b c\n", 8);
  EXPECT_EQ(read("a\tlong enough text\n" + nul).rows[1].text, std::string("a\0b c", 5));
}

TEST(Hostile, RandomBytesNeverCrash) {
  std::mt19937 random(3);
  const std::string alphabet("ab\t\n\r,;\"{}[]:_\\ \0\xFF\xE4\xB8\xAD", 21);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 60, ' ');
    for (char& c : bytes) c = alphabet[random() % alphabet.size()];
    ReaderOptions options = i % 2 ? collecting() : unlabelled();
    options.format = static_cast<DataFormat>(random() % 6);
    try {
      const auto result = read(bytes, options);
      EXPECT_FALSE(result.rows.empty());
      for (const Row& row : result.rows) EXPECT_FALSE(row.text.empty());
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace attend
