// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What explanations ask of translation: its units, variants of an example, and targets.
#include <charconv>

#include "attend/base/error.h"
#include "attend/base/text.h"
#include "translate.h"

namespace attend {

std::shared_ptr<Dataset> TranslateTask::with_output(const Dataset& data, int64_t row,
                                                    const std::string& output) {
  ParallelExample example = pairs(data).example(row);
  if (!output.empty()) {
    ParallelExample forced = encoder_.encode(example.source, output);
    forced.source_units = example.source_units;  // units keep their identity
    example = std::move(forced);
  } else {
    example.has_target = false;
    example.target_units = {};
  }
  auto result = std::make_shared<ParallelDataset>("one sentence", std::vector{std::move(example)});
  const int64_t first = 0;
  translate_missing(*result, {&first, 1});
  return result;
}

std::vector<Unit> TranslateTask::units(const Dataset& data, int64_t row) const {
  const ParallelExample& example = pairs(data).example(row);
  return units_of(*encoder_.tokenizer, example.source, example.source_units);
}

std::vector<Unit> TranslateTask::output_units(const Dataset& data, int64_t row) const {
  translate_missing(pairs(data), {&row, 1});
  const ParallelExample& example = pairs(data).example(row);
  return units_of(*encoder_.tokenizer, example.target, example.target_units);
}

std::shared_ptr<Dataset> TranslateTask::without_units(const Dataset& data, int64_t row,
                                                      const std::vector<std::vector<bool>>& keep,
                                                      Removal removal) const {
  translate_missing(pairs(data), {&row, 1});
  const ParallelExample& example = pairs(data).example(row);
  std::vector<ParallelExample> variants;
  variants.reserve(keep.size());
  for (const auto& kept : keep) {
    ParallelExample variant = example;
    Encoding& units = variant.source_units;
    units = {};
    for (size_t i = 0; i < kept.size(); ++i) {
      if (!kept[i] && removal == Removal::kDelete) continue;
      // The embedding of padding is zero.
      units.ids.push_back(kept[i] ? example.source_units.ids[i] : kPaddingId);
      units.spans.push_back(example.source_units.spans[i]);
    }
    variants.push_back(std::move(variant));
  }
  return std::make_shared<ParallelDataset>("variants of one sentence", std::move(variants));
}

Target TranslateTask::find_target(const Dataset& data, int64_t row, const TaskOutput&,
                                  const std::string& name) const {
  const std::vector<Unit> units = output_units(data, row);
  const ParallelExample& example = pairs(data).example(row);
  if (units.empty()) throw usage_error("the output is empty: there is nothing to explain");
  const auto at = [&](size_t place) {
    return output_target(data, row, static_cast<int64_t>(place));
  };
  if (name.empty()) return at(0);
  size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size() && number < units.size()) {
    return at(number);
  }
  std::string list;
  for (size_t i = 0; i < units.size(); ++i) {
    const std::string& text = units[i].text;
    if (text == name || encoder_.tokenizer->token_text(example.target_units.ids[i]) == name) {
      return at(i);
    }
    list += (list.empty() ? "" : ", ") + std::to_string(i) + " " + printable(text, 40);
  }
  // A whole word stands for its first unit.
  const size_t word = example.target.find(name);
  for (size_t i = 0; word != std::string::npos && i < units.size(); ++i) {
    const Span& span = example.target_units.spans[i];
    if (span.end > span.begin && span.begin <= static_cast<int64_t>(word) &&
        static_cast<int64_t>(word) < span.end) {
      return at(i);
    }
  }
  throw usage_error("target \"" + printable(name, 60) + "\" is not in the output; it has: " + list);
}

Target TranslateTask::output_target(const Dataset& data, int64_t row, int64_t unit) const {
  translate_missing(pairs(data), {&row, 1});
  const auto& ids = pairs(data).example(row).target_units.ids;
  return {encoder_.tokenizer->token_text(ids.at(static_cast<size_t>(unit))), unit};
}

int64_t TranslateTask::token_id(const Target& target) const {
  const auto id = encoder_.tokenizer->find(target.label);
  if (!id) {
    throw usage_error("target \"" + printable(target.label, 60) + "\" is not in the vocabulary");
  }
  return *id;
}

torch::Tensor TranslateTask::target_scores(const TaskOutput& output, const Target& target) const {
  return output.scores.select(1, target.position).select(1, token_id(target));
}

torch::Tensor TranslateTask::target_log_probabilities(const TaskOutput& output,
                                                      const Target& target) const {
  return output.scores.select(1, target.position)
      .to(torch::kFloat64)
      .log_softmax(1)
      .select(1, token_id(target));
}

torch::Tensor TranslateTask::target_readout(const TaskOutput& output, const Target& target) const {
  torch::Tensor readout = torch::zeros_like(output.readout);
  readout.select(1, target.position).fill_(1);
  return readout;
}

}  // namespace attend
