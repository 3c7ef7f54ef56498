// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "attend/base/error.h"
#include "attend/explain/explain.h"
#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/terminal.h"
#include "common.h"
#include "verbs.h"

namespace attend {
namespace {

struct WeightsFlags {
  std::string run;
  InputFlags input;
  std::string layer = "last";
  std::string head = "mean";
  std::string units;
  std::string out;
  OutputFlags output;
};

int64_t whole_number(const std::string& text, const std::string& flag) {
  size_t used = 0;
  int64_t value = -1;
  try {
    value = std::stoll(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used != text.size() || value < 0) {
    throw usage_error(flag + " " + text + ": give a number from 0, or a name from --help");
  }
  return value;
}

size_t choose_map(const Explanation& explanation, const WeightsFlags& flags) {
  const auto& maps = explanation.attention;
  if (maps.empty()) {
    throw data_error("no attention matrix: " + explanation.notices.back() +
                     "; give a shorter text, or attend explain --tile");
  }
  const auto is_pooling = [](const AttentionMap& map) { return map.role == "pooling"; };
  if (flags.layer == "pooling") {
    const auto found = std::find_if(maps.begin(), maps.end(), is_pooling);
    if (found == maps.end()) throw usage_error("--layer pooling: this model pools nothing");
    return static_cast<size_t>(found - maps.begin());
  }
  int64_t layers = 0;
  for (const AttentionMap& map : maps) {
    if (!is_pooling(map)) layers = std::max(layers, map.layer + 1);
  }
  if (layers == 0) throw usage_error("this model has no attention layer; use --layer pooling");
  const int64_t layer = flags.layer == "last" ? layers - 1 : whole_number(flags.layer, "--layer");
  const int64_t head = flags.head == "mean" ? -1 : whole_number(flags.head, "--head");
  int64_t heads = 0;
  for (size_t i = 0; i < maps.size(); ++i) {
    if (is_pooling(maps[i]) || maps[i].layer != layer) continue;
    heads = std::max(heads, maps[i].head + 1);
    if (maps[i].head == head) return i;
  }
  if (layer >= layers) {
    throw usage_error("--layer " + flags.layer + ": this model has layers 0 to " +
                      std::to_string(layers - 1));
  }
  throw usage_error("--head " + flags.head + ": layer " + std::to_string(layer) +
                    " has heads 0 to " + std::to_string(heads - 1));
}

void weights_verb(const WeightsFlags& flags) {
  use_threads(0);
  const Run run = load_run(flags.run);
  const InputSet input = read_single_input(flags.input, *run.task);
  ExplainOptions options;
  options.methods.clear();
  options.evidence = false;
  options.units = flags.units;
  Explanation explanation = explain(*run.task, *input.data, 0, options);
  explanation.model = flags.run;
  explanation.command = command_line();
  const size_t map = choose_map(explanation, flags);
  if (!flags.out.empty()) {
    RenderOptions render_options;
    render_options.view = ReportView::kMatrix;
    render_options.map_index = map;
    return render(explanation, flags.out, render_options);
  }
  switch (flags.output.form()) {
    case OutputForm::kJson: {
      Explanation only = explanation;
      only.attention = {explanation.attention[map]};
      return write_output({}, to_json(only));
    }
    case OutputForm::kTsv:
      return write_output({}, matrix_to_tsv(explanation.attention[map], explanation.units));
    case OutputForm::kHuman:
      return write_output({}, terminal_matrix(explanation, map, detect_terminal(STDOUT_FILENO)));
  }
}

}  // namespace

void add_weights_verb(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("weights", "The attention weights of one input");
  auto flags = std::make_shared<WeightsFlags>();
  verb->add_option("RUN", flags->run, "Run folder")->required();
  flags->input.add_to(*verb);
  flags->input.add_output_to(*verb);
  verb->add_option("--layer", flags->layer, "A number from 0, last, or pooling");
  verb->add_option("--head", flags->head, "A number from 0, or mean");
  verb->add_option("--units", flags->units, "word: merge units into words");
  verb->add_option("--out", flags->out, "File; its ending chooses the form: .svg .html .json .tsv");
  flags->output.add_to(*verb);
  verb->callback([flags] { weights_verb(*flags); });
}

}  // namespace attend
