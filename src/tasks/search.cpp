// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/nn/log_sum_exp.h"
#include "search_internal.h"

namespace attend {
namespace {

void require(bool holds, const std::string& name, const std::string& value,
             const std::string& rule) {
  if (!holds) throw usage_error(name + " is " + value + "; it must be " + rule);
}

// A sequence while it grows.
struct Growing {
  int64_t group = 0;   // as the caller numbers them
  int64_t sample = 0;  // of those of its group
  Random random{0};
  Hypothesis hypothesis;
};

// The index drawn from softmax(logits / temperature) after the cuts.
int64_t draw(std::span<const float> logits, const SearchOptions& options, Random& random) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) order.push_back(static_cast<int64_t>(i));
  }
  const auto of = [&](int64_t index) { return logits[static_cast<size_t>(index)]; };
  // Ties by index, so that the draw does not depend on the sort.
  const auto likelier = [&](int64_t left, int64_t right) {
    return of(left) != of(right) ? of(left) > of(right) : left < right;
  };
  size_t kept = order.size();
  if (options.top_k > 0) kept = std::min(kept, static_cast<size_t>(options.top_k));
  if (kept < order.size() || options.top_p < 1 || options.min_p > 0) {
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                      likelier);
  }
  order.resize(kept);
  const float largest = of(*std::min_element(order.begin(), order.end(), likelier));
  std::vector<double> mass;
  mass.reserve(order.size());
  for (const int64_t index : order) {
    mass.push_back(std::exp((static_cast<double>(of(index)) - largest) / options.temperature));
  }
  double total = std::accumulate(mass.begin(), mass.end(), 0.0);
  if (options.top_p < 1 || options.min_p > 0) {
    double seen = 0;
    size_t count = 0;
    while (count < mass.size() && (count == 0 || (seen < options.top_p * total &&
                                                  mass[count] >= options.min_p * mass[0]))) {
      seen += mass[count++];
    }
    mass.resize(count);
    total = seen;
  }
  double point = random.uniform() * total;
  for (size_t i = 0; i + 1 < mass.size(); ++i) {
    point -= mass[i];
    if (point < 0) return order[i];
  }
  return order[mass.size() - 1];
}

// The next token of each sequence, none where nothing may follow. At the first step of several
// samples all of a group go on from what the model has read for it (`spread` becomes true).
std::vector<std::vector<RankedOutput>> next_tokens_of(NextTokenModel& model,
                                                      const SearchOptions& options,
                                                      const torch::Tensor& tokens, bool& spread,
                                                      std::vector<Growing>& growing) {
  if (spread && !options.sample && internal::is_plain(options)) {
    return model.next_ranked(tokens, 1, options.forbidden);
  }
  torch::Tensor logits = model.next(tokens).to(torch::kFloat).contiguous();
  if (!spread) {
    const torch::Tensor groups = torch::arange(logits.size(0));
    const torch::Tensor rows = groups.repeat_interleave(options.best);
    model.keep(rows, groups);
    logits = logits.index_select(0, rows);
    spread = true;
  }
  const auto vocabulary = static_cast<size_t>(logits.size(1));
  std::vector<std::vector<RankedOutput>> chosen(growing.size());
  for (size_t i = 0; i < growing.size(); ++i) {
    const std::span<float> row(logits.data_ptr<float>() + i * vocabulary, vocabulary);
    internal::adjust_logits(options, growing[i].group, growing[i].hypothesis.tokens, row);
    const float total = log_sum_exp(row);
    if (!std::isfinite(total)) continue;
    const int64_t token = options.sample ? draw(row, options, growing[i].random)
                                         : std::max_element(row.begin(), row.end()) - row.begin();
    chosen[i].push_back({row[static_cast<size_t>(token)] - total, token});
  }
  return chosen;
}

