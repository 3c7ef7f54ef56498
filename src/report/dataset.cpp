// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "attend/report/json.h"
#include "attend/report/text.h"
#include "json_node.h"
#include "json_text.h"
#include "layout.h"

namespace attend {
namespace {

using namespace report;

std::vector<UnitScore> heaviest(const Explanation& e, const Attribution& attribution,
                                std::size_t most) {
  std::vector<std::size_t> order(e.units.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::size_t count = std::min(most, order.size());
  const auto heavier = [&](std::size_t a, std::size_t b) {
    const double left = std::abs(attribution.scores[a]), right = std::abs(attribution.scores[b]);
    return left != right ? left > right : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(count), order.end(),
                    heavier);
  std::vector<UnitScore> units;
  for (std::size_t i = 0; i < count; ++i) {
    units.push_back({e.units[order[i]].text, attribution.scores[order[i]]});
  }
  return units;
}

template <class Items, class Visit>
std::string json_list(const Items& items, std::string_view separator, Visit visit) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += separator;
    out += visit(item);
  }
  return out + ']';
}

}  // namespace

void DatasetReportBuilder::add(const Explanation& explanation, std::string id, std::string gold) {
  check_explanation(explanation);
  const auto& methods = explanation.attributions;
  if (report_.rows.empty()) {
    report_.task = explanation.task;
    report_.model = explanation.model;
    report_.unit_kind = explanation.unit_kind;
    for (const Attribution& method : methods) {
      report_.methods.push_back(method.method);
      report_.is_signed.push_back(method.is_signed);
    }
  }
  const bool same =
      std::equal(methods.begin(), methods.end(), report_.methods.begin(), report_.methods.end(),
                 [](const auto& a, const auto& b) { return a.method == b; });
  if (!same) {
    throw data_error(fmt::format("input {}: explained by other methods than the inputs before it",
                                 printable(id)));
  }
  DatasetRow row{std::move(id), explanation.input, std::move(gold), "", 0, {}};
  if (!explanation.outputs.empty()) {
    row.prediction = explanation.outputs[0].label;
    row.confidence = explanation.outputs[0].probability;
  }
  Class& of_target = classes_[explanation.target];
  ++of_target.inputs;
  of_target.units.resize(methods.size());
  for (std::size_t m = 0; m < methods.size(); ++m) {
    row.top.push_back(heaviest(explanation, methods[m], options_.top_units));
    const double scale = scale_of(methods[m]);
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < explanation.units.size(); ++i) {
      Sum& sum = of_target.units[m][explanation.units[i].text];
      sum.score += scale > 0 ? methods[m].scores[i] / scale : 0;
      if (seen.insert(explanation.units[i].text).second) ++sum.inputs;
    }
  }
  report_.rows.push_back(std::move(row));
  for (const std::string& notice : explanation.notices) {
    // Truncation of one of many inputs is worth a line once.
    if (std::find(report_.notices.begin(), report_.notices.end(), notice) ==
        report_.notices.end()) {
      report_.notices.push_back(notice);
    }
  }
  constexpr std::size_t kMostNotices = 5;
  if (report_.notices.size() > kMostNotices) report_.notices.resize(kMostNotices);
}

DatasetReport DatasetReportBuilder::finish() {
  for (const auto& [label, of_class] : classes_) {
    for (std::size_t m = 0; m < of_class.units.size(); ++m) {
      ClassUnits units{label, report_.methods[m], of_class.inputs, {}};
      for (const auto& [text, sum] : of_class.units[m]) {
        units.units.push_back({text, sum.score / static_cast<double>(of_class.inputs), sum.inputs});
      }
      // What speaks for the output: from the largest, not the largest magnitude.
      std::stable_sort(units.units.begin(), units.units.end(),
                       [](const auto& a, const auto& b) { return a.score > b.score; });
      if (units.units.size() > options_.class_units) units.units.resize(options_.class_units);
      report_.classes.push_back(std::move(units));
    }
  }
  classes_.clear();
  return std::move(report_);
}

Confusion confusion_of(const DatasetReport& report) {
  Confusion confusion;
  std::map<std::string, int64_t> frequency;
  const auto count = [&](const std::string& label) {
    if (frequency[label]++ == 0) confusion.labels.push_back(label);
  };
  for (const DatasetRow& row : report.rows) {
    if (!row.gold.empty()) count(row.gold);
    count(row.prediction);
  }
  std::stable_sort(confusion.labels.begin(), confusion.labels.end(),
                   [&](const auto& a, const auto& b) { return frequency.at(a) > frequency.at(b); });
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < confusion.labels.size(); ++i) place[confusion.labels[i]] = i;
  confusion.counts.assign(confusion.labels.size() * confusion.labels.size(), 0);
  for (const DatasetRow& row : report.rows) {
    if (row.gold.empty()) continue;
    ++confusion.counts[place[row.gold] * confusion.labels.size() + place[row.prediction]];
  }
  return confusion;
}

void check_dataset(const DatasetReport& report, std::string_view origin) {
  const auto fail = [&](const std::string& path, const std::string& rule) {
    throw data_error(fmt::format("{}: $.{}: {}", printable(origin), path, rule));
  };
  if (report.is_signed.size() != report.methods.size()) {
    fail("is_signed",
         fmt::format("{} for {} methods", report.is_signed.size(), report.methods.size()));
  }
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    const DatasetRow& row = report.rows[i];
    const std::string path = fmt::format("rows[{}]", i);
    if (!(row.confidence >= 0 && row.confidence <= 1.0001)) {
      fail(path + ".confidence", fmt::format("{} is not between 0 and 1", row.confidence));
    }
    if (row.top.size() != report.methods.size()) {
      fail(path + ".top",
           fmt::format("{} lists for {} methods", row.top.size(), report.methods.size()));
    }
    for (const auto& units : row.top) {
      for (const UnitScore& unit : units) {
        if (!std::isfinite(unit.score)) fail(path + ".top", "a score is not a finite number");
      }
    }
  }
  for (std::size_t i = 0; i < report.classes.size(); ++i) {
    for (const auto& unit : report.classes[i].units) {
      if (!std::isfinite(unit.score)) {
        fail(fmt::format("classes[{}]", i), "a score is not a finite number");
      }
    }
  }
}

