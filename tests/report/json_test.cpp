// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/json.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/report/render.h"
#include "base64.h"
#include "rich_examples.h"

namespace attend {
namespace {

using testing::explanation_of;
using testing::hostile;
using testing::map_of;
using testing::realistic;

Explanation small() {
  Explanation e = explanation_of({"编", "b"});
  e.evidence = Span{0, 3};
  e.attributions = {{"occlusion", true, "drop", {0.5, -0.25}, 0.125}};
  e.attention = {{0, 1, "h", 2, 2, {1.0F, 0.0F, 0.25F, 0.75F}}};
  e.notices = {"cut"};
  return e;
}

void expect_equal(const Explanation& a, const Explanation& b) {
  EXPECT_EQ(to_json(a), to_json(b));
  EXPECT_EQ(a.input, b.input);
  EXPECT_EQ(a.evidence, b.evidence);
  ASSERT_EQ(a.attributions.size(), b.attributions.size());
  for (std::size_t i = 0; i < a.attributions.size(); ++i) {
    EXPECT_EQ(a.attributions[i].scores, b.attributions[i].scores);
    EXPECT_EQ(a.attributions[i].seconds, b.attributions[i].seconds);
  }
  ASSERT_EQ(a.attention.size(), b.attention.size());
  for (std::size_t i = 0; i < a.attention.size(); ++i) {
    EXPECT_EQ(a.attention[i].weights, b.attention[i].weights);
  }
}

TEST(Json, ExactText) {
  EXPECT_EQ(to_json(small()), R"({
  "format": "attend-explanation",
  "version": 2,
  "task": "text-class",
  "model": "runs/demo",
  "command": "attend explain runs/demo TEXT",
  "input": "编b",
  "unit_kind": "character",
  "units": [
    {"text": "编", "span": [0, 3]},
    {"text": "b", "span": [3, 4]}
  ],
  "outputs": [
    {"label": "A", "probability": 0.75, "logit": 1.5},
    {"label": "B", "probability": 0.25, "logit": 0.5}
  ],
  "target": "A",
  "evidence": [0, 3],
  "attributions": [
    {"method": "occlusion", "is_signed": true, "meaning": "drop", "seconds": 0.125,
     "scores": [0.5, -0.25]}
  ],
  "attention": [
    {"layer": 0, "head": 1, "label": "h", "rows": 2, "columns": 2,
     "weights": [[1, 0],
                 [0.25, 0.75]]}
  ],
  "notices": [
    "cut"
  ]
}
)");
}

TEST(Json, RoundTripIsExact) {
  for (const Explanation& e : {small(), realistic(true), realistic(false), Explanation{}}) {
    expect_equal(explanation_from_json(to_json(e), "x.json"), e);
  }
}

TEST(Json, EverythingRoundTrips) {
  for (const Explanation& e : {testing::rich(), testing::translation(), testing::picture(),
                               testing::long_input(300), testing::long_input(1)}) {
    const Explanation back = explanation_from_json(to_json(e), "x.json");
    expect_equal(back, e);
    EXPECT_EQ(back.best_method, e.best_method);
    EXPECT_EQ(back.verdict, e.verdict);
    EXPECT_EQ(back.output, e.output);
    EXPECT_EQ(back.target_position, e.target_position);
    EXPECT_EQ(back.alignments.size(), e.alignments.size());
    EXPECT_EQ(back.heads.size(), e.heads.size());
    EXPECT_EQ(back.layers.size(), e.layers.size());
    EXPECT_EQ(back.tiles.size(), e.tiles.size());
    EXPECT_EQ(back.effects.size(), e.effects.size());
    ASSERT_EQ(back.surface.has_value(), e.surface.has_value());
    if (e.surface) {
      EXPECT_EQ(back.surface->pixels, e.surface->pixels);
    }
    ASSERT_EQ(back.test.has_value(), e.test.has_value());
    if (e.test) {
      EXPECT_EQ(back.test->random_deletion_high, e.test->random_deletion_high);
    }
  }
}

TEST(Json, FilesOfVersion1AreRead) {
  std::string text = to_json(small());
  text.replace(text.find("\"version\": 2"), 12, "\"version\": 1");
  expect_equal(explanation_from_json(text, "x.json"), small());
}

TEST(Json, Base64RefusesWhatItDoesNotWrite) {
  for (const std::string text : {"A", "AAA", "A===", "====", "AA=A", "AA==AAAA", "AA\nA", "AA-_"}) {
    EXPECT_FALSE(report::from_base64(text)) << text;
  }
  std::mt19937 random(3);
  for (std::size_t size = 0; size < 20; ++size) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    EXPECT_EQ(report::from_base64(report::to_base64(bytes)), bytes);
  }
}

