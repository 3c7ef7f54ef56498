// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generate.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <iostream>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/report/text.h"
#include "attend/tasks/creativity.h"
#include "verbs.h"

namespace attend {
namespace {

using nlohmann::json;

// "WORD:2" or "WORD", which doubles.
Emphasis parse_emphasis(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 2};
  Emphasis one{text.substr(0, colon), 0};
  try {
    size_t end = 0;
    one.factor = std::stod(text.substr(colon + 1), &end);
    if (end == text.size() - colon - 1 && !one.word.empty()) return one;
  } catch (const std::exception&) {
  }
  throw usage_error("--emphasize " + text + ": write WORD:FACTOR, as in 春风:2");
}

GenerateRequest complete(const GeneratorFlags& all) {
  const auto& [flags, sequence, steering] = all;
  if (!steering.mask_units.empty() || !steering.heads_off.empty() || steering.uniform ||
      !steering.layers.empty() || !steering.heads.empty()) {
    throw usage_error(
        "a text that is being written is steered by --emphasize and --attention-temperature alone; "
        "try the other steering flags with `attend explain`");
  }
  GenerateRequest request = flags.request;
  request.attention_temperature = steering.temperature;
  SearchOptions& search = request.search;
  search.sample = sequence.beam == 0;
  search.beam = std::max<int64_t>(1, sequence.beam);
  if (sequence.length_penalty >= 0) search.length_penalty = sequence.length_penalty;
  search.temperature = sequence.temperature;
  search.top_k = sequence.top_k;
  search.top_p = sequence.top_p;
  search.min_p = sequence.min_p;
  search.seed = static_cast<uint64_t>(sequence.seed);
  search.repetition_penalty = sequence.repetition_penalty;
  search.no_repeat_ngram = sequence.no_repeat_ngram;
  search.max_length = {flags.max_length};
  if (!flags.form.empty()) request.constraints.form = parse_form(flags.form);
  if (!flags.rhyme_table.empty()) {
    request.constraints.table = std::make_shared<RhymeTable>(RhymeTable::read(flags.rhyme_table));
  }
  for (const std::string& one : steering.emphasize) request.emphasis.push_back(parse_emphasis(one));
  if (!flags.gap.empty()) {
    constexpr std::string_view kGap = "[MASK]";
    const size_t at = flags.gap.find(kGap);
    if (at == std::string::npos || flags.gap.find(kGap, at + 1) != std::string::npos) {
      throw usage_error("--infill " + flags.gap + ": mark the part to write with one [MASK]");
    }
    if (!request.begin.empty()) throw usage_error("--infill and --begin exclude each other");
    request.begin = flags.gap.substr(0, at);
    request.end = flags.gap.substr(at + kGap.size());
    request.infill = true;
  }
  request.sources = flags.why;
  return request;
}

std::vector<std::string> inputs_of(const InputFlags& flags) {
  std::vector<std::string> inputs = flags.texts;
  for (const std::string& input : flags.inputs) {
    if (input != "-") {
      inputs.push_back(input);
      continue;
    }
    for (std::string line; std::getline(std::cin, line);) {
      if (!line.empty()) inputs.push_back(line);
    }
  }
  return inputs;
}

double perplexity_of(const GeneratedText& text) {
  return std::exp(-text.log_probability / static_cast<double>(std::max<int64_t>(1, text.tokens)));
}

json as_json(const std::string& prompt, const GeneratedText& one) {
  json line = {{"prompt", prompt},
               {"text", one.text},
               {"generated", one.generated},
               {"log_probability", one.log_probability},
               {"perplexity", perplexity_of(one)},
               {"tokens", one.tokens},
               {"finished", one.finished}};
  if (!one.notice.empty()) line["notice"] = one.notice;
  if (!one.sources.empty()) {
    json sources = json::array();
    for (const TokenSources& token : one.sources) {
      sources.push_back({{"token", token.token}, {"weights", token.weights}});
    }
    line["context"] = one.context;
    line["sources"] = sources;
  }
  return line;
}

std::string as_text(const GenerateJob& job, const std::string& prompt, const GeneratedText& one) {
  if (job.form == OutputForm::kJson) {
    return as_json(prompt, one).dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  }
  if (job.form == OutputForm::kTsv) {
    return fmt::format("{}\t{:.4f}\t{}\n", tsv_escaped(one.text), one.log_probability,
                       tsv_escaped(prompt));
  }
  return visible_text(one.text, true) + (one.finished ? "" : " …") + "\n" +
         (one.sources.empty() ? "" : sources_text(one) + "\n");
}

// A column of values per set of texts.
std::string table(const std::vector<std::pair<std::string, std::map<std::string, double>>>& columns,
                  OutputForm form) {
  if (form == OutputForm::kJson) {
    json all = json::object();
    for (const auto& [name, values] : columns) all[name] = values;
    all["command"] = command_line();
    return all.dump(2) + "\n";
  }
  const bool tsv = form == OutputForm::kTsv;
  std::string text = tsv ? "measure" : pad_to_width("", 20);
  for (const auto& column : columns) {
    text += tsv ? "\t" + column.first : pad_to_width(column.first, 12, Align::kRight);
  }
  text += "\n";
  for (const auto& measure : columns.front().second) {
    text += tsv ? measure.first : pad_to_width(measure.first, 20);
    for (const auto& column : columns) {
      const auto found = column.second.find(measure.first);
      const std::string value =
          found == column.second.end() ? "-" : fmt::format("{:.4f}", found->second);
      text += tsv ? "\t" + value : pad_to_width(value, 12, Align::kRight);
    }
    text += "\n";
  }
  return tsv ? text : text + "\n" + command_line() + "\n";
}

void measure(const GenerateJob& job, const std::vector<std::string>& texts) {
  std::vector<std::string> people = reference_texts(job);
  // Variety falls with the number of texts, so all sets are made equally large.
  size_t size = texts.size();
  if (!people.empty()) size = std::min(size, people.size());
  const auto first = [&](std::vector<std::string> all) {
    all.resize(std::min(all.size(), size));
    return measured(job, all);
  };
  std::vector<std::pair<std::string, std::map<std::string, double>>> columns;
  columns.emplace_back("generated", first(texts));
  if (!people.empty()) columns.emplace_back("human", first(people));
  columns.emplace_back("3-gram", first(job.generator.peer_samples(3, static_cast<int64_t>(size),
                                                                  job.request.search.seed)));
  write_output({}, table(columns, job.form));
}

}  // namespace

