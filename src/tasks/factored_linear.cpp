// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "factored_linear.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"

namespace attend {
namespace {

class FactoredLinear {
 public:
  FactoredLinear(const SparseRows& rows, int64_t features, int64_t classes,
                 const FactoredLinearOptions& options)
      : rows_(rows),
        options_(options),
        dim_(static_cast<size_t>(options.dim)),
        classes_(static_cast<size_t>(classes)),
        random_(options.seed),
        vectors_(drawn(static_cast<size_t>(features) * dim_, 0.1)),
        vector_squares_(static_cast<size_t>(features), kFirstSquare),
        matrix_(drawn(dim_ * classes_, 0.3)),
        matrix_squares_(matrix_.size(), kFirstSquare),
        biases_(classes_, 0.0F),
        bias_squares_(classes_, kFirstSquare),
        text_(dim_),
        change_(dim_),
        scores_(classes_) {}

  LinearScorer run(std::span<const int64_t> labels) {
    std::vector<size_t> order(labels.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (int64_t epoch = 0; epoch < options_.epochs; ++epoch) {
      if (interrupted()) {
        throw Error(ExitCode::kInterrupted,
                    "interrupted while fitting the wide term, which leaves nothing behind; give "
                    "the same command again");
      }
      const double done = static_cast<double>(epoch) / static_cast<double>(options_.epochs);
      rate_ = static_cast<float>(options_.learning_rate * (1 - 0.9 * done));
      random_.shuffle(std::span<size_t>(order));
      for (const size_t row : order) visit(row, static_cast<size_t>(labels[row]));
    }
    return product();
  }

 private:
  // Adagrad's sums of squared gradients begin here.
  static constexpr float kFirstSquare = 1e-6F;

  // Uniform with mean 0.
  std::vector<float> drawn(size_t count, double deviation) {
    std::vector<float> values(count);
    for (float& value : values) {
      value = static_cast<float>((random_.uniform() - 0.5) * std::sqrt(12.0) * deviation);
    }
    return values;
  }

  void visit(size_t row, size_t label) {
    kept_.clear();
    for (int64_t e = rows_.offsets[row]; e < rows_.offsets[row + 1]; ++e) {
      if (random_.uniform() >= options_.dropout) kept_.push_back(static_cast<size_t>(e));
    }
    forward();
    descend(label, rows_.weights.empty() ? 1.0F : rows_.weights[row]);
  }

  // Class probabilities of the n-grams kept, into scores_.
  void forward() {
    std::fill(text_.begin(), text_.end(), 0.0F);
    for (const size_t entry : kept_) {
      const float* vector = vector_of(entry);
      const float value = rows_.values[entry];
#pragma omp simd
      for (size_t d = 0; d < dim_; ++d) text_[d] += value * vector[d];
    }
    scores_ = biases_;
    for (size_t d = 0; d < dim_; ++d) {
      const float* line = matrix_.data() + d * classes_;
      for (size_t c = 0; c < classes_; ++c) scores_[c] += text_[d] * line[c];
    }
    const float top = *std::max_element(scores_.begin(), scores_.end());
    float sum = 0;
    for (float& score : scores_) {
      score = std::exp(score - top);
      sum += score;
    }
    for (float& score : scores_) score /= sum;
  }

  void descend(size_t label, float weight) {
    const auto smoothing = static_cast<float>(options_.label_smoothing);
    std::vector<float>& gradient = scores_;  // of the loss by the scores
    for (size_t c = 0; c < classes_; ++c) {
      const float goal =
          smoothing / static_cast<float>(classes_) + (c == label ? 1 - smoothing : 0.0F);
      gradient[c] = weight * (gradient[c] - goal);
    }
    float square = 0;
    // The matrix is shared by all n-grams and would run ahead of them at their rate.
    const float shared_rate = 0.3F * rate_;
    for (size_t d = 0; d < dim_; ++d) {
      float* line = matrix_.data() + d * classes_;
      float* squares = matrix_squares_.data() + d * classes_;
      float sum = 0;
      for (size_t c = 0; c < classes_; ++c) {
        sum += gradient[c] * line[c];
        step(line[c], squares[c], text_[d] * gradient[c], shared_rate);
      }
      change_[d] = sum;
      square += sum * sum / static_cast<float>(dim_);
    }
    for (size_t c = 0; c < classes_; ++c) {
      step(biases_[c], bias_squares_[c], gradient[c], shared_rate);
    }
    // One sum of squares per n-gram serves its whole vector.
    for (const size_t entry : kept_) {
      const float value = rows_.values[entry];
      float& seen = vector_squares_[static_cast<size_t>(rows_.features[entry])];
      seen += square * value * value;
      const float length = rate_ * value / std::sqrt(seen);
      float* vector = vector_of(entry);
#pragma omp simd
      for (size_t d = 0; d < dim_; ++d) vector[d] -= length * change_[d];
    }
  }

  static void step(float& value, float& squares, float gradient, float rate) {
    squares += gradient * gradient;
    value -= rate * gradient / std::sqrt(squares);
  }

  float* vector_of(size_t entry) {
    return vectors_.data() + static_cast<size_t>(rows_.features[entry]) * dim_;
  }

  LinearScorer product() const {
    LinearScorer scorer;
    scorer.classes = static_cast<int64_t>(classes_);
    scorer.biases = biases_;
    scorer.weights.assign(vector_squares_.size() * classes_, 0.0F);
    for (size_t f = 0; f < vector_squares_.size(); ++f) {
      // An n-gram that no example holds says nothing; its vector is still the drawn one.
      if (vector_squares_[f] == kFirstSquare) continue;
      for (size_t d = 0; d < dim_; ++d) {
        for (size_t c = 0; c < classes_; ++c) {
          scorer.weights[f * classes_ + c] += vectors_[f * dim_ + d] * matrix_[d * classes_ + c];
        }
      }
    }
    return scorer;
  }

  const SparseRows& rows_;
  const FactoredLinearOptions& options_;
  size_t dim_;
  size_t classes_;
  Random random_;
  std::vector<float> vectors_;  // [features, dim]
  std::vector<float> vector_squares_;
  std::vector<float> matrix_;  // [dim, classes]
  std::vector<float> matrix_squares_;
  std::vector<float> biases_;
  std::vector<float> bias_squares_;
  std::vector<size_t> kept_;  // entries of the example at hand
  std::vector<float> text_;   // sum of their vectors
  std::vector<float> change_;
  std::vector<float> scores_;
  float rate_ = 0;
};

}  // namespace

LinearScorer fit_factored_linear(const SparseRows& rows, std::span<const int64_t> labels,
                                 int64_t features, int64_t classes,
                                 const FactoredLinearOptions& options) {
  return FactoredLinear(rows, features, classes, options).run(labels);
}

}  // namespace attend
