// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "generation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "attend/base/random.h"
#include "attend/base/text.h"
#include "generate.h"

namespace attend {
namespace {

constexpr int64_t kBatch = 128;  // texts written side by side

// Throws if the vocabulary has no token for something in `text`.
Encoding spelt(const Tokenizer& tokenizer, const std::string& text, const char* what) {
  Encoding encoding = tokenizer.encode(text);
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    if (encoding.ids[i] != kUnknownId) continue;
    const Span span = encoding.spans[i];
    const std::string one =
        text.substr(static_cast<size_t>(span.begin), static_cast<size_t>(span.end - span.begin));
    throw usage_error(std::string(what) + " \"" + printable(text, 100) +
                      "\": the model's vocabulary cannot spell \"" + printable(one) +
                      "\"; write it otherwise");
  }
  return encoding;
}

// What each id spells in a text; special ids nothing.
std::vector<std::string> spellings(const Tokenizer& tokenizer) {
  std::vector<std::string> all(static_cast<size_t>(tokenizer.vocab_size()));
  for (int64_t id = kSpecialCount; id < tokenizer.vocab_size(); ++id) {
    constexpr std::string_view kSpace = "▁";  // SentencePiece's mark of it
    const std::string token = tokenizer.token_text(id);
    std::string& text = all[static_cast<size_t>(id)];
    for (size_t at = 0; at < token.size();) {
      const bool space = std::string_view(token).substr(at, kSpace.size()) == kSpace;
      text += space ? ' ' : token[at];
      at += space ? kSpace.size() : 1;
    }
  }
  return all;
}

// The constraints of each text that is being written, as the rule that the search asks for.
class ConstraintRule {
 public:
  ConstraintRule(const ConstraintOptions& options, const Tokenizer& tokenizer, int64_t texts)
      : constraints_(options, spellings(tokenizer), kSeparatorId),
        written_(static_cast<size_t>(texts)),
        states_(static_cast<size_t>(texts), constraints_.start()) {}

  void operator()(int64_t text, std::span<const int64_t> tokens, std::span<float> logits) {
    std::vector<int64_t>& written = written_[static_cast<size_t>(text)];
    ConstraintState& state = states_[static_cast<size_t>(text)];
    // A beam hands over other hypotheses of the same text; those are read from the beginning.
    if (written.size() > tokens.size() ||
        !std::equal(written.begin(), written.end(), tokens.begin())) {
      written.clear();
      state = constraints_.start();
    }
    for (size_t i = written.size(); i < tokens.size(); ++i) {
      state = constraints_.advance(state, tokens[i]);
      written.push_back(tokens[i]);
    }
    constraints_.mask(state, allowed_);
    for (size_t id = 0; id < logits.size(); ++id) {
      if (!allowed_[id]) logits[id] = -std::numeric_limits<float>::infinity();
    }
  }

 private:
  Constraints constraints_;
  std::vector<std::vector<int64_t>> written_;
  std::vector<ConstraintState> states_;
  std::vector<uint8_t> allowed_;
};

// What is emphasised among the positions of `tokens`, and how sharp attention is. In a conversation
// a word may come up later.
std::vector<AttentionEdit> edits_of(const GenerateRequest& request, const Tokenizer& tokenizer,
                                    std::span<const int64_t> tokens, bool must_occur) {
  std::vector<AttentionEdit> edits;
  if (!(request.attention_temperature > 0)) {
    throw usage_error("--attention-temperature must be above 0");
  }
  if (request.attention_temperature != 1) {
    AttentionEdit edit;
    edit.temperature = request.attention_temperature;
    edits.push_back(edit);
  }
  if (request.emphasis.empty()) return edits;
  AttentionEdit edit;
  edit.key_bias = torch::zeros({1, static_cast<int64_t>(tokens.size())});
  for (const Emphasis& one : request.emphasis) {
    const std::string flag = "--emphasize " + one.word;
    if (!(one.factor > 0)) throw usage_error(flag + ": the factor must be above 0");
    const auto word = spelt(tokenizer, one.word, "--emphasize").ids;
    bool found = false;
    for (size_t i = 0; !word.empty() && i + word.size() <= tokens.size(); ++i) {
      if (!std::equal(word.begin(), word.end(), tokens.begin() + static_cast<std::ptrdiff_t>(i))) {
        continue;
      }
      found = true;
      for (size_t k = 0; k < word.size(); ++k) {
        edit.key_bias[0][static_cast<int64_t>(i + k)] = std::log(one.factor);
      }
    }
    if (!found && must_occur) {
      throw usage_error(flag + ": neither --prompt nor --begin has it; emphasise what is there");
    }
  }
  edits.push_back(edit);
  return edits;
}

// Keeps the last of the tokens that fit into `room` and says so.
void cut(std::vector<int64_t>& tokens, int64_t room, const std::string& what, std::string& notice) {
  const auto size = static_cast<int64_t>(tokens.size());
  if (size <= room) return;
  tokens.erase(tokens.begin(), tokens.begin() + (size - room));
  if (!notice.empty()) notice += "; ";
  notice += what + " has " + std::to_string(size) +
            " tokens, of which the context holds the last " + std::to_string(room) +
            " (text.max_length)";
}

}  // namespace

