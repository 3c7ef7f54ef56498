// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// `attend run RUN --frontier F.svg`: is there a better trade of quality against diversity, and does
// steering attention find it?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attend/base/error.h"
#include "attend/report/scatter.h"
#include "attend/report/text.h"
#include "generate.h"

namespace attend {
namespace {

struct Setting {
  std::string series;
  double temperature = 1;
  std::map<std::string, double> values;
  bool on_frontier = false;

  double quality() const { return values.at("peer_perplexity"); }  // low is good
  double diversity() const { return values.at("distinct_2"); }     // high is good
};

bool dominates(const Setting& one, const Setting& other) {
  return one.quality() <= other.quality() && one.diversity() >= other.diversity() &&
         (one.quality() < other.quality() || one.diversity() > other.diversity());
}

// The plain series' perplexity at a diversity, between its neighbours; NaN outside their range.
double plain_quality_at(const std::vector<Setting>& settings, double diversity) {
  std::vector<const Setting*> plain;
  for (const Setting& one : settings) {
    if (one.series == "plain") plain.push_back(&one);
  }
  std::sort(plain.begin(), plain.end(), [](const Setting* left, const Setting* right) {
    return left->diversity() < right->diversity();
  });
  for (size_t i = 0; i + 1 < plain.size(); ++i) {
    const double low = plain[i]->diversity(), high = plain[i + 1]->diversity();
    if (diversity < low || diversity > high || high <= low) continue;
    const double share = (diversity - low) / (high - low);
    return std::exp((1 - share) * std::log(plain[i]->quality()) +
                    share * std::log(plain[i + 1]->quality()));
  }
  return std::nan("");
}

// One sentence per steered series: better or worse than plain drawing of the same diversity.
std::string verdict(const std::vector<Setting>& settings) {
  std::map<std::string, std::vector<double>> changes;
  for (const Setting& one : settings) {
    if (one.series == "plain") continue;
    const double plain = plain_quality_at(settings, one.diversity());
    auto& list = changes[one.series];
    if (std::isfinite(plain)) list.push_back(std::log(one.quality() / plain));
  }
  std::string text;
  for (const auto& [series, list] : changes) {
    if (!text.empty()) text += "; ";
    if (list.empty()) {
      text += series + ": outside the diversity of plain drawing";
      continue;
    }
    double sum = 0;
    for (const double change : list) sum += change;
    const double percent = 100 * (std::exp(sum / static_cast<double>(list.size())) - 1);
    text += fmt::format("{}: perplexity {:+.1f} % against plain drawing of the same diversity, {}",
                        series, percent,
                        percent < -1  ? "better with this seed"
                        : percent > 1 ? "worse with this seed"
                                      : "no difference");
  }
  return text;
}

}  // namespace

void write_frontier(const GenerateJob& job) {
  const std::vector<double> temperatures = {0.6, 0.8, 1.0, 1.2};
  struct Series {
    std::string name;
    double attention_temperature;
    bool emphasis;
  };
  std::vector<Series> steerings = {
      {"plain", 1, false}, {"attention / 0.8", 0.8, false}, {"attention / 1.25", 1.25, false}};
  const std::string prompt = job.inputs.empty() ? job.request.prompt : job.inputs[0];
  GenerateRequest base = job.request;
  base.prompt = prompt;
  if (base.emphasis.empty() && !prompt.empty()) base.emphasis = {{prompt, 4}};
  if (!base.emphasis.empty()) {
    steerings.push_back({"emphasis", 1, true});
  }
  if (base.count < 2) base.count = 100;
  GenerateJob measured_job{job.run, job.generator, base, job.flags, {}, job.out, job.form};
  std::vector<Setting> settings;
  for (const Series& steering : steerings) {
    for (const double temperature : temperatures) {
      GenerateRequest request = base;
      request.search.temperature = temperature;
      request.attention_temperature = steering.attention_temperature;
      if (!steering.emphasis) request.emphasis.clear();
      std::vector<std::string> texts;
      for (const GeneratedText& one : job.generator.generate(request)) texts.push_back(one.text);
      settings.push_back({steering.name, temperature, measured(measured_job, texts), false});
    }
  }
  for (Setting& one : settings) {
    one.on_frontier = std::none_of(settings.begin(), settings.end(),
                                   [&](const Setting& other) { return dominates(other, one); });
  }
  ScatterPlot plot;
  plot.title = "Quality against diversity";
  plot.x_label = "distinct-2 (more varied to the right)";
  plot.y_label = "perplexity under a 5-gram model (more usual below)";
  plot.mark_label = "on the frontier";
  std::string table = "steering\ttemperature\tpeer_perplexity\tdistinct_2\tcopied_lines\t";
  table += prompt.empty() ? "frontier\n" : "theme_adherence\tfrontier\n";
  for (const Setting& one : settings) {
    plot.points.push_back({one.diversity(), one.quality(), one.series,
                           fmt::format("T {:.1f}", one.temperature), one.on_frontier});
    table += fmt::format("{}\t{:.1f}\t{:.2f}\t{:.4f}\t{:.4f}\t", one.series, one.temperature,
                         one.quality(), one.diversity(), one.values.at("copied_lines"));
    if (!prompt.empty()) table += fmt::format("{:.4f}\t", one.values.at("theme_adherence"));
    table += one.on_frontier ? "yes\n" : "no\n";
  }
  const auto people = reference_texts(job);
  if (!people.empty()) {
    const auto same = spread(people, static_cast<size_t>(base.count));
    const auto values = measured(measured_job, same);
    plot.points.push_back({values.at("distinct_2"), values.at("peer_perplexity"),
                           fmt::format("human ({} texts)", same.size()), "", false});
    table += fmt::format("human\t-\t{:.2f}\t{:.4f}\t{:.4f}\t", values.at("peer_perplexity"),
                         values.at("distinct_2"), values.at("copied_lines"));
    if (!prompt.empty()) table += fmt::format("{:.4f}\t", values.at("theme_adherence"));
    table += "-\n";
  }
  const std::string words = verdict(settings);
  plot.caption = fmt::format("{} texts per point. {}. {}", base.count, words, command_line());
  write_output(job.flags.frontier, scatter_svg(plot));
  write_output(job.out, table + "# " + words + "\n");
}

}  // namespace attend
