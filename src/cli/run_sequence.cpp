// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "run_sequence.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "attend/base/error.h"
#include "attend/data/parallel.h"
#include "attend/data/unicode.h"
#include "attend/report/text.h"
#include "run_steered.h"

namespace attend {
namespace {

using nlohmann::json;

// Sources in the order they are answered; blank ones keep their place.
struct Sources {
  std::vector<std::string> lines;
  bool typed = false;
};

std::vector<Sources> read_sources(const InputFlags& flags, const Task& task) {
  InputFlags others;
  std::vector<Sources> all;
  others.texts = flags.texts;
  for (const std::string& input : flags.inputs) {
    std::error_code ignored;
    if (input == "-" || (flags.lines && std::filesystem::exists(input, ignored))) {
      all.push_back({read_source_lines(input), false});
    } else {
      others.inputs.push_back(input);
    }
  }
  if (others.inputs.empty() && others.texts.empty() && !all.empty()) return all;
  std::vector<Sources> read;
  for (const InputSet& set : read_inputs(others, task)) {
    Sources sources;
    sources.typed = set.typed;
    for (int64_t row = 0; row < set.data->size(); ++row) {
      sources.lines.push_back(set.data->input(row));
    }
    read.push_back(std::move(sources));
  }
  all.insert(all.begin(), std::make_move_iterator(read.begin()),
             std::make_move_iterator(read.end()));
  return all;
}

}  // namespace

ProduceOptions produce_options(const SequenceTask& task, const SequenceFlags& flags) {
  ProduceOptions options;
  options.search = task.default_search();
  SearchOptions& search = options.search;
  if (flags.beam > 0) search.beam = flags.beam;
  if (flags.sample) search.beam = 1;
  search.best = flags.best;
  if (!flags.sample && flags.beam == 0) search.beam = std::max(search.beam, flags.best);
  if (flags.length_penalty >= 0) search.length_penalty = flags.length_penalty;
  search.sample = flags.sample;
  search.temperature = flags.temperature;
  search.top_k = flags.top_k;
  search.top_p = flags.top_p;
  search.min_p = flags.min_p;
  search.seed = static_cast<uint64_t>(flags.seed);
  search.repetition_penalty = flags.repetition_penalty;
  search.no_repeat_ngram = flags.no_repeat_ngram;
  options.align = flags.align;
  options.batch_size = flags.batch_size;
  return options;
}

namespace {

std::string moses(const ProducedText& one) {
  std::string text;
  for (const auto& [source, target] : one.alignment) {
    text += (text.empty() ? "" : " ") + std::to_string(source) + "-" + std::to_string(target);
  }
  return text;
}

std::string as_json(const std::string& input, const std::vector<ProducedText>& texts,
                    const SequenceFlags& flags, const std::string& notice) {
  json outputs = json::array();
  for (const ProducedText& one : texts) {
    json output = {{"text", one.text},
                   {"score", one.score},
                   {"log_probability", one.log_probability},
                   {"finished", one.finished}};
    if (flags.align) output["alignment"] = one.alignment;
    outputs.push_back(std::move(output));
  }
  json line = {{"input", input},
               {"output", texts.empty() ? "" : texts[0].text},
               {"outputs", std::move(outputs)}};
  if (!notice.empty()) line["notice"] = notice;
  return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

// One line per text, so that files can be pasted beside each other; further columns only if asked.
std::string as_lines(const std::vector<ProducedText>& texts, const SequenceFlags& flags) {
  if (texts.empty()) return std::string(1, '\n');
  std::string lines;
  for (const ProducedText& one : texts) {
    lines += tsv_escaped(one.text);
    if (flags.scores) lines += fmt::format("\t{:.6f}\t{:.6f}", one.score, one.log_probability);
    if (flags.align) lines += '\t' + moses(one);
    lines += '\n';
  }
  return lines;
}

std::string for_person(const std::string& input, const std::vector<ProducedText>& texts,
                       const SequenceFlags& flags, const std::string& notice) {
  std::string text = visible_text(input, true) + "\n";
  for (const ProducedText& one : texts) {
    text += "  " + visible_text(one.text, true);
    if (flags.scores || texts.size() > 1) text += fmt::format("   ({:.3f})", one.score);
    if (!one.finished) text += "   (cut at the greatest length)";
    text += "\n";
    if (flags.align) text += "  " + moses(one) + "\n";
  }
  if (!notice.empty()) text += "note: " + notice + "\n";
  return text + "\n";
}

}  // namespace

void SequenceFlags::add_to(CLI::App& verb) {
  const char* group = "Texts as output";
  verb.add_option("--beam", beam, "Hypotheses kept; 1: greedy")->group(group);
  verb.add_option("--nbest", best, "Texts per input")->group(group);
  verb.add_option("--length-penalty", length_penalty,
                  "Score: log probability / length to this power; 0 favours short texts")
      ->group(group);
  verb.add_flag("--scores", scores, "Also the score and the log probability")->group(group);
  verb.add_flag("--align", align, "Also which words belong together, as Moses' i-j")->group(group);
  verb.add_flag("--sample", sample, "Draw words instead of searching")->group(group);
  verb.add_option("--temperature", temperature, "Below 1: surer; above 1: bolder")->group(group);
  verb.add_option("--top-k", top_k, "Draw from the k most probable words")->group(group);
  verb.add_option("--top-p", top_p, "Draw from the fewest words with this mass")->group(group);
  verb.add_option("--min-p", min_p, "Draw from words with this share of the best one's")
      ->group(group);
  verb.add_option("--seed", seed, "Of the draws")->group(group);
  verb.add_option("--repetition-penalty", repetition_penalty, "Above 1: repeat less")->group(group);
  verb.add_option("--no-repeat-ngram", no_repeat_ngram, "No n-gram of this size twice")
      ->group(group);
  verb.add_option("--batch", batch_size, "Inputs decoded together")
      ->check(CLI::PositiveNumber)
      ->group(group);
}

bool SequenceFlags::given() const {
  return beam > 0 || best != 1 || length_penalty >= 0 || scores || align || sample;
}

void run_sequences(SequenceTask& task, const InputFlags& input, const SequenceFlags& flags,
                   OutputForm form, const std::filesystem::path& out) {
  const ProduceOptions options = produce_options(task, flags);
  std::string text;
  for (const Sources& sources : read_sources(input, task)) {
    std::vector<std::string> filled;
    for (const std::string& line : sources.lines) {
      if (!is_blank(line)) filled.push_back(line);
    }
    const auto data = task.from_inputs(filled);
    const auto produced = task.produce(*data, options);
    size_t next = 0;
    for (const std::string& line : sources.lines) {
      const bool blank = is_blank(line);
      const std::vector<ProducedText> none;
      const auto& texts = blank ? none : produced[next];
      const std::string notice = blank ? "" : data->notice(static_cast<int64_t>(next));
      if (!blank) ++next;
      text += form == OutputForm::kJson  ? as_json(line, texts, flags, notice)
              : form == OutputForm::kTsv ? as_lines(texts, flags)
                                         : for_person(line, texts, flags, notice);
      if (form == OutputForm::kTsv && !notice.empty()) {
        fmt::print(stderr, "attend: {}: {}\n", visible_text(line, true).substr(0, 60), notice);
      }
    }
  }
  write_output(out, text);
}

}  // namespace attend
