// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "attend/base/interrupt.h"
#include "search_internal.h"

namespace attend::internal {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// One sentence's beam. Fewer live hypotheses than the beam is wide (a small vocabulary, forbidden
// tokens) are filled up with copies that can never win, since groups are of one size.
struct Beam {
  int64_t group = 0;
  std::vector<Hypothesis> live;
  std::vector<Hypothesis> ended;  // best first, at most the beam
};

void end_hypothesis(const SearchOptions& options, Beam& beam, Hypothesis hypothesis) {
  const auto length = static_cast<int64_t>(hypothesis.log_probabilities.size());
  hypothesis.score = normalised(options, hypothesis.log_probability, length);
  const auto place = std::upper_bound(
      beam.ended.begin(), beam.ended.end(), hypothesis,
      [](const Hypothesis& left, const Hypothesis& right) { return left.score > right.score; });
  beam.ended.insert(place, std::move(hypothesis));
  if (static_cast<int64_t>(beam.ended.size()) > options.beam) beam.ended.pop_back();
}

// A hypothesis of the next step: the place in its beam of the one it grew from, and its last token.
struct Grown {
  Hypothesis hypothesis;
  int64_t parent = 0;
  int64_t token = 0;
};

// Whether no live hypothesis can (exact) or is likely to push one of the ended out.
bool is_settled(const SearchOptions& options, const Beam& beam, const std::vector<Grown>& live) {
  if (live.empty()) return true;
  if (static_cast<int64_t>(beam.ended.size()) < options.beam) return false;
  const Hypothesis& best = live.front().hypothesis;
  auto length = static_cast<int64_t>(best.log_probabilities.size());
  // Log probabilities only fall; dividing by the greatest length flatters them most.
  if (options.exact && options.length_penalty > 0) length = max_length(options, beam.group);
  return normalised(options, best.log_probability, length) <= beam.ended.back().score;
}

// The candidates of every live hypothesis: no more than twice the beam's width of one can matter,
// of which at most one is an end.
std::vector<std::vector<RankedOutput>> next_candidates(NextTokenModel& model,
                                                       const SearchOptions& options,
                                                       const std::vector<Beam>& beams,
                                                       const torch::Tensor& tokens) {
  const int64_t count = 2 * options.beam;
  if (is_plain(options)) return model.next_ranked(tokens, count, options.forbidden);
  const torch::Tensor logits = model.next(tokens).to(torch::kFloat).contiguous();
  const auto vocabulary = static_cast<size_t>(logits.size(1));
  float* row = logits.data_ptr<float>();
  for (const Beam& beam : beams) {
    for (const Hypothesis& one : beam.live) {
      adjust_logits(options, beam.group, one.tokens, {row, vocabulary});
      row += vocabulary;
    }
  }
  return ranked_outputs(logits, count);
}

// The hypotheses that the beam goes on with, best first; those that come to an end join the ended.
// `best` are the candidates of each live one.
std::vector<Grown> grow(const SearchOptions& options, Beam& beam,
                        std::span<const std::vector<RankedOutput>> best) {
  struct Candidate {
    double log_probability;
    int64_t parent;
    RankedOutput ranked;
  };
  std::vector<Candidate> candidates;
  for (size_t parent = 0; parent < best.size(); ++parent) {
    const double so_far = beam.live[parent].log_probability;
    if (so_far == kNever) continue;
    for (const RankedOutput& one : best[parent]) {
      candidates.push_back({so_far + one.log_probability, static_cast<int64_t>(parent), one});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& left, const Candidate& right) {
                     return left.log_probability > right.log_probability;
                   });
  // Nothing may follow any of them: they stay as they are, unfinished.
  if (candidates.empty()) {
    for (const Hypothesis& one : beam.live) {
      if (one.log_probability != kNever) end_hypothesis(options, beam, one);
    }
  }
  std::vector<Grown> grown;
  int64_t position = 0;
  for (const Candidate& candidate : candidates) {
    if (static_cast<int64_t>(grown.size()) == options.beam) break;
    const int64_t token = candidate.ranked.index;
    Hypothesis hypothesis = beam.live[static_cast<size_t>(candidate.parent)];
    hypothesis.log_probabilities.push_back(candidate.ranked.log_probability);
    hypothesis.log_probability = candidate.log_probability;
    const bool in_beam = position++ < options.beam;
    if (token == options.end) {
      hypothesis.finished = true;
      // An end below the beam would not have been kept had it been a word.
      if (in_beam || options.exact) end_hypothesis(options, beam, std::move(hypothesis));
      continue;
    }
    hypothesis.tokens.push_back(token);
    if (static_cast<int64_t>(hypothesis.log_probabilities.size()) >=
        max_length(options, beam.group)) {
      end_hypothesis(options, beam, std::move(hypothesis));
      continue;
    }
    grown.push_back({std::move(hypothesis), candidate.parent, token});
  }
  return grown;
}

// `grown` filled up to the width of the beam, in such an order that the first child of a hypothesis
// stands where that stood: the model then moves only what the further children need.
std::vector<Grown> in_place(std::vector<Grown> grown, int64_t width) {
  while (static_cast<int64_t>(grown.size()) < width) {
    grown.push_back(grown.front());
    grown.back().hypothesis.log_probability = kNever;
  }
  std::vector<Grown> placed(grown.size()), others;
  std::vector<bool> taken(grown.size(), false);
  for (Grown& one : grown) {
    const auto at = static_cast<size_t>(one.parent);
    if (taken[at]) {
      others.push_back(std::move(one));
      continue;
    }
    taken[at] = true;
    placed[at] = std::move(one);
  }
  size_t at = 0;
  for (Grown& one : others) {
    while (taken[at]) ++at;
    placed[at++] = std::move(one);
  }
  return placed;
}

// The beams that go on, in an order in which those that end leave the others where they are: the
// last ones fill the gaps.
std::vector<size_t> going_on(const std::vector<std::vector<Grown>>& next) {
  const auto count = static_cast<size_t>(std::count_if(
      next.begin(), next.end(), [](const std::vector<Grown>& one) { return !one.empty(); }));
  std::vector<size_t> order;
  size_t last = next.size();
  for (size_t at = 0; at < count; ++at) {
    size_t from = at;
    while (next[from].empty()) from = --last;
    order.push_back(from);
  }
  return order;
}

}  // namespace