void GenerateFlags::add_to(CLI::App& verb) {
  auto* group = verb.add_option_group("Writing", "For models that write texts (--task generate)");
  group_ = group;
  ConstraintOptions& rules = request.constraints;
  group->add_option("--prompt", request.prompt, "Title or theme to write for");
  group->add_option("--begin", request.begin, "How the text begins");
  group->add_option("--infill", gap, "A text with [MASK] where a part is to be written");
  group->add_option("-n,--count", request.count, "Texts");
  group->add_option("--max-length", max_length, "Tokens at most, the end included");
  group->add_option("--form", form, "LINESxCHARACTERS, as in 4x5, or 7,7,5");
  group->add_option("--acrostic", rules.acrostic, "First characters of the lines");
  group->add_option("--rhyme", rules.rhyme, "A class of the rhyme table, or any");
  group->add_option("--tones", rules.tones, "平, 仄 or 中 for each character");
  group->add_option("--contain", rules.contain, "A word that must occur")->allow_extra_args(false);
  group->add_option("--rhyme-table", rhyme_table, "TSV: character, rhyme class, 平 or 仄");
  group->add_flag("--stream", stream, "Print the first text as it is written");
  group->add_flag("--why", why, "What each token drew on");
  group->add_flag("--metrics", metrics, "Measures of the texts instead of the texts");
  group->add_option("--reference", reference, "With --metrics: texts by people to measure beside");
  group->add_flag("--interactive", interactive, "Talk: a line in, a text out, one context");
  group->add_option("--frontier", frontier,
                    "SVG: quality against diversity over temperatures and steering");
}