PromptedModel::PromptedModel(LanguageModel model, std::vector<int64_t> prompt, int64_t sequences,
                             DecoderState& state, const std::vector<AttentionEdit>& edits,
                             bool sources)
    : model_(std::move(model)), prompt_(std::move(prompt)), state_(state) {
  request_.edits = edits;
  if (sources) request_.trace = TraceRequest::all_weights();
  numbers_.resize(static_cast<size_t>(sequences));
  std::iota(numbers_.begin(), numbers_.end(), int64_t{0});
  sources_.resize(sources ? numbers_.size() : 0);
}

void PromptedModel::record(const Trace& trace) {
  if (sources_.empty()) return;
  torch::Tensor mean;  // [batch, keys]
  for (const LayerTrace& layer : trace.layers) {
    const torch::Tensor last = layer.weights.select(2, layer.weights.size(2) - 1).mean(1);
    mean = mean.defined() ? mean + last : last;
  }
  mean = (mean / static_cast<double>(trace.layers.size())).to(torch::kFloat).contiguous();
  for (size_t i = 0; i < numbers_.size(); ++i) {
    // All sequences share the prompt's batch of one.
    const float* row = mean.data_ptr<float>() + (mean.size(0) == 1 ? 0 : i) * mean.size(1);
    sources_[static_cast<size_t>(numbers_[i])].emplace_back(row, row + mean.size(1));
  }
}

torch::Tensor PromptedModel::next(const torch::Tensor& tokens) {
  torch::NoGradGuard no_grad;
  const torch::Tensor input =
      read_ ? tokens.unsqueeze(1) : torch::tensor(prompt_, torch::kInt64).unsqueeze(0);
  DecoderCall call;
  call.state = &state_;
  call.request = request_;
  const DecoderOutput output = model_->forward(model_->embed(input), call);
  record(output.trace);
  torch::Tensor logits = model_->logits(output.hidden.select(1, output.hidden.size(1) - 1));
  if (!read_) {
    const auto sequences = static_cast<int64_t>(numbers_.size());
    if (sequences > 1) state_.reorder(torch::zeros({sequences}, torch::kInt64));
    logits = logits.expand({sequences, logits.size(1)}).contiguous();
    read_ = true;
  }
  return logits;
}

void PromptedModel::keep(const torch::Tensor& rows, const torch::Tensor&) {
  state_.reorder(rows);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    kept.push_back(numbers_[static_cast<size_t>(rows[i].item<int64_t>())]);
  }
  numbers_ = std::move(kept);
}

