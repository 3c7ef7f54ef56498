// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "attend/base/error.h"
#include "attend/report/text.h"
#include "examples.h"

namespace attend {
namespace {

using testing::explanation_of;
using testing::hostile;
using testing::map_of;
using testing::realistic;

constexpr TerminalStyle kPlain{.color = false, .width = 80, .unicode = true};
constexpr TerminalStyle kAscii{.color = false, .width = 80, .unicode = false};
constexpr TerminalStyle kColor{.color = true, .width = 80, .unicode = true};

std::string without_colors(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = text.find('m', i);
    } else {
      out += text[i];
    }
  }
  return out;
}

void expect_fits(const std::string& text, int width) {
  std::istringstream lines(without_colors(text));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), width) << line;
}

TEST(Prediction, BarsAndWhatIsLeftOut) {
  Explanation e = explanation_of({"a"});
  e.target = "编程";
  e.outputs = {{"编程", 0.75, 2}, {"x", 0.2, 1}, {"y", 0.05, 0}};
  const TerminalStyle narrow{.width = 20 + 15};
  EXPECT_EQ(terminal_prediction(e, narrow, 2),
            "prediction\n"
            "> 编程  0.750  ███████████████\n"
            "  x     0.200  ████\n"
            "  1 more, together 0.050\n");
  EXPECT_EQ(terminal_prediction(e, {.width = 35, .unicode = false}, 1),
            "prediction\n> 编程  0.750  ###############\n  2 more, together 0.250\n");
}

TEST(Highlight, PlainKeepsTheTextBetweenUnits) {
  Explanation e = explanation_of({"I", " ", "love", " 编", "程"});
  e.units = {{"I", {0, 1}}, {"love", {2, 6}}, {"编程", {7, 13}}};
  e.attributions = {{"attention", false, "share", {0.1, 0.59, 0.31}, 0},
                    {"occlusion", true, "drop", {-0.002, 0.05, 0}, 0}};
  EXPECT_EQ(terminal_highlight(e, kPlain),
            "attention: where information was mixed | attribution: what changed the output\n"
            "attention  I[0.10] love[0.59] 编程[0.31]\n"
            "occlusion  I[-0.002] love[+0.050] 编程[0.000]\n"
            "scale\n"
            "attention  0.00 to 0.59  share\n"
            "occlusion  -0.050 to +0.050  drop; + speaks for A, - against it\n");
}

TEST(Highlight, MeasuresOfMixingAreNoAttribution) {
  Explanation e = explanation_of({"a"});
  for (const char* method : {"attention", "rollout", "norm-based", "value-zeroing"}) {
    e.attributions = {{method, false, "", {1}, 0}};
    EXPECT_TRUE(terminal_highlight(e, kPlain).starts_with("attention: where")) << method;
  }
  // These ask what the output depends on, by way of attention.
  for (const char* method : {"grad-attention", "integrated-attention", "gradient"}) {
    e.attributions = {{method, false, "", {1}, 0}};
    EXPECT_TRUE(terminal_highlight(e, kPlain).starts_with("attribution: what")) << method;
  }
  e.attributions = {{"attention-x-gradient", true, "", {1}, 0}};
  EXPECT_TRUE(terminal_highlight(e, kPlain).starts_with("attribution: what"));
}

TEST(Highlight, ColourIsExact) {
  Explanation e = explanation_of({"a", "b"});
  e.attributions = {{"occlusion", true, "", {1, -0.5}, 0}};
  const std::string text = terminal_highlight(e, kColor);
  EXPECT_NE(text.find("occlusion  \x1b[48;5;25;38;5;231ma\x1b[0m\x1b[48;5;215;38;5;234mb\x1b[0m\n"),
            std::string::npos)
      << text;
  const std::string exact = terminal_highlight(e, {.color = true, .truecolor = true});
  EXPECT_NE(exact.find("\x1b[48;2;0;98;158;38;2;255;255;255ma\x1b[0m"), std::string::npos) << exact;
  EXPECT_NE(text.find("blue speaks for A, orange against it"), std::string::npos);
}

TEST(Highlight, WrapsInsideTheWidth) {
  for (const int width : {20, 33, 80}) {
    for (const bool color : {false, true}) {
      const TerminalStyle style{.color = color, .width = width};
      expect_fits(terminal_highlight(realistic(false), style), width + (color ? 0 : 4));
    }
  }
}

TEST(Highlight, UnitsWithoutAPlaceShowTheirOwnText) {
  Explanation e = explanation_of({"a", "b"});
  e.units = {{"[CLS]", {0, 0}}, {"a", {0, 1}}, {"##b", {1, 2}}};
  e.attributions = {{"attention", false, "", {0.5, 0.25, 0.25}, 0}};
  EXPECT_NE(terminal_highlight(e, kPlain).find("attention  [CLS][0.50]a[0.25]b[0.25]\n"),
            std::string::npos);
}

TEST(Matrix, PlainNumbersAndShades) {
  Explanation e = explanation_of({"编", "b"});
  e.attention = {{0, 1, "", 2, 2, {1.0F, 0.0F, 0.25F, 0.75F}}};
  EXPECT_EQ(terminal_matrix(e, 0, kPlain),
            "attention weights in percent, layer 0, head 1: rows = queries, columns = keys,\n"
            "each row sums to 100\n"
            "     编   b\n"
            "编 █100   0\n"
            "b  ░ 25▓ 75\n"
            "scale 0  ░░▒▒▓▓██ 1.00   weights from 0.00 to 1.00\n");
  EXPECT_NE(terminal_matrix(e, 0, kAscii).find("b  . 25+ 75\n"), std::string::npos);
}

