// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
// Writes example pages with their JSON, for the browser tests and for a person to look at:
// report_pages FOLDER.
#include <cstdio>
#include <filesystem>
#include <string>

#include "attend/base/file.h"
#include "attend/report/html.h"
#include "attend/report/json.h"
#include "rich_examples.h"

namespace {

// 1,024 units with a map per head: what a page must still open fast.
attend::Explanation large() {
  std::vector<std::string> texts;
  for (int i = 0; i < 1024; ++i) texts.push_back("w" + std::to_string(i) + " ");
  attend::Explanation e = attend::testing::explanation_of(texts);
  for (const char* method : {"attention", "occlusion", "gradient-x-input", "random"}) {
    attend::Attribution row{method, method[0] == 'o', "", {}, 0.1};
    for (int i = 0; i < 1024; ++i) row.scores.push_back(std::abs(std::sin(0.1 * i)));
    e.attributions.push_back(row);
  }
  attend::testing::add_heads(e, 1, 2);
  return e;
}

attend::DatasetReport dataset() {
  attend::DatasetReportBuilder builder;
  for (int i = 0; i < 120; ++i) {
    attend::Explanation e = attend::testing::realistic(i % 2 == 0);
    const bool other = i % 5 == 0;
    e.outputs[0].probability = 0.4 + 0.005 * i;
    e.outputs[1].probability = 0.6 - 0.005 * i;
    if (other) std::swap(e.outputs[0].label, e.outputs[1].label);
    e.target = e.outputs[0].label;
    builder.add(e, std::to_string(i + 1), i % 3 == 0 ? "阅读" : "编程");
  }
  attend::DatasetReport report = builder.finish();
  report.data = "heldout.tsv";
  report.command = "attend explain runs/hobby heldout.tsv --limit 120 --out dataset.html";
  return report;
}

attend::Comparison comparison() {
  attend::Explanation second = attend::testing::realistic(true);
  second.model = "runs/other";
  second.outputs[0].probability = 0.7;
  second.outputs[1].probability = 0.285;
  for (auto& method : second.attributions) {
    for (double& score : method.scores) score *= 0.6;
  }
  for (std::size_t i = 0; i < 4; ++i) {
    second.attention[i] = attend::testing::map_of(7, 0, static_cast<int64_t>(i), 2);
    second.attention[i].label = attend::testing::realistic(true).attention[i].label;
  }
  return attend::compare(attend::testing::realistic(true), second);
}

attend::Comparison two_inputs() {
  attend::Explanation second =
      attend::testing::explanation_of({"我", "是", "一个", "很", "热爱", "阅读", "的", "人"});
  second.model = "runs/hobby";
  second.attributions = {
      {"occlusion", true, "log-odds", {-0.05, 0.02, -0.11, 0.1, 1.5, 3.1, 0.07, -0.6}, 0.004}};
  return attend::compare(attend::testing::realistic(true), second);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: report_pages FOLDER\n", stderr);
    return 1;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& name, const auto& shown) {
    attend::write_file_atomically(folder / (name + ".html"), attend::to_html(shown));
  };
  const auto write_both = [&](const std::string& name, const auto& shown) {
    write(name, shown);
    attend::write_file_atomically(folder / (name + ".json"), attend::to_json(shown));
  };
  write_both("rich", attend::testing::rich());
  write_both("translation", attend::testing::translation());
  write_both("picture", attend::testing::picture());
  write_both("long", attend::testing::long_input(4096));
  write_both("large", large());
  write_both("hostile", attend::testing::hostile());
  write_both("bare", attend::testing::explanation_of({"a"}));
  write_both("dataset", dataset());
  write("comparison", comparison());
  write("two_inputs", two_inputs());
}