std::vector<std::vector<Hypothesis>> step_search(NextTokenModel& model, int64_t groups,
                                                 const SearchOptions& options) {
  std::vector<std::vector<Hypothesis>> results(static_cast<size_t>(groups));
  std::vector<Growing> growing;
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t sample = 0; sample < options.best; ++sample) {
      Growing one;
      one.group = group;
      one.sample = sample;
      // The same draws whatever stands beside it in the batch.
      one.random = Random(options.seed);
      one.random =
          Random(one.random.next_u64() ^
                 (options.first_group + static_cast<uint64_t>(group)) * 0x9e3779b97f4a7c15u ^
                 (static_cast<uint64_t>(sample) << 48));
      growing.push_back(std::move(one));
    }
    results[static_cast<size_t>(group)].resize(static_cast<size_t>(options.best));
  }
  std::vector<std::vector<bool>> settled(
      static_cast<size_t>(groups), std::vector<bool>(static_cast<size_t>(options.best), false));
  torch::Tensor tokens = torch::full({groups}, options.start, torch::kInt64);
  bool spread = options.best == 1;
  while (!growing.empty()) {
    if (interrupted()) break;
    const auto next = next_tokens_of(model, options, tokens, spread, growing);
    std::vector<int64_t> chosen(growing.size(), options.end);
    std::vector<bool> done(growing.size());
    for (size_t i = 0; i < growing.size(); ++i) {
      Growing& one = growing[i];
      if (next[i].empty()) {
        // Nothing may follow: the sequence stays as it is, unfinished.
        one.hypothesis.score =
            internal::normalised(options, one.hypothesis.log_probability,
                                 static_cast<int64_t>(one.hypothesis.log_probabilities.size()));
        done[i] = true;
        continue;
      }
      const int64_t token = next[i].front().index;
      chosen[i] = token;
      Hypothesis& hypothesis = one.hypothesis;
      const double log_probability = next[i].front().log_probability;
      hypothesis.log_probabilities.push_back(log_probability);
      hypothesis.log_probability += log_probability;
      if (options.stream) options.stream(one.group, token);
      if (token == options.end) {
        hypothesis.finished = true;
      } else {
        hypothesis.tokens.push_back(token);
        if (options.stop && options.stop(one.group, hypothesis.tokens)) hypothesis.finished = true;
      }
      const auto length = static_cast<int64_t>(hypothesis.log_probabilities.size());
      done[i] = hypothesis.finished || length >= internal::max_length(options, one.group);
      if (done[i])
        hypothesis.score = internal::normalised(options, hypothesis.log_probability, length);
    }
    // A group stays until all of its samples are done, since groups are of one size.
    std::vector<int64_t> rows, kept_groups, next_tokens;
    std::vector<Growing> still;
    for (size_t first = 0; first < growing.size(); first += static_cast<size_t>(options.best)) {
      const size_t end = first + static_cast<size_t>(options.best);
      const auto group = static_cast<size_t>(growing[first].group);
      for (size_t i = first; i < end; ++i) {
        const auto sample = static_cast<size_t>(growing[i].sample);
        // What an ended sample goes on to say beside its neighbours is not looked at.
        if (!done[i] || settled[group][sample]) continue;
        results[group][sample] = growing[i].hypothesis;
        settled[group][sample] = true;
      }
      if (std::all_of(settled[group].begin(), settled[group].end(), [](bool one) { return one; })) {
        continue;
      }
      kept_groups.push_back(static_cast<int64_t>(first) / options.best);
      for (size_t i = first; i < end; ++i) {
        rows.push_back(static_cast<int64_t>(i));
        next_tokens.push_back(chosen[i]);
        still.push_back(std::move(growing[i]));
      }
    }
    if (still.size() < growing.size() && !still.empty()) {
      model.keep(torch::tensor(rows), torch::tensor(kept_groups));
    }
    growing = std::move(still);
    tokens = torch::tensor(next_tokens, torch::kInt64);
  }
  for (auto& group : results) {
    std::stable_sort(
        group.begin(), group.end(),
        [](const Hypothesis& left, const Hypothesis& right) { return left.score > right.score; });
  }
  return results;
}

}  // namespace