std::vector<GeneratedText> GenerateTask::generate(const GenerateRequest& request) {
  if (request.count < 1) throw usage_error("-n must be 1 or more");
  if (!request.prompt.empty() && !layout_.prompts) {
    throw usage_error(
        "this model was trained without prompts (data.prompt_column); give --begin instead");
  }
  model_->eval();
  const auto prompt = spelt(*tokenizer_, request.prompt, "--prompt").ids;
  const auto begin = spelt(*tokenizer_, request.begin, "--begin").ids;
  const auto end = spelt(*tokenizer_, request.end, "--infill").ids;

  std::string notice;
  std::vector<int64_t> shown = prompt;
  cut(shown, layout_.context / 2 - 2, "the prompt", notice);
  std::vector<int64_t> read = layout_.opening(shown);
  std::vector<int64_t> given = begin;
  if (request.infill) {
    given.push_back(kMaskId);
    given.insert(given.end(), end.begin(), end.end());
    given.push_back(kMaskId);
  }
  cut(given, 3 * (layout_.context - static_cast<int64_t>(read.size())) / 4, "the beginning",
      notice);
  read.insert(read.end(), given.begin(), given.end());
  const int64_t room = layout_.context - static_cast<int64_t>(read.size());

  SearchOptions search_options = request.search;
  search_options.start = kClassifyId;
  search_options.end = kSeparatorId;
  search_options.best = 1;
  search_options.forbidden = {kPaddingId, kUnknownId, kMaskId, kClassifyId};
  for (int64_t& longest : search_options.max_length) longest = std::min(longest, room);

  ConstraintOptions constraints = request.constraints;
  constraints.begin = request.begin;
  constraints.end = request.end;
  constraints.longest =
      *std::min_element(search_options.max_length.begin(), search_options.max_length.end()) - 1;
  if (constraints.any() && !constraints.form.empty()) {
    int64_t cells = 1;  // the end
    for (const int64_t line : constraints.form) cells += line + 1;
    if (cells - static_cast<int64_t>(begin.size() + end.size()) > constraints.longest + 1) {
      throw usage_error("--form needs " + std::to_string(cells) + " tokens; at most " +
                        std::to_string(constraints.longest + 1) +
                        " can be written (--max-length, or the context)");
    }
  }
  const std::vector<AttentionEdit> edits = edits_of(request, *tokenizer_, read, true);

  std::vector<GeneratedText> results;
  for (int64_t first = 0; first < request.count; first += kBatch) {
    const int64_t texts = std::min(kBatch, request.count - first);
    DecoderState state;
    PromptedModel model(model_, read, texts, state, edits, request.sources);
    search_options.first_group = static_cast<uint64_t>(first);
    std::shared_ptr<ConstraintRule> rule;
    if (constraints.any()) {
      rule = std::make_shared<ConstraintRule>(constraints, *tokenizer_, texts);
      search_options.adjust = [rule](int64_t text, std::span<const int64_t> tokens,
                                     std::span<float> logits) { (*rule)(text, tokens, logits); };
    }
    std::vector<int64_t> streamed;
    size_t shown_bytes = 0;
    if (request.stream && first == 0) {
      search_options.stream = [&](int64_t text, int64_t token) {
        if (text != 0 || token == kSeparatorId) return;
        streamed.push_back(token);
        const std::string so_far = tokenizer_->decode(streamed);
        request.stream(so_far.substr(std::min(shown_bytes, so_far.size())));
        shown_bytes = so_far.size();
      };
    } else {
      search_options.stream = nullptr;
    }
    const auto found = search(model, texts, search_options);
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; no text was written");
    for (int64_t i = 0; i < texts; ++i) {
      const Hypothesis& best = found[static_cast<size_t>(i)].at(0);
      GeneratedText one;
      one.generated = tokenizer_->decode(best.tokens);
      std::vector<int64_t> whole = begin;
      whole.insert(whole.end(), best.tokens.begin(), best.tokens.end());
      whole.insert(whole.end(), end.begin(), end.end());
      one.text = tokenizer_->decode(whole);
      one.log_probability = best.log_probability;
      one.tokens = static_cast<int64_t>(best.log_probabilities.size());
      one.finished = best.finished;
      one.notice = notice;
      if (request.sources) {
        for (const int64_t id : std::span(read).subspan(1)) {
          one.context.push_back(tokenizer_->token_text(id));
        }
        const auto& rows = model.sources()[static_cast<size_t>(i)];
        for (size_t t = 0; t < best.tokens.size() && t < rows.size(); ++t) {
          const std::string token = tokenizer_->token_text(best.tokens[t]);
          one.sources.push_back({token, {rows[t].begin() + 1, rows[t].end()}});
          one.context.push_back(token);
        }
      }
      results.push_back(std::move(one));
    }
  }
  return results;
}

// Turns of a conversation, all in one cache.
class GenerationSession : public GenerateSession {
 public:
  GenerationSession(GenerateTask& task, GenerateRequest request)
      : task_(task), request_(std::move(request)) {}

