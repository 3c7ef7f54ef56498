// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cmath>
#include <limits>

#include "attend/base/interrupt.h"
#include "attend/nn/log_sum_exp.h"
#include "attend/nn/parallel.h"
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

// The `count` largest logits of a row as log-probabilities, best first, ties by index; fewer where
// the rest is forbidden. A heap of the best so far: nearly every logit fails its first comparison,
// so that this costs one pass, a block in a few vector comparisons, where sorting would cost more
// than the model.
struct Ranked {
  float log_probability;
  int64_t token;
};
std::vector<Ranked> best_tokens(std::span<const float> logits, int64_t count) {
  const auto better = [](const Ranked& left, const Ranked& right) {
    return left.log_probability != right.log_probability
               ? left.log_probability > right.log_probability
               : left.token < right.token;
  };
  std::vector<Ranked> heap;  // the worst of the best on top
  float threshold = -std::numeric_limits<float>::infinity();
  constexpr size_t kBlock = 64;
  for (size_t block = 0; block < logits.size(); block += kBlock) {
    const size_t end = std::min(block + kBlock, logits.size());
    int any = 0;  // as wide as a logit, for the compiler to compare in vectors
    for (size_t token = block; token < end; ++token) any |= int{logits[token] > threshold};
    for (size_t token = block; any != 0 && token < end; ++token) {
      if (!(logits[token] > threshold)) continue;
      if (static_cast<int64_t>(heap.size()) == count) {
        std::pop_heap(heap.begin(), heap.end(), better);
        heap.pop_back();
      }
      heap.push_back({logits[token], static_cast<int64_t>(token)});
      std::push_heap(heap.begin(), heap.end(), better);
      if (static_cast<int64_t>(heap.size()) == count) threshold = heap.front().log_probability;
    }
  }
  std::sort_heap(heap.begin(), heap.end(), better);
  const float total = log_sum_exp(logits);
  for (Ranked& one : heap) one.log_probability -= total;
  return heap;
}

std::vector<std::vector<Ranked>> best_tokens_of_rows(const torch::Tensor& logits, int64_t count) {
  const int64_t vocabulary = logits.size(1);
  std::vector<std::vector<Ranked>> best(static_cast<size_t>(logits.size(0)));
  const float* numbers = logits.data_ptr<float>();
  at::parallel_for(0, logits.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      best[static_cast<size_t>(row)] =
          best_tokens({numbers + row * vocabulary, static_cast<size_t>(vocabulary)}, count);
    }
  });
  return best;
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
    const auto best = best_tokens_of_rows(logits, candidates);
    std::vector<int64_t> rows, kept_groups, next_tokens;
    std::vector<Beam> still;
    for (int64_t b = 0; b < count; ++b) {
      Beam& beam = beams[static_cast<size_t>(b)];
      struct Candidate {
        double log_probability;
        int64_t row;
        Ranked ranked;
      };
      std::vector<Candidate> ranked;
      for (int64_t h = 0; h < each; ++h) {
        const double so_far = beam.live[static_cast<size_t>(h)].log_probability;
        if (so_far == kNever) continue;
        for (const Ranked& one : best[static_cast<size_t>(b * each + h)]) {
          ranked.push_back({so_far + one.log_probability, b * each + h, one});
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
        const int64_t token = candidate.ranked.token;
        Hypothesis grown = beam.live[static_cast<size_t>(candidate.row % each)];
        grown.log_probabilities.push_back(candidate.ranked.log_probability);
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
