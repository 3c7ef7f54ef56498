// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "attend/data/unit.h"
#include "attend/tasks/constraints.h"
#include "attend/tasks/search.h"

namespace attend {

/// A word of the prompt or of the beginning whose keys get `factor` times the weight they would
/// have had, before the weights are made to add up again.
struct Emphasis {
  std::string word;
  double factor = 1;  ///< > 0; below 1 plays down
};

/// What to write.
struct GenerateRequest {
  std::string prompt;  ///< title or theme, where the model was trained with prompts
  std::string begin;   ///< the text begins so
  std::string end;     ///< infilling: this stands behind the part to write
  bool infill = false;
  int64_t count = 1;              ///< texts
  ConstraintOptions constraints;  ///< `begin`, `end` and `longest` are set from the rest
  /// How to choose tokens; start, end, forbidden and adjust are set here. `max_length` counts the
  /// generated part; it is cut to what the context has room for.
  SearchOptions search;
  std::vector<Emphasis> emphasis;
  double attention_temperature = 1;  ///< > 0; below 1 sharpens all attention, above 1 flattens it
  bool sources = false;              ///< record what each token attended to
  /// Told each piece of the first text as it is written; may be empty.
  std::function<void(const std::string&)> stream;
};

/// What one generated token drew on: the mean weight over layers and heads of its query on each
/// token before it, [CLS] left out.
struct TokenSources {
  std::string token;
  std::vector<double> weights;  ///< one per entry of GeneratedText::context up to this token
};

struct GeneratedText {
  std::string text;                   ///< with what was given as its beginning and behind a gap
  std::string generated;              ///< only what the model wrote
  double log_probability = 0;         ///< of the generated tokens, nats
  int64_t tokens = 0;                 ///< generated, the end included
  bool finished = false;              ///< the text came to its end
  std::vector<std::string> context;   ///< tokens read and written, in order; with `sources`
  std::vector<TokenSources> sources;  ///< one per generated token; with `sources`
  std::string notice;                 ///< what the user must know: a prompt that was cut
};

/// A conversation whose context stays in the cache between turns.
class GenerateSession {
 public:
  virtual ~GenerateSession() = default;

  /// Reads `input` behind everything before and writes an answer.
  virtual GeneratedText turn(const std::string& input,
                             const std::function<void(const std::string&)>& stream) = 0;

  /// Forgets everything before.
  virtual void clear() = 0;

  /// Positions in the cache, and how many there is room for.
  virtual int64_t length() const = 0;
  virtual int64_t capacity() const = 0;
};

/// What a task that writes texts offers beside Task; dynamic_cast finds it.
class TextGenerator {
 public:
  virtual ~TextGenerator() = default;

  /// `request.count` texts, in order: text i depends on the seed and i alone. Throws Error(kUsage)
  /// naming a character that the vocabulary cannot spell, or constraints that contradict each
  /// other.
  virtual std::vector<GeneratedText> generate(const GenerateRequest& request) = 0;

  virtual std::unique_ptr<GenerateSession> session(const GenerateRequest& request) = 0;

  /// Whether the model was trained with prompts (titles, themes).
  virtual bool takes_prompts() const = 0;

  /// Throws Error(kModel) if the run did not keep them.
  virtual const std::vector<std::string>& training_texts() const = 0;

  /// Perplexity of texts under a Kneser-Ney 5-gram model of the training texts, over this model's
  /// tokens and the ends.
  virtual double peer_perplexity(const std::vector<std::string>& texts) const = 0;

  /// Texts drawn from a Kneser-Ney model of the training texts: a floor to compare with.
  virtual std::vector<std::string> peer_samples(int64_t order, int64_t count,
                                                uint64_t seed) const = 0;
};

}  // namespace attend
