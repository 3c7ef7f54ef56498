// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/render.h"

#include <unistd.h>

#include <memory>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/text.h"
#include "attend/report/import.h"
#include "attend/report/json.h"
#include "common.h"
#include "verbs.h"

namespace attend {
namespace {

struct RenderFlags {
  std::string file;
  std::string against;
  std::string view;
  std::string method;
  std::optional<int64_t> layer, head;
  double megabytes = 5;
  std::string out;
  OutputFlags output;
};

Explanation read_explanation(const std::string& bytes, const std::string& path) {
  if (!is_foreign_attention(bytes)) return explanation_from_json(bytes, path);
  Explanation explanation = attention_from_bytes(bytes, path);
  explanation.command = command_line();
  return explanation;
}

[[noreturn]] void refuse_view(const RenderFlags& flags, const std::string& what,
                              const std::string& fitting) {
  throw usage_error("--view " + printable(flags.view) + ": " + printable(flags.file) + " is " +
                    what + "; " + fitting);
}

void show_dataset(const RenderFlags& flags, const DatasetReport& report,
                  const RenderOptions& options) {
  if (!flags.against.empty()) throw usage_error("--against: a data set has no view of two");
  if (!flags.view.empty() && flags.view != "table") {
    refuse_view(flags, "a data set", "it has the view table");
  }
  if (!flags.out.empty()) return render(report, flags.out, options);
  switch (flags.output.form()) {
    case OutputForm::kJson:
      return write_output({}, to_json(report));
    case OutputForm::kTsv:
      return write_output({}, to_tsv(report));
    case OutputForm::kHuman:
      return write_output({},
                          terminal_dataset(report, detect_terminal(STDOUT_FILENO), flags.method));
  }
}

void show_comparison(const RenderFlags& flags, const Comparison& comparison,
                     const RenderOptions& options) {
  if (!flags.out.empty()) return render(comparison, flags.out, options);
  switch (flags.output.form()) {
    case OutputForm::kJson:
      throw usage_error("--json: a comparison is made from two JSON files; it has no own");
    case OutputForm::kTsv:
      return write_output({}, comparison_to_tsv(comparison));
    case OutputForm::kHuman:
      return write_output({}, terminal_comparison(comparison, detect_terminal(STDOUT_FILENO)));
  }
}

void render_verb(const RenderFlags& flags) {
  const std::string bytes = read_file(flags.file);
  RenderOptions options;
  options.method = flags.method;
  options.layer = flags.layer;
  if (!(flags.megabytes > 0 && flags.megabytes <= 4000)) {
    throw usage_error("--max-mb: give a number of megabytes from 0 to 4000");
  }
  options.max_html_bytes = static_cast<std::size_t>(flags.megabytes * 1e6);
  if (is_dataset_json(bytes)) {
    return show_dataset(flags, dataset_from_json(bytes, flags.file), options);
  }
  if (flags.view == "table") refuse_view(flags, "one explanation", "a table is of a data set");
  Explanation explanation = read_explanation(bytes, flags.file);
  if (flags.view == "compare" && flags.against.empty()) {
    throw usage_error("--view compare: give the second file as --against FILE");
  }
  if (!flags.against.empty()) {
    if (!flags.view.empty() && flags.view != "compare") {
      throw usage_error("--against: two files have the view compare, not " + printable(flags.view));
    }
    Explanation second = read_explanation(read_file(flags.against), flags.against);
    return show_comparison(flags, compare(std::move(explanation), std::move(second)), options);
  }
  if (!flags.view.empty()) options.view = view_named(flags.view);
  // --layer and --head alone can only mean a map.
  if (flags.view.empty() && (flags.layer || flags.head)) {
    const bool is_long = explanation.attention.empty() && !explanation.layers.empty();
    options.view = is_long ? ReportView::kLong : ReportView::kMatrix;
  }
  if (options.view == ReportView::kMatrix) {
    options.map_index = map_index_of(explanation, flags.layer, flags.head);
  }
  if (!flags.out.empty()) return render(explanation, flags.out, options);
  switch (flags.output.form()) {
    case OutputForm::kJson:
      return write_output({}, to_json(explanation));
    case OutputForm::kTsv:
      return write_output({}, tsv_view(explanation, options));
    case OutputForm::kHuman:
      return write_output({}, terminal_view(explanation, options, detect_terminal(STDOUT_FILENO)));
  }
}

}  // namespace

void add_render_verb(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("render", "Show a saved explanation, or attention of another program");
  auto flags = std::make_shared<RenderFlags>();
  verb->add_option("FILE", flags->file,
                   "JSON of `attend explain`; or attention dumped by another program as JSON, .npz "
                   "or .npy (docs/explanation-format.md)")
      ->required();
  verb->add_option("--view", flags->view,
                   "overview, highlight, matrix, heads, alignment, overlay, long, curve; compare "
                   "(with --against); table (data sets)");
  verb->add_option("--layer", flags->layer, "Layer of the map, from 0; -1: mean over layers");
  verb->add_option("--head", flags->head, "Head of the map, from 0; -1: mean over heads");
  verb->add_option("--method", flags->method, "Method of an alignment, an overlay or a table");
  verb->add_option("--against", flags->against, "Second file, to compare with");
  verb->add_option("--max-mb", flags->megabytes, "Size budget of an .html page");
  verb->add_option("--out", flags->out, "File; its ending chooses the form: .html .svg .json .tsv");
  flags->output.add_to(*verb);
  verb->callback([flags] { render_verb(*flags); });
}

}  // namespace attend