// A change to an explanation with everything and what must be said about it.
struct BrokenField {
  const char* name;
  void (*change)(Explanation&);
  std::string message;
};

class BrokenExplanation : public ::testing::TestWithParam<BrokenField> {};

TEST_P(BrokenExplanation, IsRefusedWithThePath) {
  Explanation e = testing::rich();
  const Explanation other = testing::translation(), image = testing::picture();
  const Explanation many = testing::long_input(7);
  e.output = other.output;
  e.output_units = other.output_units;
  e.alignments = {{"m", false, "", std::vector<double>(4 * 7, 0.5)}};
  e.layers = many.layers;
  e.tiles = many.tiles;
  e.surface = image.surface;
  e.surface->boxes.resize(7);
  check_explanation(e);
  GetParam().change(e);
  try {
    check_explanation(e, "x.json");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, GetParam().message.size()), GetParam().message);
  }
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

INSTANTIATE_TEST_SUITE_P(
    Json, BrokenExplanation,
    ::testing::Values(
        BrokenField{"Role", [](Explanation& e) { e.attention[0].role = "x\n"; },
                    "x.json: $.attention[0].role: \"x\\n\": give self, decoder, cross or pooling"},
        BrokenField{"CrossRows", [](Explanation& e) { e.attention[0].role = "cross"; },
                    "x.json: $.attention[0].rows: 7 rows for 4 output units; give one per unit"},
        BrokenField{"DecoderColumns", [](Explanation& e) { e.attention[0].role = "decoder"; },
                    "x.json: $.attention[0].columns: 7 columns for 4 output units"},
        BrokenField{"OutputSpan", [](Explanation& e) { e.output_units[0].span.end = 99; },
                    "x.json: $.output_units[0].span: ends at 99, past the output's 10 bytes"},
        BrokenField{"TargetPosition", [](Explanation& e) { e.target_position = 5; },
                    "x.json: $.target_position: 5 is not one of the 4 output units, nor the one "
                    "behind them"},
        BrokenField{"StepOrder", [](Explanation& e) { e.test->steps[2] = 1; },
                    "x.json: $.test.steps[2]: 1 does not ascend"},
        BrokenField{"FirstStep", [](Explanation& e) { e.test->steps[0] = 1; },
                    "x.json: $.test.steps[0]: 1: the first step removes 0"},
        BrokenField{"LastStep", [](Explanation& e) { e.test->steps[7] = 8; },
                    "x.json: $.test.steps[7]: removes 8 of 7 units"},
        BrokenField{"Band", [](Explanation& e) { e.test->random_insertion_low.pop_back(); },
                    "x.json: $.test.random_insertion_low: 7 numbers for 8 steps"},
        BrokenField{"BandRange", [](Explanation& e) { e.test->random_deletion_low[1] = 1.5; },
                    "x.json: $.test.random_deletion_low[1]: 1.5 is not between 0 and 1"},
        BrokenField{"NoTest", [](Explanation& e) { e.test.reset(); },
                    "x.json: $.attributions[0].faithfulness.deletion_curve: 8 numbers for 0 steps"},
        BrokenField{
            "Curve",
            [](Explanation& e) { e.attributions[1].faithfulness->insertion_curve[3] = kNan; },
            "x.json: $.attributions[1].faithfulness.insertion_curve[3]: nan is not"},
        BrokenField{"Area", [](Explanation& e) { e.attributions[1].faithfulness->deletion = kNan; },
                    "x.json: $.attributions[1].faithfulness.deletion: nan is not"},
        BrokenField{"AlignmentSize", [](Explanation& e) { e.alignments[0].scores.pop_back(); },
                    "x.json: $.alignments[0].scores: 27 scores for 4 output units and 7 units"},
        BrokenField{"HeadNumber", [](Explanation& e) { e.heads[1].head = -1; },
                    "x.json: $.heads[1].head: -1 is negative"},
        BrokenField{"HeadEntropy", [](Explanation& e) { e.heads[1].entropy = 1.2; },
                    "x.json: $.heads[1].entropy: 1.2 is not between 0 and 1"},
        BrokenField{"Importance", [](Explanation& e) { e.heads[1].importance = kNan; },
                    "x.json: $.heads[1].importance: nan is not"},
        BrokenField{"LayerSize", [](Explanation& e) { e.layers[1].received.push_back(0); },
                    "x.json: $.layers[1].received: 8 numbers for 7 units"},
        BrokenField{"Received", [](Explanation& e) { e.layers[1].received[0] = -1; },
                    "x.json: $.layers[1].received[0]: -1 is negative"},
        BrokenField{"Link", [](Explanation& e) { e.layers[0].links[0].key = 7; },
                    "x.json: $.layers[0].links[0]: links unit 0 to 7, but units are 0 to 6"},
        BrokenField{"LinkWeight", [](Explanation& e) { e.layers[0].links[0].weight = 2; },
                    "x.json: $.layers[0].links[0][2]: 2 is not between 0 and 1"},
        BrokenField{"Pooled", [](Explanation& e) { e.layers[0].pooled_rows = kHuge; },
                    "x.json: $.layers[0].pooled: 49 weights for 9223372036854775807 x 7"},
        BrokenField{"TileRange", [](Explanation& e) { e.tiles[0].first_row = 1; },
                    "x.json: $.tiles[0].rows: units 1 to 7 of 7"},
        BrokenField{"TileHuge", [](Explanation& e) { e.tiles[0].columns = kHuge; },
                    "x.json: $.tiles[0].columns: units 0 to 7 of 7"},
        BrokenField{"TileWeight", [](Explanation& e) { e.tiles[0].weights[0] = 3; },
                    "x.json: $.tiles[0].weights: 3 is not between 0 and 1"},
        BrokenField{"SurfaceSide", [](Explanation& e) { e.surface->width = kHuge; },
                    "x.json: $.surface.width: 9223372036854775807 is not between"},
        BrokenField{"Channels", [](Explanation& e) { e.surface->channels = 4; },
                    "x.json: $.surface.channels: 4: give 1 (grey) or 3 (RGB)"},
        BrokenField{"Pixels", [](Explanation& e) { e.surface->pixels.pop_back(); },
                    "x.json: $.surface.pixels: 18431 bytes for 96 x 64 x 3"},
        BrokenField{"Boxes", [](Explanation& e) { e.surface->boxes.pop_back(); },
                    "x.json: $.surface.boxes: 6 numbers for 7 units"},
        BrokenField{"BoxInside", [](Explanation& e) { e.surface->boxes[1].width = kHuge; },
                    "x.json: $.surface.boxes[1]: is not inside the surface"},
        BrokenField{"EffectShare", [](Explanation& e) { e.effects[0].after[1].probability = -1; },
                    "x.json: $.effects[0].after[1].probability: -1 is not between 0 and 1"},
        BrokenField{"EffectChange", [](Explanation& e) { e.effects[0].change = kNan; },
                    "x.json: $.effects[0].change: nan is not"}),
    [](const ::testing::TestParamInfo<BrokenField>& test) { return std::string(test.param.name); });