std::string to_json(const DatasetReport& report) {
  check_dataset(report);
  std::string out = "{\n  \"format\": \"attend-dataset-report\",\n  \"version\": 1";
  const auto field = [&](std::string_view name, const std::string& value) {
    out += fmt::format(",\n  \"{}\": {}", name, value);
  };
  const auto text = [](const std::string& each) { return json_string(each); };
  field("task", text(report.task));
  field("model", text(report.model));
  field("command", text(report.command));
  field("data", text(report.data));
  field("unit_kind", text(report.unit_kind));
  field("methods", json_list(report.methods, ", ", text));
  field("is_signed", json_list(report.is_signed, ", ",
                               [](bool each) { return std::string(each ? "true" : "false"); }));
  const auto unit_json = [](const UnitScore& unit) {
    return fmt::format("[{}, {}]", json_string(unit.text), json_number(unit.score));
  };
  const auto row_json = [&](const DatasetRow& row) {
    return fmt::format(
        "\n    {{\"id\": {}, \"gold\": {}, \"prediction\": {}, \"confidence\": {},\n"
        "     \"input\": {},\n     \"top\": {}}}",
        text(row.id), text(row.gold), text(row.prediction), json_number(row.confidence),
        text(row.input), json_list(row.top, ", ", [&](const auto& units) {
          return json_list(units, ", ", unit_json);
        }));
  };
  field("rows", json_list(report.rows, ",", row_json));
  const auto entry_json = [](const ClassUnits::Entry& unit) {
    return fmt::format("[{}, {}, {}]", json_string(unit.text), json_number(unit.score),
                       unit.inputs);
  };
  const auto class_json = [&](const ClassUnits& each) {
    return fmt::format(
        "\n    {{\"label\": {}, \"method\": {}, \"inputs\": {},\n     \"units\": {}}}",
        text(each.label), text(each.method), each.inputs, json_list(each.units, ", ", entry_json));
  };
  field("classes", json_list(report.classes, ",", class_json));
  field("notices", json_list(report.notices, ", ", text));
  return out + "\n}\n";
}

bool is_dataset_json(std::string_view text) {
  // The format stands in the first field of what we write; a reader that rewrote the file may have
  // moved it, and then the name still stands in quotes.
  return text.find("\"attend-dataset-report\"") != std::string_view::npos &&
         text.find("\"attend-explanation\"") == std::string_view::npos;
}

DatasetReport dataset_from_json(std::string_view text, const std::string& origin) {
  const nlohmann::json json = parse_json(text, origin);
  const Node root(json, "$", origin);
  const Node format = root.field("format");
  if (format.text() != "attend-dataset-report") format.fail("expected \"attend-dataset-report\"");
  if (root.field("version").integer() != 1) {
    root.field("version").fail(fmt::format("version {} is not known; this program reads version 1",
                                           root.field("version").integer()));
  }
  DatasetReport report;
  report.task = root.field("task").text();
  report.model = root.field("model").text();
  report.command = root.field("command").text();
  report.data = root.field("data").text();
  report.unit_kind = root.field("unit_kind").text();
  report.methods = root.field("methods").texts();
  root.field("is_signed").each([&](const Node& node) { report.is_signed.push_back(node.truth()); });
  root.field("rows").each([&](const Node& node) {
    DatasetRow row{node.field("id").text(),           node.field("input").text(),
                   node.field("gold").text(),         node.field("prediction").text(),
                   node.field("confidence").number(), {}};
    node.field("top").each([&](const Node& units) {
      row.top.emplace_back();
      units.each([&](const Node& unit) {
        if (unit.size() != 2) unit.fail("expected [text, score]");
        row.top.back().push_back({unit.item(0).text(), unit.item(1).number()});
      });
    });
    report.rows.push_back(std::move(row));
  });
  root.field("classes").each([&](const Node& node) {
    ClassUnits each{node.field("label").text(),
                    node.field("method").text(),
                    node.field("inputs").integer(),
                    {}};
    node.field("units").each([&](const Node& unit) {
      if (unit.size() != 3) unit.fail("expected [text, score, inputs]");
      each.units.push_back({unit.item(0).text(), unit.item(1).number(), unit.item(2).integer()});
    });
    report.classes.push_back(std::move(each));
  });
  report.notices = root.field("notices").texts();
  check_dataset(report, origin);
  return report;
}

std::string to_tsv(const DatasetReport& report) {
  check_dataset(report);
  std::string out = "id\tgold\tprediction\tconfidence\tinput";
  for (const std::string& method : report.methods) out += '\t' + tsv_escaped(method);
  out += '\n';
  for (const DatasetRow& row : report.rows) {
    out += fmt::format("{}\t{}\t{}\t{}\t{}", tsv_escaped(row.id), tsv_escaped(row.gold),
                       tsv_escaped(row.prediction), json_number(row.confidence),
                       tsv_escaped(row.input));
    for (const auto& units : row.top) {
      std::string cell;
      for (const UnitScore& unit : units) {
        cell += fmt::format("{}{}:{}", cell.empty() ? "" : " ", tsv_escaped(unit.text),
                            json_number(unit.score));
      }
      out += '\t' + cell;
    }
    out += '\n';
  }
  return out;
}

}  // namespace attend