namespace internal {

int64_t max_length(const SearchOptions& options, int64_t group) {
  const auto& lengths = options.max_length;
  return lengths.size() == 1 ? lengths[0] : lengths[static_cast<size_t>(group)];
}

double normalised(const SearchOptions& options, double log_probability, int64_t length) {
  return log_probability /
         std::pow(static_cast<double>(std::max<int64_t>(1, length)), options.length_penalty);
}

bool is_plain(const SearchOptions& options) {
  return options.repetition_penalty == 1 && options.no_repeat_ngram == 0 && !options.adjust &&
         options.min_length == 0;
}

void adjust_logits(const SearchOptions& options, int64_t group, std::span<const int64_t> tokens,
                   std::span<float> logits) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  if (options.repetition_penalty != 1) {
    std::vector<int64_t> seen(tokens.begin(), tokens.end());
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    const auto penalty = static_cast<float>(options.repetition_penalty);
    for (const int64_t token : seen) {
      float& logit = logits[static_cast<size_t>(token)];
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
  }
  const auto n = static_cast<size_t>(options.no_repeat_ngram);
  if (n > 0 && tokens.size() + 1 >= n) {
    const auto tail = tokens.last(n - 1);
    for (size_t at = 0; at + n <= tokens.size(); ++at) {
      if (std::equal(tail.begin(), tail.end(), tokens.begin() + static_cast<std::ptrdiff_t>(at))) {
        logits[static_cast<size_t>(tokens[at + n - 1])] = kNever;
      }
    }
  }
  for (const int64_t token : options.forbidden) logits[static_cast<size_t>(token)] = kNever;
  if (static_cast<int64_t>(tokens.size()) < options.min_length) {
    logits[static_cast<size_t>(options.end)] = kNever;
  }
  if (options.adjust) options.adjust(group, tokens, logits);
}

}  // namespace internal

std::vector<std::vector<RankedOutput>> NextTokenModel::next_ranked(
    const torch::Tensor& tokens, int64_t count, const std::vector<int64_t>& excluded) {
  return ranked_outputs(next(tokens), count, excluded);
}

void check_options(const SearchOptions& options, int64_t vocabulary) {
  const auto whole = [](int64_t value) { return std::to_string(value); };
  const auto number = [](double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    return text;
  };
  require(options.beam >= 1, "beam", whole(options.beam), "1 or more");
  require(options.beam <= vocabulary, "beam", whole(options.beam),
          "at most the vocabulary's " + whole(vocabulary) + " tokens");
  require(options.best >= 1, "nbest", whole(options.best), "1 or more");
  require(options.sample || options.best <= options.beam, "nbest", whole(options.best),
          "at most the beam (" + whole(options.beam) + "): widen the beam, or sample");
  require(!options.sample || options.beam == 1, "beam", whole(options.beam), "1 when sampling");
  for (const int64_t length : options.max_length) {
    require(length >= 1, "max_length", whole(length), "1 or more");
  }
  require(options.temperature > 0, "temperature", number(options.temperature), "above 0");
  require(options.top_k >= 0, "top_k", whole(options.top_k), "0 (all) or more");
  require(options.top_p > 0 && options.top_p <= 1, "top_p", number(options.top_p),
          "above 0 and at most 1");
  require(options.min_p >= 0 && options.min_p <= 1, "min_p", number(options.min_p), "from 0 to 1");
  require(options.repetition_penalty >= 1, "repetition_penalty", number(options.repetition_penalty),
          "1 (off) or more");
  require(options.no_repeat_ngram >= 0, "no_repeat_ngram", whole(options.no_repeat_ngram),
          "0 (off) or more");
}

std::vector<std::vector<Hypothesis>> search(NextTokenModel& model, int64_t groups,
                                            const SearchOptions& options) {
  const torch::NoGradGuard no_grad;
  if (groups == 0) return {};
  return options.beam == 1 ? step_search(model, groups, options)
                           : internal::beam_search(model, groups, options);
}

}  // namespace attend
