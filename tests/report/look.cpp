// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Renders realistic examples to look at: report_look FOLDER [units of a long input].
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "attend/report/render.h"
#include "attend/report/terminal.h"
#include "examples.h"

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "/tmp/report-look";
  std::filesystem::create_directories(folder);
  const auto write_all = [&](const attend::Explanation& e, const std::string& name) {
    for (const char* form : {".html", ".svg", ".json", ".tsv"})
      attend::render(e, folder / (name + form));
    attend::render(e, folder / (name + "-matrix.svg"), {.view = attend::ReportView::kMatrix});
    attend::render(e, folder / (name + "-highlight.svg"), {.view = attend::ReportView::kHighlight});
    std::puts(attend::terminal_report(e, attend::detect_terminal(1)).c_str());
    std::puts(attend::terminal_report(e, {.color = true, .width = 100, .truecolor = true}).c_str());
  };
  write_all(attend::testing::realistic(false), "characters");
  write_all(attend::testing::realistic(true), "words");
  write_all(attend::testing::hostile(), "hostile");
  std::vector<std::string> words;
  const int count = argc > 2 ? std::atoi(argv[2]) : 60;
  for (int i = 0; i < count; ++i) {
    std::string word = std::to_string(i);
    word.push_back(' ');
    words.push_back(i % 3 == 0 ? std::string("explanation").append(word) : word);
  }
  attend::Explanation e = attend::testing::explanation_of(words);
  attend::Attribution scores{"occlusion", true, "log-odds with the unit minus without it", {}, 0};
  for (int i = 0; i < count; ++i) scores.scores.push_back(std::sin(i * 0.7) * i);
  e.attributions = {scores};
  for (int head = 0; head < 12; ++head)
    e.attention.push_back(attend::testing::map_of(count, 0, head, 1 + head % 3));
  e.notices = {"the input was cut after 512 units"};
  write_all(e, "long");
}