  GeneratedText turn(const std::string& input,
                     const std::function<void(const std::string&)>& stream) override {
    const Tokenizer& tokenizer = *task_.tokenizer_;
    const auto ids = spelt(tokenizer, input, "the input").ids;
    GeneratedText answer;
    std::vector<int64_t> read = pending_;
    const bool fresh = context_.empty();
    if (fresh || task_.layout_.prompts) {
      const auto opening = task_.layout_.opening(ids);
      read.insert(read.end(), opening.begin(), opening.end());
    } else {
      read.insert(read.end(), ids.begin(), ids.end());
    }
    constexpr int64_t kLeast = 8;  // tokens of an answer, or it is not worth the question
    if (length() + static_cast<int64_t>(read.size()) + kLeast > capacity()) {
      if (fresh) {
        throw usage_error("the input has " + std::to_string(ids.size()) +
                          " tokens, too many for the context of " + std::to_string(capacity()) +
                          " (text.max_length); say less");
      }
      clear();
      answer = turn(input, stream);
      answer.notice = "the context was full: what was said before is forgotten";
      return answer;
    }
    if (read.empty()) throw usage_error("nothing to go on from; type a prompt or a beginning");
    SearchOptions options = request_.search;
    options.start = kClassifyId;
    options.end = kSeparatorId;
    options.best = options.beam = 1;
    options.forbidden = {kPaddingId, kUnknownId, kMaskId, kClassifyId};
    options.seed += turns_++;
    const int64_t room = capacity() - length() - static_cast<int64_t>(read.size());
    for (int64_t& longest : options.max_length) longest = std::min(longest, room);
    ConstraintOptions constraints = request_.constraints;
    constraints.longest = options.max_length.at(0) - 1;
    std::shared_ptr<ConstraintRule> rule;
    if (constraints.any()) {
      rule = std::make_shared<ConstraintRule>(constraints, tokenizer, 1);
      options.adjust = [rule](int64_t text, std::span<const int64_t> tokens,
                              std::span<float> logits) { (*rule)(text, tokens, logits); };
    }
    std::vector<int64_t> streamed;
    size_t shown = 0;
    options.stream = [&](int64_t, int64_t token) {
      if (token == kSeparatorId || !stream) return;
      streamed.push_back(token);
      const std::string so_far = tokenizer.decode(streamed);
      stream(so_far.substr(std::min(shown, so_far.size())));
      shown = so_far.size();
    };
    context_.insert(context_.end(), read.begin(), read.end());
    PromptedModel model(task_.model_, read, 1, state_,
                        edits_of(request_, tokenizer, context_, false),
                        /*sources=*/true);
    const Hypothesis found = search(model, 1, options).at(0).at(0);
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted");
    answer.generated = answer.text = tokenizer.decode(found.tokens);
    answer.log_probability = found.log_probability;
    answer.tokens = static_cast<int64_t>(found.log_probabilities.size());
    answer.finished = found.finished;
    for (size_t t = 0; t < found.tokens.size(); ++t) {
      const auto& row = model.sources()[0][t];
      answer.sources.push_back(
          {tokenizer.token_text(found.tokens[t]), {row.begin() + 1, row.end()}});
    }
    context_.insert(context_.end(), found.tokens.begin(), found.tokens.end());
    for (const int64_t id : std::span(context_).subspan(1)) {
      answer.context.push_back(tokenizer.token_text(id));
    }
    // The search chose its last token without reading it.
    pending_.clear();
    if (found.finished) {
      pending_.push_back(kSeparatorId);
    } else if (!found.tokens.empty()) {
      pending_.push_back(found.tokens.back());
      context_.pop_back();
    }
    return answer;
  }

  void clear() override {
    state_ = DecoderState();
    context_.clear();
    pending_.clear();
  }

  int64_t length() const override { return state_.length(); }
  int64_t capacity() const override { return task_.layout_.context; }

 private:
  GenerateTask& task_;
  GenerateRequest request_;
  DecoderState state_;
  std::vector<int64_t> context_;  // what the cache holds
  std::vector<int64_t> pending_;  // to be read before the next input
  uint64_t turns_ = 0;
};

std::unique_ptr<GenerateSession> GenerateTask::session(const GenerateRequest& request) {
  model_->eval();
  return std::make_unique<GenerationSession>(*this, request);
}

std::vector<int32_t> GenerateTask::tokens_of(const std::string& text) const {
  const auto ids = tokenizer_->encode(text).ids;
  return {ids.begin(), ids.end()};
}

const KneserNey& GenerateTask::peer(int64_t order) const {
  const auto known = peers_.find(order);
  if (known != peers_.end()) return known->second;
  std::vector<std::vector<int32_t>> texts;
  for (const std::string& text : training_texts()) texts.push_back(tokens_of(text));
  KneserNeyOptions options;
  options.order = order;
  options.vocabulary = tokenizer_->vocab_size();
  return peers_.emplace(order, KneserNey(options, texts)).first->second;
}

double GenerateTask::peer_perplexity(const std::vector<std::string>& texts) const {
  std::vector<std::vector<int32_t>> tokens;
  tokens.reserve(texts.size());
  for (const std::string& text : texts) tokens.push_back(tokens_of(text));
  return perplexity(peer(5), tokens);
}

std::vector<std::string> GenerateTask::peer_samples(int64_t order, int64_t count,
                                                    uint64_t seed) const {
  const KneserNey& model = peer(order);
  Random random(seed);
  std::vector<std::string> texts;
  for (int64_t i = 0; i < count; ++i) {
    const auto tokens = model.sample(random, layout_.context);
    texts.push_back(tokenizer_->decode(std::vector<int64_t>(tokens.begin(), tokens.end())));
  }
  return texts;
}

}  // namespace attend
