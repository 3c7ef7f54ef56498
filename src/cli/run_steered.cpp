// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "run_steered.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/explain/steering.h"
#include "attend/report/text.h"
#include "attend/tasks/steered_search.h"

namespace attend {
namespace {

using nlohmann::json;

// A text and what was changed for it; the first of an input is that of the unchanged model.
struct Variant {
  std::string edit;
  ProducedText text;
};

ProducedText first_of(std::vector<ProducedText> texts) {
  return texts.empty() ? ProducedText() : std::move(texts[0]);
}

std::vector<Variant> variants_of(SequenceTask& task, SteeredSearch& search, const Dataset& data,
                                 const ProduceOptions& options, const Steering& steering) {
  constexpr int64_t kRow = 0;
  std::vector<Variant> variants{{"", first_of(search.produce_under(data, kRow, options, {}))}};
  const auto units = task.units(data, kRow);
  for (const Intervention& one :
       interventions(steering, data.input(kRow), units,
                     single_groups(static_cast<int64_t>(units.size())), task.leading_positions())) {
    if (one.masked.empty()) {
      variants.push_back(
          {one.label, first_of(search.produce_under(data, kRow, options, one.edits))});
      continue;
    }
    std::vector<bool> keep = one.masked;
    keep.flip();
    const auto masked = task.without_units(data, kRow, {keep}, Removal::kMask);
    variants.push_back(
        {one.label, first_of(search.produce_under(*masked, kRow, options, one.edits))});
  }
  return variants;
}

std::string printed(const std::string& input, const std::vector<Variant>& variants,
                    OutputForm form) {
  const ProducedText& before = variants[0].text;
  if (form == OutputForm::kJson) {
    json line = {{"input", input},
                 {"output", before.text},
                 {"score", before.score},
                 {"log_probability", before.log_probability},
                 {"effects", json::array()}};
    for (size_t i = 1; i < variants.size(); ++i) {
      const ProducedText& after = variants[i].text;
      line["effects"].push_back({{"edit", variants[i].edit},
                                 {"output", after.text},
                                 {"score", after.score},
                                 {"log_probability", after.log_probability}});
    }
    return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  }
  const bool tsv = form == OutputForm::kTsv;
  std::string text = tsv ? tsv_escaped(before.text)
                         : visible_text(input, true) + "\n  " + visible_text(before.text, true) +
                               fmt::format("   ({:.3f})\n", before.score);
  for (size_t i = 1; i < variants.size(); ++i) {
    const auto& [edit, after] = variants[i];
    text += tsv ? fmt::format("\t{}\t{}", tsv_escaped(edit), tsv_escaped(after.text))
                : fmt::format("with {}:\n  {}   ({:.3f})\n", visible_text(edit, true),
                              visible_text(after.text, true), after.score);
  }
  return text + "\n";
}

}  // namespace

std::string run_steered(SequenceTask& task, const InputFlags& input, const SequenceFlags& flags,
                        const Steering& steering, OutputForm form) {
  auto* search = dynamic_cast<SteeredSearch*>(&task);
  if (search == nullptr) {
    throw usage_error("the attention of a " + task.name() + " model cannot be changed while it " +
                      "writes; leave out the steering flags");
  }
  if (flags.align || flags.best != 1) {
    throw usage_error("--align and --nbest do not go together with changes of the attention");
  }
  const ProduceOptions options = produce_options(task, flags);
  std::string text;
  for (const InputSet& set : read_inputs(input, task)) {
    for (int64_t row = 0; row < set.data->size(); ++row) {
      const auto one = set.data->subset(std::span(&row, 1));
      text += printed(one->input(0), variants_of(task, *search, *one, options, steering), form);
    }
  }
  return text;
}

}  // namespace attend