std::vector<std::vector<Hypothesis>> beam_search(NextTokenModel& model, int64_t groups,
                                                 const SearchOptions& options) {
  std::vector<std::vector<Hypothesis>> results(static_cast<size_t>(groups));
  std::vector<Beam> beams(static_cast<size_t>(groups));
  for (int64_t group = 0; group < groups; ++group) {
    beams[static_cast<size_t>(group)].group = group;
    beams[static_cast<size_t>(group)].live.resize(1);
  }
  torch::Tensor tokens = torch::full({groups}, options.start, torch::kInt64);
  while (!beams.empty()) {
    if (interrupted()) break;
    const auto best = next_candidates(model, options, beams, tokens);
    const size_t each = beams.front().live.size();
    std::vector<std::vector<Grown>> next(beams.size());  // empty: the beam has come to its end
    for (size_t b = 0; b < beams.size(); ++b) {
      Beam& beam = beams[b];
      std::vector<Grown> grown = grow(options, beam, std::span(best).subspan(b * each, each));
      if (!is_settled(options, beam, grown)) {
        next[b] = in_place(std::move(grown), options.beam);
        continue;
      }
      auto& result = results[static_cast<size_t>(beam.group)];
      result = std::move(beam.ended);
      if (static_cast<int64_t>(result.size()) > options.best) {
        result.resize(static_cast<size_t>(options.best));
      }
    }
    std::vector<int64_t> rows, kept_groups, next_tokens;
    std::vector<Beam> still;
    for (const size_t b : going_on(next)) {
      beams[b].live.clear();
      for (Grown& one : next[b]) {
        rows.push_back(static_cast<int64_t>(b * each) + one.parent);
        next_tokens.push_back(one.token);
        beams[b].live.push_back(std::move(one.hypothesis));
      }
      kept_groups.push_back(static_cast<int64_t>(b));
      still.push_back(std::move(beams[b]));
    }
    beams = std::move(still);
    if (beams.empty()) break;
    model.keep(torch::tensor(rows, torch::kInt64), torch::tensor(kept_groups, torch::kInt64));
    tokens = torch::tensor(next_tokens, torch::kInt64);
  }
  return results;
}

}  // namespace attend::internal