TEST(Matrix, ColourCellsAlignUnderWideLabels) {
  const std::string text = without_colors(terminal_matrix(realistic(false), 4, kColor));
  EXPECT_NE(text.find("     我  是  一  个"), std::string::npos) << text;
  EXPECT_NE(text.find("我   21  23  21  17"), std::string::npos) << text;
}

TEST(Matrix, LongLabelsRunDownwards) {
  Explanation e = explanation_of({"热爱", "编程"});
  e.attention = {map_of(2, 0, 0, 1)};
  const std::string text = terminal_matrix(e, 0, kPlain);
  EXPECT_NE(text.find("       热  编\n       爱  程\n"), std::string::npos) << text;
}

TEST(Matrix, EveryWidthFitsAndNothingIsLeftOutSilently) {
  for (const int64_t n : {1, 5, 18, 25, 35, 60, 300}) {
    std::vector<std::string> texts(n, "词");
    Explanation e = explanation_of(texts);
    e.attention = {map_of(n, 0, 0, 1)};
    for (const TerminalStyle& style : {kPlain, kAscii, kColor}) {
      const std::string text = terminal_matrix(e, 0, style);
      expect_fits(text, style.width);
      const bool dense = n * 2 > 77;
      EXPECT_EQ(text.find("left out") != std::string::npos, dense) << n;
      EXPECT_EQ(text.find("pooled to") != std::string::npos, n == 300) << n;
    }
  }
}

TEST(Matrix, HalfBlocksPutTwoQueriesOnALine) {
  std::vector<std::string> texts(50, "a");
  Explanation e = explanation_of(texts);
  e.attention = {map_of(50, 0, 0, 1)};
  const std::string text = without_colors(terminal_matrix(e, 0, kColor));
  std::size_t lines = 0;
  for (std::size_t at = text.find("a ▀"); at != std::string::npos; at = text.find("a ▀", at + 1))
    ++lines;
  EXPECT_EQ(lines, 25U);
}

TEST(Matrix, PoolingMapHasOneRow) {
  Explanation e = explanation_of({"a", "b", "c"});
  e.attention = {{0, 0, "pooling", 1, 3, {0.2F, 0.3F, 0.5F}}};
  EXPECT_NE(terminal_matrix(e, 0, kPlain).find("pooling ▒ 20▒ 30█ 50\n"), std::string::npos);
}

TEST(Matrix, UnknownMapIsAUsageError) {
  try {
    terminal_matrix(realistic(false), 9, kPlain);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_STREQ(error.what(), "attention map 9 does not exist; choose one from 0 to 4");
  }
}

TEST(Evidence, BracketsOrUnderline) {
  const Explanation e = realistic(false);
  EXPECT_EQ(terminal_evidence(e, kPlain), "evidence for 编程\n  我是一个⟦热爱编程⟧的人\n");
  EXPECT_EQ(terminal_evidence(e, kAscii), "evidence for 编程\n  我是一个[[热爱编程]]的人\n");
  EXPECT_EQ(terminal_evidence(e, kColor),
            "evidence for 编程\n  我是一个\x1b[1;4m热爱编程\x1b[0m的人\n");
  EXPECT_EQ(terminal_evidence(explanation_of({"a"}), kPlain), "");
}

TEST(Report, HostileTextBringsNoControlCharacter) {
  for (const TerminalStyle& style : {kPlain, kAscii}) {
    for (const char c : terminal_report(hostile(), style)) {
      EXPECT_FALSE((c >= 0 && c < 0x20 && c != '\n') || c == 0x7F);
    }
  }
  const std::string text = terminal_report(hostile(), kColor);
  EXPECT_EQ(text.find("\x1b[31m"), std::string::npos);
  EXPECT_EQ(text.find("\xE2\x80\xAE"), std::string::npos);
}

TEST(Report, EndsWithTheCommandAndShowsNotices) {
  Explanation e = realistic(true);
  e.notices = {"the input was cut after 512 units"};
  const std::string text = terminal_report(e, kPlain);
  EXPECT_NE(text.find("note: the input was cut after 512 units\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("made by: " + e.command + "\n"));
}

TEST(Report, EmptyExplanationIsHarmless) {
  EXPECT_EQ(terminal_report(Explanation{}, kPlain), "prediction\n");
}

TEST(DetectTerminal, FollowsTheEnvironment) {
  const int fd = ::open("/dev/null", O_WRONLY);
  ::setenv("COLUMNS", "123", 1);
  ::setenv("LC_ALL", "zh_CN.UTF-8", 1);
  TerminalStyle style = detect_terminal(fd);
  EXPECT_FALSE(style.color) << "not a terminal";
  EXPECT_EQ(style.width, 123);
  EXPECT_TRUE(style.unicode);
  ::setenv("COLUMNS", "3", 1);
  ::setenv("LC_ALL", "C", 1);
  style = detect_terminal(fd);
  EXPECT_EQ(style.width, 20);
  EXPECT_FALSE(style.unicode);
  ::setenv("COLUMNS", "nonsense", 1);
  EXPECT_EQ(detect_terminal(fd).width, 80);
  ::close(fd);

  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) GTEST_SKIP() << "no pseudo-terminal here";
  ::setenv("TERM", "xterm-256color", 1);
  ::unsetenv("NO_COLOR");
  EXPECT_TRUE(detect_terminal(terminal).color);
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(detect_terminal(terminal).color);
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(detect_terminal(terminal).color);
  ::close(terminal);
}

}  // namespace
}  // namespace attend