TEST(Json, RoundTripKeepsEveryBitOfRandomNumbers) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> real(-1e3, 1e3);
  std::uniform_real_distribution<float> weight(0, 1);
  std::vector<std::string> texts(64, "a");
  Explanation e = explanation_of(texts);
  e.attributions = {{"m", true, "", {}, 0}};
  for (int i = 0; i < 64; ++i)
    e.attributions[0].scores.push_back(real(random) * std::pow(10, i - 32));
  e.attributions[0].scores[0] = -0.0;
  e.attributions[0].scores[1] = std::numeric_limits<double>::denorm_min();
  e.attributions[0].scores[2] = std::numeric_limits<double>::max();
  e.attention = {{0, 0, "", 64, 64, {}}};
  for (int i = 0; i < 64 * 64; ++i)
    e.attention[0].weights.push_back(weight(random) * weight(random));
  const Explanation back = explanation_from_json(to_json(e), "x.json");
  expect_equal(back, e);
  EXPECT_TRUE(std::signbit(back.attributions[0].scores[0]));
}

TEST(Json, HostileTextRoundTrips) {
  const Explanation back = explanation_from_json(to_json(hostile()), "x.json");
  EXPECT_EQ(back.input, hostile().input);
  EXPECT_EQ(back.notices, hostile().notices);
}

