// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "parallel_dataset.h"

#include <algorithm>
#include <unordered_map>

#include "word_alignment.h"

namespace attend {
namespace {

torch::Tensor padded(const std::vector<const std::vector<int64_t>*>& rows, int64_t first,
                     int64_t last, int64_t padding, torch::Tensor& lengths) {
  const int64_t extra = (first >= 0 ? 1 : 0) + (last >= 0 ? 1 : 0);
  const auto count = static_cast<int64_t>(rows.size());
  int64_t longest = 0;
  for (const auto* row : rows) longest = std::max(longest, static_cast<int64_t>(row->size()));
  const int64_t width = longest + extra;
  torch::Tensor tokens = torch::full({count, width}, padding, torch::kInt64);
  lengths = torch::empty({count}, torch::kInt64);
  for (int64_t b = 0; b < count; ++b) {
    const auto& row = *rows[static_cast<size_t>(b)];
    int64_t* out = tokens.data_ptr<int64_t>() + b * width;
    if (first >= 0) *out++ = first;
    out = std::copy(row.begin(), row.end(), out);
    if (last >= 0) *out = last;
    lengths.data_ptr<int64_t>()[b] = static_cast<int64_t>(row.size()) + extra;
  }
  return tokens;
}

}  // namespace

int64_t ParallelDataset::length(int64_t row) const {
  const ParallelExample& one = example(row);
  return static_cast<int64_t>(std::max(one.source_units.ids.size(), one.target_units.ids.size())) +
         1;
}

std::string ParallelDataset::notice(int64_t row) const {
  const ParallelExample& one = example(row);
  std::string text;
  if (one.left_out > 0) {
    text = "the model reads the first " + std::to_string(one.source_units.ids.size()) + " units; " +
           std::to_string(one.left_out) + " after them are left out (text.max_length)";
  }
  if (one.unknown > 0) {
    text += (text.empty() ? "" : "; ") + std::to_string(one.unknown) +
            (one.unknown == 1 ? " unit of the source is" : " units of the source are") +
            " not in the vocabulary";
  }
  return text;
}

std::shared_ptr<Dataset> ParallelDataset::subset(std::span<const int64_t> rows) const {
  std::vector<ParallelExample> chosen;
  chosen.reserve(rows.size());
  for (const int64_t row : rows) chosen.push_back(example(row));
  return std::make_shared<ParallelDataset>(
      std::to_string(rows.size()) + " of the pairs of " + description_, std::move(chosen));
}

std::vector<ParallelExample> join_references(std::vector<ParallelExample> examples) {
  std::vector<ParallelExample> joined;
  std::unordered_map<std::string, size_t> known;
  for (ParallelExample& example : examples) {
    const auto [place, added] = known.emplace(example.source, joined.size());
    if (added) {
      joined.push_back(std::move(example));
    } else {
      auto& references = joined[place->second].references;
      if (std::find(references.begin(), references.end(), example.target) == references.end()) {
        references.push_back(std::move(example.target));
      }
    }
  }
  return joined;
}

ParallelExample ParallelEncoder::encode(const std::string& source) const {
  ParallelExample example;
  example.source = source;
  example.source_units = tokenizer->encode(source);
  Encoding& units = example.source_units;
  const auto limit = static_cast<size_t>(max_length);
  if (units.ids.size() > limit) {
    example.left_out = static_cast<int64_t>(units.ids.size() - limit);
    units.ids.resize(limit);
    units.spans.resize(limit);
  }
  example.unknown = std::count(units.ids.begin(), units.ids.end(), kUnknownId);
  return example;
}

ParallelExample ParallelEncoder::encode(const std::string& source,
                                        const std::string& target) const {
  ParallelExample example = encode(source);
  example.target = target;
  example.references = {target};
  example.has_target = true;
  example.target_units = tokenizer->encode(target);
  const auto limit = static_cast<size_t>(max_length);
  if (example.target_units.ids.size() > limit) {
    example.target_units.ids.resize(limit);
    example.target_units.spans.resize(limit);
  }
  return example;
}

ParallelExample ParallelEncoder::encode(const SentencePair& pair) const {
  ParallelExample example = encode(pair.source, pair.target);
  if (pair.links.empty()) return example;
  const auto source = word_of_units(example.source_units.spans, white_space_words(example.source));
  const auto target = word_of_units(example.target_units.spans, white_space_words(example.target));
  for (size_t t = 0; t < target.size(); ++t) {
    for (size_t s = 0; s < source.size(); ++s) {
      if (std::find(pair.links.begin(), pair.links.end(), std::pair(source[s], target[t])) !=
          pair.links.end()) {
        example.links.push_back({static_cast<int64_t>(t), static_cast<int64_t>(s)});
      }
    }
  }
  return example;
}

Batch ParallelEncoder::collate(const ParallelDataset& data, std::span<const int64_t> rows) const {
  Batch batch;
  batch.size = static_cast<int64_t>(rows.size());
  std::vector<const std::vector<int64_t>*> sources, targets;
  bool gold = true;
  for (const int64_t row : rows) {
    const ParallelExample& example = data.example(row);
    sources.push_back(&example.source_units.ids);
    targets.push_back(&example.target_units.ids);
    gold = gold && example.has_target;
  }
  batch.inputs["source"] =
      padded(sources, kClassifyId, -1, kPaddingId, batch.inputs["source_lengths"]);
  if (!gold) return batch;
  batch.inputs["target"] =
      padded(targets, kClassifyId, -1, kPaddingId, batch.inputs["target_lengths"]);
  torch::Tensor ignored;
  batch.targets = padded(targets, -1, kSeparatorId, kPaddingTarget, ignored);
  const bool guided = std::any_of(rows.begin(), rows.end(),
                                  [&](int64_t row) { return !data.example(row).links.empty(); });
  if (!guided) return batch;
  torch::Tensor guide =
      torch::zeros({batch.size, batch.targets.size(1), batch.inputs["source"].size(1)});
  auto cell = guide.accessor<float, 3>();
  for (int64_t b = 0; b < batch.size; ++b) {
    for (const auto& [t, s] : data.example(rows[static_cast<size_t>(b)]).links) {
      cell[b][t][s + 1] = 1;  // behind the start
    }
  }
  batch.inputs["guide"] = guide / guide.sum(2, /*keepdim=*/true).clamp_min(1);
  return batch;
}

}  // namespace attend
