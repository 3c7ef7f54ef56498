// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "attend/base/interrupt.h"
#include "search_internal.h"

namespace attend::internal {
namespace {

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

// Whether no live hypothesis can (exact) or is likely to push one of the ended out.
bool is_settled(const SearchOptions& options, const Beam& beam) {
  double best = -std::numeric_limits<double>::infinity();
  int64_t length = 1;
  for (const Hypothesis& one : beam.live) {
    if (one.log_probability <= best) continue;
    best = one.log_probability;
    length = static_cast<int64_t>(one.log_probabilities.size());
  }
  if (best == -std::numeric_limits<double>::infinity()) return true;
  if (static_cast<int64_t>(beam.ended.size()) < options.beam) return false;
  // Log probabilities only fall; dividing by the greatest length flatters them most.
  if (options.exact && options.length_penalty > 0) length = max_length(options, beam.group);
  return normalised(options, best, length) <= beam.ended.back().score;
}

}  // namespace

std::vector<std::vector<Hypothesis>> beam_search(NextTokenModel& model, int64_t groups,
                                                 const SearchOptions& options) {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const int64_t width = options.beam;
  std::vector<std::vector<Hypothesis>> results(static_cast<size_t>(groups));
  std::vector<Beam> beams(static_cast<size_t>(groups));
  for (int64_t group = 0; group < groups; ++group) {
    beams[static_cast<size_t>(group)].group = group;
    beams[static_cast<size_t>(group)].live.resize(1);
  }
  torch::Tensor tokens = torch::full({groups}, options.start, torch::kInt64);
  const bool plain = options.repetition_penalty == 1 && options.no_repeat_ngram == 0 &&
                     !options.adjust && options.min_length == 0;
  const torch::Tensor forbidden = torch::tensor(options.forbidden, torch::kInt64);
  while (!beams.empty()) {
    if (interrupted()) break;
    torch::Tensor logits = model.next(tokens).to(torch::kFloat).contiguous();
    const auto count = static_cast<int64_t>(beams.size());
    const int64_t each = logits.size(0) / count, vocabulary = logits.size(1);
    if (plain) {
      if (!options.forbidden.empty()) {
        logits.index_fill_(1, forbidden, -std::numeric_limits<float>::infinity());
      }
    } else {
      for (int64_t row = 0; row < logits.size(0); ++row) {
        const Beam& beam = beams[static_cast<size_t>(row / each)];
        adjust_logits(
            options, beam.group, beam.live[static_cast<size_t>(row % each)].tokens,
            {logits.data_ptr<float>() + row * vocabulary, static_cast<size_t>(vocabulary)});
      }
    }
    // Candidates of each hypothesis first, then of the beam: no more than 2 * width of either can
    // matter, of which at most one per hypothesis is an end.
    const int64_t candidates = std::min(2 * width, vocabulary);
    const auto [values, indices] = torch::topk(torch::log_softmax(logits, 1), candidates, 1,
                                               /*largest=*/true, /*sorted=*/true);
    const auto value = values.accessor<float, 2>();
    const auto index = indices.accessor<int64_t, 2>();
    std::vector<int64_t> rows, kept_groups, next_tokens;
    std::vector<Beam> still;
    for (int64_t b = 0; b < count; ++b) {
      Beam& beam = beams[static_cast<size_t>(b)];
      struct Candidate {
        double log_probability;
        int64_t row;
        int64_t rank;
      };
      std::vector<Candidate> ranked;
      for (int64_t h = 0; h < each; ++h) {
        const double so_far = beam.live[static_cast<size_t>(h)].log_probability;
        if (so_far == kNever) continue;
        for (int64_t rank = 0; rank < candidates; ++rank) {
          const double step = value[b * each + h][rank];
          if (!std::isfinite(step)) break;  // forbidden; not a number where all are
          ranked.push_back({so_far + step, b * each + h, rank});
        }
      }
      std::stable_sort(ranked.begin(), ranked.end(),
                       [](const Candidate& left, const Candidate& right) {
                         return left.log_probability > right.log_probability;
                       });
      // Nothing may follow any of them: they stay as they are, unfinished.
      if (ranked.empty()) {
        for (const Hypothesis& one : beam.live) {
          if (one.log_probability != kNever) end_hypothesis(options, beam, one);
        }
      }
      std::vector<Hypothesis> live;
      std::vector<int64_t> from, produced;
      int64_t position = 0;
      for (const Candidate& candidate : ranked) {
        if (static_cast<int64_t>(live.size()) == width) break;
        const int64_t token = index[candidate.row][candidate.rank];
        Hypothesis grown = beam.live[static_cast<size_t>(candidate.row % each)];
        grown.log_probabilities.push_back(value[candidate.row][candidate.rank]);
        grown.log_probability = candidate.log_probability;
        const bool in_beam = position++ < width;
        if (token == options.end) {
          grown.finished = true;
          // An end below the beam would not have been kept had it been a word.
          if (in_beam || options.exact) end_hypothesis(options, beam, std::move(grown));
          continue;
        }
        grown.tokens.push_back(token);
        if (static_cast<int64_t>(grown.log_probabilities.size()) >=
            max_length(options, beam.group)) {
          end_hypothesis(options, beam, std::move(grown));
          continue;
        }
        live.push_back(std::move(grown));
        from.push_back(candidate.row);
        produced.push_back(token);
      }
      beam.live = std::move(live);
      if (beam.live.empty() || is_settled(options, beam)) {
        auto& result = results[static_cast<size_t>(beam.group)];
        result = std::move(beam.ended);
        if (static_cast<int64_t>(result.size()) > options.best) {
          result.resize(static_cast<size_t>(options.best));
        }
        continue;
      }
      while (static_cast<int64_t>(beam.live.size()) < width) {
        Hypothesis never = beam.live.front();
        never.log_probability = kNever;
        beam.live.push_back(std::move(never));
        from.push_back(from.front());
        produced.push_back(produced.front());
      }
      kept_groups.push_back(b);
      rows.insert(rows.end(), from.begin(), from.end());
      next_tokens.insert(next_tokens.end(), produced.begin(), produced.end());
      still.push_back(std::move(beam));
    }
    beams = std::move(still);
    if (beams.empty()) break;
    model.keep(torch::tensor(rows, torch::kInt64), torch::tensor(kept_groups, torch::kInt64));
    tokens = torch::tensor(next_tokens, torch::kInt64);
  }
  return results;
}

}  // namespace attend::internal