TEST(Json, UnknownFieldsAreIgnored) {
  std::string text = to_json(small());
  text.replace(text.find("\"task\""), 6, "\"later\": {\"x\": [1]}, \"task\"");
  expect_equal(explanation_from_json(text, "x.json"), small());
}

// A change to to_json(small()) and what must be said about it.
struct Broken {
  const char* name;
  std::string from;
  std::string to;
  std::string message;
};

class BrokenJson : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenJson, IsRefusedInOneLineWithThePath) {
  std::string text = to_json(small());
  const std::size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, GetParam().from.size(), GetParam().to);
  try {
    explanation_from_json(text, "x.json");
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_EQ(message.substr(0, GetParam().message.size()), GetParam().message);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Json, BrokenJson,
    ::testing::Values(
        Broken{"Syntax", "\"version\": 2,", "\"version\": ,",
               "x.json: not JSON: parse error at line 3"},
        Broken{"Truncated", "\"notices\": [\n    \"cut\"\n  ]\n}", "\"notices\": [",
               "x.json: not JSON: "},
        Broken{"NotUtf8", "\"cut\"", "\"\xFF\"", "x.json: not JSON: "},
        Broken{"NumberTooLarge", "-0.25", "-1e999", "x.json: not JSON: number overflow"},
        Broken{"NotANumber", "-0.25", "NaN", "x.json: not JSON: "},
        Broken{"Format", "attend-explanation", "other",
               "x.json: $.format: expected \"attend-explanation\""},
        Broken{"Version", "\"version\": 2", "\"version\": 3",
               "x.json: $.version: version 3 is not known; this program reads versions 1 to 2"},
        Broken{"Missing", "\"target\": \"A\",", "", "x.json: $: \"target\" is missing"},
        Broken{"WrongType", "\"target\": \"A\"", "\"target\": 3",
               "x.json: $.target: expected a string, found number"},
        Broken{"UnitsNotAList", "\"notices\": [\n    \"cut\"\n  ]", "\"notices\": {}",
               "x.json: $.notices: expected a list, found object"},
        Broken{"SpanLength", "[3, 4]", "[3, 4, 5]",
               "x.json: $.units[1].span: expected [begin, end], found 3"},
        Broken{"SpanFraction", "[3, 4]", "[3, 3.5]",
               "x.json: $.units[1].span[1]: expected an integer, found number"},
        Broken{"SpanHuge", "[3, 4]", "[3, 18446744073709551615]",
               "x.json: $.units[1].span[1]: expected an integer"},
        Broken{"SpanPastEnd", "[3, 4]", "[3, 99]",
               "x.json: $.units[1].span: ends at 99, past the input's 4 bytes"},
        Broken{"SpanNegative", "[3, 4]", "[-1, 4]", "x.json: $.units[1].span: begins at -1"},
        Broken{"SpanReversed", "[3, 4]", "[4, 3]",
               "x.json: $.units[1].span: ends at 3, before it begins at 4"},
        Broken{"SpanInsideCharacter", "\"span\": [0, 3]", "\"span\": [0, 2]",
               "x.json: $.units[0].span: byte 2 is inside a UTF-8 character"},
        Broken{"EvidenceInsideCharacter", "\"evidence\": [0, 3]", "\"evidence\": [1, 3]",
               "x.json: $.evidence: byte 1"},
        Broken{"ProbabilityRange", "\"probability\": 0.75", "\"probability\": 1.75",
               "x.json: $.outputs[0].probability: 1.75 is not between 0 and 1"},
        Broken{"ScoreCount", "[0.5, -0.25]", "[0.5]",
               "x.json: $.attributions[0].scores: 1 scores for 2 units"},
        Broken{"ScoreType", "[0.5, -0.25]", "[0.5, null]",
               "x.json: $.attributions[0].scores[1]: expected a number, found null"},
        Broken{"SignedType", "\"is_signed\": true", "\"is_signed\": 1",
               "x.json: $.attributions[0].is_signed: expected true or false"},
        Broken{"NegativeSeconds", "\"seconds\": 0.125", "\"seconds\": -1",
               "x.json: $.attributions[0].seconds: is negative"},
        Broken{"RowCount", "\"rows\": 2", "\"rows\": 3",
               "x.json: $.attention[0].weights: 2 rows, but \"rows\" says 3"},
        Broken{"RowLength", "[[1, 0]", "[[1]",
               "x.json: $.attention[0].weights[0]: 1 weights, but \"columns\" says 2"},
        Broken{"WeightRange", "0.75]]", "-0.5]]",
               "x.json: $.attention[0].weights[1][1]: -0.5 is not between 0 and 1"},
        Broken{"WeightHuge", "0.75]]", "1e300]]",
               "x.json: $.attention[0].weights[1][1]: 1e+300 is not between"},
        Broken{"Depth", "\"version\"", "\"x\": " + std::string(100'000, '[') + ", \"version\"",
               "x.json: nested deeper than 16 levels at byte"}),
    [](const ::testing::TestParamInfo<Broken>& test) { return std::string(test.param.name); });

TEST(Json, OtherDocumentsAreRefused) {
  for (const std::string text : {"", "null", "[]", "3", "\"x\"", "{}", "\xEF\xBB\xBF{"}) {
    EXPECT_THROW(explanation_from_json(text, "x.json"), Error) << text;
  }
}

TEST(Json, BrokenExplanationsAreNotWritten) {
  Explanation e = small();
  e.attributions[0].scores[1] = std::numeric_limits<double>::quiet_NaN();
  try {
    to_json(e);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "explanation: $.attributions[0].scores[1]: nan is not a finite number");
  }
  e = small();
  e.attention[0].columns = 3;
  EXPECT_THROW(to_json(e), Error);
  e = small();
  e.attention[0].rows = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(to_json(e), Error);
}

TEST(Json, TheDocumentedExampleIsWhatWeWrite) {
  const std::string page = read_file(ATTEND_SOURCE_DIR "/docs/explanation-format.md");
  const std::string open = "```json\n";
  const std::size_t begin = page.find(open) + open.size();
  const std::string example = page.substr(begin, page.find("```", begin) - begin);
  EXPECT_EQ(to_json(explanation_from_json(example, "example")), example);
}

TEST(Tsv, UnitTable) {
  Explanation e = small();
  e.units[1].text = "b\tc\n";
  e.attributions.push_back({"attention", false, "", {0.125, 1e-9}, 0});
  EXPECT_EQ(to_tsv(e),
            "index\tbegin\tend\ttext\tocclusion\tattention\n"
            "0\t0\t3\t编\t0.5\t0.125\n"
            "1\t3\t4\tb\\tc\\n\t-0.25\t1e-09\n");
}

TEST(Tsv, Matrix) {
  const Explanation e = small();
  EXPECT_EQ(matrix_to_tsv(e.attention[0], e.units), "query\t编\tb\n编\t1\t0\nb\t0.25\t0.75\n");
  const AttentionMap pooling{0, 0, "pool\ting", 1, 2, {0.5F, 0.5F}};
  EXPECT_EQ(matrix_to_tsv(pooling, e.units), "query\t编\tb\npool\\ting\t0.5\t0.5\n");
}

TEST(Tsv, HostileTextKeepsTheShapeOfTheTable) {
  const std::string text = to_tsv(hostile());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\t'), 3 * 4);
}

}  // namespace
}  // namespace attend
