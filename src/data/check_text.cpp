// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A DataReport for people and for programs.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attend/base/text.h"
#include "attend/data/check.h"
#include "attend/data/unicode.h"

namespace attend {
namespace {

constexpr size_t kClassesShown = 30;

// "12,345"
std::string grouped(int64_t value) {
  const std::string digits = std::to_string(value);
  std::string result;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result += ',';
    result += digits[i];
  }
  return result;
}

// Columns of a terminal: East Asian characters take two.
int display_width(std::string_view text) {
  int width = 0;
  for (const Span& span : character_spans(text))
    width += span.end - span.begin >= 3 &&
                     static_cast<unsigned char>(text[static_cast<size_t>(span.begin)]) >= 0xE3
                 ? 2
                 : 1;
  width += static_cast<int>(std::count(text.begin(), text.end(), ' '));
  return width;
}

std::string padded(const std::string& text, int width) {
  return text + std::string(static_cast<size_t>(std::max(0, width - display_width(text))), ' ');
}

class Writer {
 public:
  void line(std::string_view key, const std::string& value) {
    out_ += fmt::format("  {:<14}{}\n", key, value);
  }
  void detail(const std::string& value) { out_ += "                " + value + "\n"; }
  void title(const std::string& value) { out_ += value + "\n"; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void write_repeats(Writer& writer, std::string_view key, const RepeatedRows& repeated,
                   std::string_view first, int examples) {
  if (repeated.rows == 0) return;
  writer.line(key, grouped(repeated.rows));
  for (size_t i = 0; i < repeated.examples.size() && i < static_cast<size_t>(examples); ++i) {
    const auto& example = repeated.examples[i];
    writer.detail(fmt::format("line {} = {} {}  {}", example.second_line, first, example.first_line,
                              example.text));
  }
}

void write_classes(Writer& writer, const FileReport& file) {
  if (!file.has_labels) {
    writer.line("classes", "no labels");
    return;
  }
  writer.line("classes",
              fmt::format("{}, largest / smallest {:.3g}", file.classes.size(), file.imbalance));
  int width = 0;
  const size_t shown = std::min(file.classes.size(), kClassesShown);
  for (size_t i = 0; i < shown; ++i)
    width = std::max(width, display_width(printable(file.classes[i].label, 60)));
  for (size_t i = 0; i < shown; ++i) {
    const ClassCount& count = file.classes[i];
    writer.detail(fmt::format("{}  {:>9}  {:5.1f} %", padded(printable(count.label, 60), width),
                              grouped(count.rows), 100 * count.share));
  }
  if (shown < file.classes.size())
    writer.detail(fmt::format("and {} more", file.classes.size() - shown));
}

void write_encoding(Writer& writer, const EncodingFaults& faults) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  const auto count = [&](int64_t rows, int64_t line, const char* what) {
    if (rows > 0) add(fmt::format("{} in {} rows (line {})", what, grouped(rows), line));
  };
  if (faults.invalid_utf8 == 0) add("UTF-8");
  if (faults.byte_order_mark) add("byte order mark (dropped)");
  count(faults.invalid_utf8, faults.invalid_utf8_line, "invalid UTF-8");
  count(faults.control, faults.control_line, "control characters");
  count(faults.replacement, faults.replacement_line, "U+FFFD");
  count(faults.mojibake, faults.mojibake_line, "garbled text");
  if (faults.mixed_line_endings) add("mixed line endings");
  writer.line("encoding", text);
}

void write_file(Writer& writer, const FileReport& file, int examples) {
  writer.title(file.path == "-" ? "standard input" : file.path.string());
  writer.line("format", file.description);
  for (const std::string& note : file.notes) writer.line("note", note);
  writer.line("rows", grouped(file.rows));
  write_classes(writer, file);
  writer.line("characters",
              fmt::format("shortest {}, median {}, 95 % up to {}, longest {}",
                          grouped(file.lengths.shortest), grouped(file.lengths.median),
                          grouped(file.lengths.percentile95), grouped(file.lengths.longest)));
  write_encoding(writer, file.encoding);
  if (file.normalised.rows == 0) {
    writer.line("duplicates", "none");
  } else {
    write_repeats(writer, "duplicates", file.normalised, "line", examples);
    writer.detail(fmt::format("{} of them byte for byte", grouped(file.exact.rows)));
    write_repeats(writer, "contradictory", file.contradicting, "line", examples);
  }
  if (!file.problems.empty()) {
    writer.line("bad lines", grouped(static_cast<int64_t>(file.problems.size())));
    for (size_t i = 0; i < file.problems.size() && i < static_cast<size_t>(examples); ++i)
      writer.detail(describe(file.path, file.problems[i]));
  }
}

nlohmann::json to_json(const RepeatedRows& repeated) {
  nlohmann::json examples = nlohmann::json::array();
  for (const auto& example : repeated.examples)
    examples.push_back({{"first_line", example.first_line},
                        {"second_line", example.second_line},
                        {"text", example.text}});
  return {{"rows", repeated.rows}, {"examples", std::move(examples)}};
}

nlohmann::json to_json(const FileReport& file) {
  nlohmann::json classes = nlohmann::json::array();
  for (const ClassCount& count : file.classes)
    classes.push_back({{"label", count.label}, {"rows", count.rows}, {"share", count.share}});
  nlohmann::json problems = nlohmann::json::array();
  for (const Problem& problem : file.problems)
    problems.push_back({{"line", problem.line}, {"rule", problem.rule}, {"fix", problem.fix}});
  const EncodingFaults& faults = file.encoding;
  const auto fault = [](int64_t rows, int64_t line) {
    return nlohmann::json{{"rows", rows}, {"first_line", line}};
  };
  return {{"path", repair_utf8(file.path.string())},
          {"description", file.description},
          {"rows", file.rows},
          {"has_labels", file.has_labels},
          {"classes", std::move(classes)},
          {"imbalance", file.imbalance},
          {"characters",
           {{"shortest", file.lengths.shortest},
            {"median", file.lengths.median},
            {"percentile95", file.lengths.percentile95},
            {"longest", file.lengths.longest}}},
          {"duplicates",
           {{"exact", to_json(file.exact)},
            {"normalised", to_json(file.normalised)},
            {"contradicting", to_json(file.contradicting)}}},
          {"encoding",
           {{"invalid_utf8", fault(faults.invalid_utf8, faults.invalid_utf8_line)},
            {"control", fault(faults.control, faults.control_line)},
            {"replacement", fault(faults.replacement, faults.replacement_line)},
            {"mojibake", fault(faults.mojibake, faults.mojibake_line)},
            {"byte_order_mark", faults.byte_order_mark},
            {"mixed_line_endings", faults.mixed_line_endings}}},
          {"problems", std::move(problems)},
          {"notes", file.notes}};
}

}  // namespace

std::string to_text(const DataReport& report, int examples) {
  Writer writer;
  write_file(writer, report.train, examples);
  for (const DevReport& part : report.dev) {
    write_file(writer, part.file, examples);
    if (part.leaks.rows == 0)
      writer.line("leaks", "none: no row stands in the training file");
    else
      write_repeats(writer, "leaks", part.leaks, "training line", examples);
    if (!part.unseen_labels.empty()) {
      std::string labels;
      for (size_t i = 0; i < part.unseen_labels.size() && i < 10; ++i)
        labels += (i == 0 ? "" : ", ") + printable(part.unseen_labels[i], 40);
      if (part.unseen_labels.size() > 10) labels += ", ...";
      writer.line("unseen labels", labels);
    }
  }
  if (report.clean()) {
    writer.title("nothing to mend");
  } else {
    writer.title(report.warnings.size() == 1
                     ? "1 thing to mend"
                     : fmt::format("{} things to mend", report.warnings.size()));
    for (const std::string& warning : report.warnings) writer.title("  - " + warning);
  }
  return writer.take();
}

nlohmann::json to_json(const DataReport& report) {
  nlohmann::json dev = nlohmann::json::array();
  for (const DevReport& part : report.dev) {
    nlohmann::json json = to_json(part.file);
    json["leaks"] = to_json(part.leaks);
    json["unseen_labels"] = part.unseen_labels;
    dev.push_back(std::move(json));
  }
  return {{"train", to_json(report.train)},
          {"dev", std::move(dev)},
          {"warnings", report.warnings},
          {"clean", report.clean()}};
}

}  // namespace attend
