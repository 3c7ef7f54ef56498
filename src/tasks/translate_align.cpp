// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Which source words a translation's words come from.
#include <algorithm>

#include "attend/base/error.h"
#include "attend/base/interrupt.h"
#include "translate.h"
#include "word_alignment.h"

namespace attend {
namespace {

bool is_chinese(const std::vector<std::string>& words) {
  int64_t han = 0, others = 0;
  for (const std::string& word : words) {
    for (const char c : word) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 0xE4 && byte <= 0xE9) ++han;
      if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ++others;
    }
  }
  return han > others;
}

struct JoinedWords {
  std::string text;
  std::vector<Span> words;
};

JoinedWords joined(const std::vector<std::string>& words) {
  const bool spaces = !is_chinese(words);
  JoinedWords result;
  for (const std::string& word : words) {
    if (spaces && !result.text.empty()) result.text += ' ';
    const auto begin = static_cast<int64_t>(result.text.size());
    result.text += word;
    result.words.push_back({begin, static_cast<int64_t>(result.text.size())});
  }
  return result;
}

}  // namespace

AlignmentMethod parse_alignment_method(const std::string& name) {
  if (name == "attention") return AlignmentMethod::kAttention;
  if (name == "norm") return AlignmentMethod::kNorm;
  if (name == "occlusion") return AlignmentMethod::kOcclusion;
  throw usage_error("alignment \"" + name + "\" is not known: use attention, norm or occlusion");
}

// |sum over heads of weight * value * output projection|, for every pair of positions. `weights`
// [batch, heads, target, source], `memory` [batch, source, hidden] -> [batch, target, source].
torch::Tensor TranslateTask::attention_norms(const torch::Tensor& weights,
                                             const torch::Tensor& memory, int64_t block) const {
  const auto parameters = model_->named_parameters();
  const auto parameter = [&](const char* name) {
    return parameters["decoder.block_" + std::to_string(block) + ".cross_attention." + name];
  };
  const int64_t heads = weights.size(1);
  const torch::Tensor value =
      torch::linear(memory, parameter("value.weight"), parameter("value.bias"));
  const torch::Tensor output = parameter("output.weight");  // [hidden, heads * dim]
  const int64_t dim = output.size(1) / heads;
  const int64_t kv_heads = value.size(2) / dim;
  const torch::Tensor per_head = value.view({value.size(0), value.size(1), kv_heads, dim})
                                     .repeat_interleave(heads / kv_heads, 2);
  const torch::Tensor brought =
      torch::einsum("bshd,ohd->bhso", {per_head, output.view({output.size(0), heads, dim})});
  // One target position at a time: the whole would be target * source * hidden.
  std::vector<torch::Tensor> rows;
  for (int64_t t = 0; t < weights.size(2); ++t) {
    rows.push_back((weights.select(2, t).unsqueeze(3) * brought).sum(1).norm(2, -1));
  }
  return torch::stack(rows, 1);
}

// The cross-attention of a decoder block as traces number it; -1: of the last but one.
int64_t TranslateTask::cross_layer(int64_t block) const {
  const auto* transformer = dynamic_cast<const EncoderDecoderImpl*>(model_.get());
  if (transformer == nullptr || transformer->options().cross != CrossKind::kAttention) {
    throw usage_error(
        "this model has no cross-attention to align by; use the method \"occlusion\"");
  }
  const int64_t blocks = transformer->options().resolved_decoder_layers();
  if (block < 0) block = std::max<int64_t>(0, blocks - 2);
  if (block >= blocks) {
    throw usage_error("decoder layer " + std::to_string(block) + " cannot align: there are " +
                      std::to_string(blocks) + ", counted from 0");
  }
  return transformer->options().encoder.layers + 2 * block + 1;
}