std::map<std::string, double> measured(const GenerateJob& job,
                                       const std::vector<std::string>& texts) {
  static std::unique_ptr<TextMeasures> measures;
  if (!measures) measures = std::make_unique<TextMeasures>(job.generator.training_texts());
  MeasureOptions options;
  options.form = job.request.constraints.form;
  options.tones = job.request.constraints.tones;
  options.table = job.request.constraints.table;
  options.theme = job.inputs.empty() ? job.request.prompt : job.inputs[0];
  auto values = measures->measure(texts, options);
  values["peer_perplexity"] = job.generator.peer_perplexity(texts);
  values["texts"] = static_cast<double>(texts.size());
  return values;
}

std::vector<std::string> reference_texts(const GenerateJob& job) {
  std::vector<std::string> texts;
  if (job.flags.reference.empty()) return texts;
  const auto data = job.run.task->read(job.flags.reference, /*with_gold=*/true);
  for (int64_t row = 0; row < data->size(); ++row) {
    std::string text = data->gold(row);
    const auto& form = job.request.constraints.form;
    if (form.empty() || form_of(text) == form) texts.push_back(std::move(text));
  }
  if (texts.empty())
    throw data_error(job.flags.reference + ": no text of --form " + job.flags.form);
  return texts;
}

std::string sources_text(const GeneratedText& text) {
  constexpr size_t kMost = 4;
  std::string lines;
  for (const TokenSources& token : text.sources) {
    std::vector<size_t> order(token.weights.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const size_t shown = std::min(kMost, order.size());
    std::partial_sort(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
        [&](size_t left, size_t right) { return token.weights[left] > token.weights[right]; });
    lines += pad_to_width(visible_text(token.token, true), 6) + "←";
    for (size_t i = 0; i < shown; ++i) {
      lines += fmt::format(" {} {:.2f}", visible_text(text.context[order[i]], true),
                           token.weights[order[i]]);
    }
    lines += "\n";
  }
  return lines;
}

void run_generator(const Run& run, const GeneratorFlags& all, const InputFlags& input,
                   const OutputTarget& output) {
  const auto& [out, form] = output;
  const GenerateFlags& flags = all.generate;
  auto* generator = dynamic_cast<TextGenerator*>(run.task.get());
  if (!generator) {
    throw usage_error(run.folder.string() + ": a " + run.task->name() +
                      " model does not write texts; leave out --prompt and the like");
  }
  GenerateJob job{run, *generator, complete(all), flags, inputs_of(input), out, form};
  if (!job.inputs.empty() && !job.request.prompt.empty()) {
    throw usage_error("give the prompt once: as --prompt or as INPUT");
  }
  if (flags.interactive) return converse(job);
  if (!flags.frontier.empty()) return write_frontier(job);
  if (job.inputs.empty()) job.inputs.push_back(job.request.prompt);
  std::string text;
  std::vector<std::string> written;
  for (const std::string& prompt : job.inputs) {
    GenerateRequest request = job.request;
    const bool as_beginning = !generator->takes_prompts() && job.request.prompt.empty();
    if (as_beginning && !prompt.empty()) {
      request.begin = prompt;
    } else {
      request.prompt = prompt;
    }
    const bool streaming = flags.stream && !flags.metrics;
    if (streaming) {
      write_output({}, request.begin);
      request.stream = [](const std::string& piece) {
        write_output({}, visible_text(piece, true));
      };
    }
    const auto texts = generator->generate(request);
    if (!texts.empty() && !texts[0].notice.empty()) {
      fmt::print(stderr, "attend: {}\n", texts[0].notice);
    }
    if (streaming) write_output({}, "\n");
    for (size_t i = 0; i < texts.size(); ++i) {
      if (!(streaming && i == 0)) text += as_text(job, prompt, texts[i]);
      written.push_back(texts[i].text);
    }
  }
  if (flags.metrics) {
    if (!out.empty()) write_output(out, text);
    return measure(job, written);
  }
  write_output(out, text);
}

}  // namespace attend
