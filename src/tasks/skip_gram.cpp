// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "skip_gram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"

namespace attend {
namespace {

class SkipGram {
 public:
  SkipGram(std::span<const std::vector<int64_t>> texts, int64_t vocabulary, int64_t first_id,
           const SkipGramOptions& options)
      : texts_(texts),
        first_id_(first_id),
        options_(options),
        dim_(static_cast<size_t>(options.dim)),
        random_(options.seed),
        counts_(static_cast<size_t>(vocabulary), 0),
        centres_(static_cast<size_t>(vocabulary) * dim_, 0.0F),
        contexts_(centres_.size(), 0.0F),
        change_(dim_) {
    for (const auto& text : texts_) {
      for (const int64_t id : text) {
        if (id < first_id_) continue;
        ++counts_[static_cast<size_t>(id)];
        ++total_;
      }
    }
    double sum = 0;
    for (const int64_t count : counts_) {
      sum += std::pow(static_cast<double>(count), 0.75);
      cumulative_.push_back(sum);
    }
    for (size_t id = 0; id < counts_.size(); ++id) {
      if (counts_[id] == 0) continue;
      for (size_t d = 0; d < dim_; ++d) {
        centres_[id * dim_ + d] =
            static_cast<float>((random_.uniform() - 0.5) / static_cast<double>(dim_));
      }
    }
  }

  std::vector<float> run() {
    std::vector<size_t> order(texts_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (int64_t epoch = 0; total_ > 0 && epoch < options_.epochs; ++epoch) {
      random_.shuffle(std::span<size_t>(order));
      for (const size_t index : order) {
        if (interrupted()) {
          throw Error(ExitCode::kInterrupted,
                      "interrupted while pre-training, which leaves nothing behind; give the same "
                      "command again");
        }
        visit(texts_[index]);
      }
    }
    return std::move(centres_);
  }

 private:
  void visit(const std::vector<int64_t>& text) {
    kept_.clear();
    for (const int64_t id : text) {
      if (id < first_id_) continue;
      ++seen_;
      if (random_.uniform() < keep_probability(static_cast<size_t>(id))) {
        kept_.push_back(static_cast<size_t>(id));
      }
    }
    const double done =
        static_cast<double>(seen_) / static_cast<double>(total_ * options_.epochs + 1);
    rate_ = static_cast<float>(options_.learning_rate * std::max(1e-4, 1 - done));
    for (size_t at = 0; at < kept_.size(); ++at) {
      const size_t reach = 1 + random_.below(static_cast<uint64_t>(options_.window));
      const size_t begin = at > reach ? at - reach : 0;
      const size_t end = std::min(kept_.size(), at + reach + 1);
      for (size_t other = begin; other < end; ++other) {
        if (other != at) pair(kept_[at], kept_[other]);
      }
    }
  }

  double keep_probability(size_t id) const {
    if (options_.subsample <= 0) return 1;
    const double share = static_cast<double>(counts_[id]) / static_cast<double>(total_);
    return std::sqrt(options_.subsample / share) + options_.subsample / share;
  }

  void pair(size_t centre, size_t context) {
    float* vector = centres_.data() + centre * dim_;
    std::fill(change_.begin(), change_.end(), 0.0F);
    for (int64_t n = 0; n <= options_.negatives; ++n) {
      const size_t target = n == 0 ? context : draw();
      if (n > 0 && target == context) continue;
      float* row = contexts_.data() + target * dim_;
      float dot = 0;
#pragma omp simd reduction(+ : dot)
      for (size_t d = 0; d < dim_; ++d) dot += vector[d] * row[d];
      const float step = rate_ * ((n == 0 ? 1.0F : 0.0F) - 1 / (1 + std::exp(-dot)));
#pragma omp simd
      for (size_t d = 0; d < dim_; ++d) {
        change_[d] += step * row[d];
        row[d] += step * vector[d];
      }
    }
    for (size_t d = 0; d < dim_; ++d) vector[d] += change_[d];
  }

  size_t draw() {
    const double at = random_.uniform() * cumulative_.back();
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
    return std::min(static_cast<size_t>(found - cumulative_.begin()), counts_.size() - 1);
  }

  std::span<const std::vector<int64_t>> texts_;
  int64_t first_id_;
  const SkipGramOptions& options_;
  size_t dim_;
  Random random_;
  std::vector<int64_t> counts_;
  std::vector<double> cumulative_;  // of count^0.75
  std::vector<float> centres_;
  std::vector<float> contexts_;
  std::vector<float> change_;
  std::vector<size_t> kept_;
  int64_t total_ = 0;
  int64_t seen_ = 0;
  float rate_ = 0;
};

}  // namespace

std::vector<float> train_skip_gram(std::span<const std::vector<int64_t>> texts, int64_t vocabulary,
                                   int64_t first_id, const SkipGramOptions& options) {
  return SkipGram(texts, vocabulary, first_id, options).run();
}

}  // namespace attend