torch::Tensor TranslateTask::occlusion_alignment(const ParallelDataset& data, int64_t row) {
  const ParallelExample& example = data.example(row);
  const size_t units = example.source_units.ids.size();
  std::vector<std::vector<bool>> keep(units + 1, std::vector<bool>(units, true));
  for (size_t i = 0; i < units; ++i) keep[i + 1][i] = false;
  const auto variants = without_units(data, row, keep, Removal::kMask);
  std::vector<torch::Tensor> gold;
  constexpr int64_t kBatch = 64;
  for (int64_t begin = 0; begin < variants->size(); begin += kBatch) {
    std::vector<int64_t> rows;
    for (int64_t i = begin; i < std::min(begin + kBatch, variants->size()); ++i) rows.push_back(i);
    const Batch batch = collate(*variants, rows);
    gold.push_back(gold_log_probabilities(forward(batch, {}), batch));
  }
  const torch::Tensor all = torch::cat(gold);  // [1 + units, target + 1]
  return (all.narrow(0, 0, 1) - all.narrow(0, 1, static_cast<int64_t>(units)))
      .t()
      .narrow(0, 0, static_cast<int64_t>(example.target_units.ids.size()));
}

std::vector<torch::Tensor> TranslateTask::unit_alignments(const ParallelDataset& data,
                                                          std::span<const int64_t> rows,
                                                          const AlignOptions& options) {
  const torch::NoGradGuard no_grad;
  model_->eval();
  std::vector<torch::Tensor> scores;
  if (options.method == AlignmentMethod::kOcclusion) {
    for (const int64_t row : rows) {
      if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
      scores.push_back(occlusion_alignment(data, row));
    }
    return scores;
  }
  const int64_t layer = cross_layer(options.layer);
  const auto& transformer = dynamic_cast<const EncoderDecoderImpl&>(*model_);
  const int64_t block = (layer - transformer.options().encoder.layers) / 2;
  TraceRequest request;
  request.layers = {layer};
  request.statistics.weights = true;
  constexpr size_t kBatch = 64;
  for (size_t begin = 0; begin < rows.size(); begin += kBatch) {
    if (interrupted()) throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
    const auto chunk = rows.subspan(begin, std::min(kBatch, rows.size() - begin));
    const Batch batch = collate(data, chunk);
    const TaskOutput output = forward(batch, request);
    const torch::Tensor weights = output.trace.find(layer)->weights;
    torch::Tensor matrix = weights.mean(1);
    if (options.method == AlignmentMethod::kNorm) {
      const torch::Tensor lengths = batch.inputs.at("source_lengths");
      matrix = attention_norms(weights, model_->encode(embed(batch), lengths, {}).hidden, block);
    }
    for (size_t i = 0; i < chunk.size(); ++i) {
      const ParallelExample& example = data.example(chunk[i]);
      scores.push_back(matrix[static_cast<int64_t>(i)]
                           .narrow(0, 0, static_cast<int64_t>(example.target_units.ids.size()))
                           .narrow(1, leading_positions(),
                                   static_cast<int64_t>(example.source_units.ids.size())));
    }
  }
  return scores;
}

std::vector<std::vector<WordLink>> TranslateTask::align(std::span<const WordPair> word_pairs,
                                                        const AlignOptions& options) {
  std::vector<ParallelExample> examples;
  std::vector<JoinedWords> sources, targets;
  std::vector<int64_t> rows;
  for (const WordPair& pair : word_pairs) {
    sources.push_back(joined(pair.source));
    targets.push_back(joined(pair.target));
    examples.push_back(encoder_.encode(sources.back().text, targets.back().text));
    rows.push_back(static_cast<int64_t>(rows.size()));
  }
  const ParallelDataset data("pairs to align", std::move(examples));
  const auto scores = unit_alignments(data, rows, options);
  std::vector<std::vector<WordLink>> links;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ParallelExample& example = data.example(rows[i]);
    links.push_back(word_links(scores[i], example.source_units.spans, example.target_units.spans,
                               sources[i].words, targets[i].words));
  }
  return links;
}

}  // namespace attend
