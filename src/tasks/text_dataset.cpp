// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "text_dataset.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace attend {

std::vector<float> ngram_values(const std::vector<NgramHit>& hits) {
  // One sort and no search: explanations ask this for a thousand variants of a text.
  std::vector<std::pair<int32_t, size_t>> sorted;
  sorted.reserve(hits.size());
  for (size_t i = 0; i < hits.size(); ++i) sorted.emplace_back(hits[i].feature, i);
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> occurrences(hits.size());
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin;
    while (end < sorted.size() && sorted[end].first == sorted[begin].first) ++end;
    const auto count = static_cast<double>(end - begin);
    for (; begin < end; ++begin) occurrences[sorted[begin].second] = count;
  }
  double distinct[2] = {0, 0};  // of characters, of words
  for (size_t i = 0; i < hits.size(); ++i) distinct[hits[i].of_words ? 1 : 0] += 1 / occurrences[i];
  const double kinds = distinct[0] > 0 && distinct[1] > 0 ? 2 : 1;
  std::vector<float> values;
  values.reserve(hits.size());
  for (size_t i = 0; i < hits.size(); ++i) {
    const double weight = 1 / std::sqrt(kinds * distinct[hits[i].of_words ? 1 : 0]);
    values.push_back(static_cast<float>(weight / occurrences[i]));
  }
  return values;
}

void append_ngrams(const std::vector<NgramHit>& hits, SparseRows& rows) {
  const auto values = ngram_values(hits);
  std::map<int32_t, float> sums;
  for (size_t i = 0; i < hits.size(); ++i) sums[hits[i].feature] += values[i];
  for (const auto& [feature, value] : sums) {
    rows.features.push_back(feature);
    rows.values.push_back(value);
  }
  rows.offsets.push_back(static_cast<int64_t>(rows.features.size()));
}

std::string TextDataset::notice(int64_t row) const {
  const TextExample& one = example(row);
  if (one.left_out == 0) return "";
  const size_t kept = one.encoding.ids.size();
  return "the model reads the first " + std::to_string(kept) + " units; " +
         std::to_string(one.left_out) + " after them are left out (text.max_length)";
}

std::shared_ptr<Dataset> TextDataset::subset(std::span<const int64_t> rows) const {
  std::vector<TextExample> chosen;
  chosen.reserve(rows.size());
  for (const int64_t row : rows) chosen.push_back(example(row));
  return std::make_shared<TextDataset>(
      std::to_string(rows.size()) + " of the rows of " + description_, std::move(chosen));
}

TextExample TextEncoder::encode(const std::string& text) const {
  TextExample example;
  example.text = text;
  example.encoding = tokenizer->encode(text);
  Encoding& encoding = example.encoding;
  std::string_view seen = text;
  const auto limit = static_cast<size_t>(max_length);
  if (encoding.ids.size() > limit) {
    example.left_out = static_cast<int64_t>(encoding.ids.size() - limit);
    encoding.ids.resize(limit);
    encoding.spans.resize(limit);
    seen = seen.substr(0, static_cast<size_t>(encoding.spans.back().end));
  }
  if (encoding.ids.empty()) {
    encoding.ids.push_back(kUnknownId);
    encoding.spans.push_back({0, static_cast<int64_t>(text.size())});
  }
  if (ngrams.size() > 0) example.ngrams = ngrams.extract(seen, encoding.spans);
  return example;
}

void TextEncoder::mark_evidence(const std::vector<Span>& spans, TextExample& example) const {
  example.evidence.clear();
  for (const Span& unit : example.encoding.spans) {
    example.evidence.push_back(std::any_of(spans.begin(), spans.end(), [&](const Span& span) {
      return unit.begin < span.end && span.begin < unit.end;
    }));
  }
}

namespace {

// A known n-gram of a text and the units it touches, [first, last]; empty if last < first.
struct NgramReachOfUnits {
  int32_t feature;
  int32_t owner;
  int32_t first;
  int32_t last;
  bool of_words;
};

// The stored hits do not say how far their n-gram reaches, so it is looked up again in the text.
std::vector<NgramReachOfUnits> ngram_reaches(const NgramVocabulary& ngrams, std::string_view text,
                                             const std::vector<Span>& units) {
  std::vector<NgramReachOfUnits> reaches;
  const auto index_of = [&](auto iterator) {
    return static_cast<int32_t>(iterator - units.begin());
  };
  // The first unit that ends after `place`.
  const auto unit_at = [&](int64_t place) {
    return std::partition_point(units.begin(), units.end(),
                                [&](const Span& span) { return span.end <= place; });
  };
  for (const Ngram& ngram : hashed_ngrams(ngrams.options(), text)) {
    const int32_t feature = ngrams.find(ngram.hash);
    if (feature < 0) continue;
    const auto owner = unit_at(ngram.last.begin);
    if (owner == units.end()) continue;
    const auto first = unit_at(ngram.span.begin);
    const auto end = std::partition_point(
        first, units.end(), [&](const Span& span) { return span.begin < ngram.span.end; });
    reaches.push_back(
        {feature, index_of(owner), index_of(first), index_of(end) - 1, ngram.of_words});
  }
  return reaches;
}

}  // namespace

std::vector<TextExample> TextEncoder::without_units(const TextExample& example,
                                                    const std::vector<std::vector<bool>>& keeps,
                                                    Removal removal) const {
  const Encoding& old = example.encoding;
  const size_t units = old.ids.size();
  std::vector<NgramReachOfUnits> reaches;
  if (ngrams.size() > 0) {
    const auto end = static_cast<size_t>(old.spans.back().end);
    reaches = ngram_reaches(ngrams, std::string_view(example.text).substr(0, end), old.spans);
  }
  std::vector<TextExample> variants;
  variants.reserve(keeps.size());
  std::vector<int32_t> new_index(units);
  std::vector<int32_t> removed_before(units + 1);
  for (const std::vector<bool>& keep : keeps) {
    TextExample result;
    result.text = example.text;
    result.label = example.label;
    result.label_index = example.label_index;
    if (removal == Removal::kMean) result.replaced.assign(units, false);
    for (size_t i = 0; i < units; ++i) {
      removed_before[i + 1] = removed_before[i] + (keep[i] ? 0 : 1);
      new_index[i] = -1;
      if (!keep[i] && removal == Removal::kDelete) continue;
      new_index[i] = static_cast<int32_t>(result.encoding.ids.size());
      result.encoding.ids.push_back(keep[i] ? old.ids[i] : kPaddingId);
      result.encoding.spans.push_back(old.spans[i]);
      if (removal == Removal::kMean) result.replaced[i] = !keep[i];
    }
    if (result.encoding.ids.empty()) {
      result.encoding.ids.push_back(kPaddingId);
      result.encoding.spans.push_back({0, 0});
    }
    for (const NgramReachOfUnits& reach : reaches) {
      const bool touched =
          removed_before[static_cast<size_t>(std::max(reach.first, reach.last + 1))] >
          removed_before[static_cast<size_t>(reach.first)];
      const int32_t index = new_index[static_cast<size_t>(reach.owner)];
      if (touched || index < 0) continue;
      result.ngrams.push_back({reach.feature, index, reach.of_words});
    }
    variants.push_back(std::move(result));
  }
  return variants;
}

Batch TextEncoder::collate(const TextDataset& data, std::span<const int64_t> rows) const {
  const auto size = static_cast<int64_t>(rows.size());
  int64_t longest = 1;
  int64_t hits = 0;
  bool gold = true;
  bool weighted = false;
  bool replaced = false;
  bool marked = false;
  for (const int64_t row : rows) {
    const TextExample& example = data.example(row);
    longest = std::max(longest, static_cast<int64_t>(example.encoding.ids.size()));
    hits += static_cast<int64_t>(example.ngrams.size());
    gold = gold && example.label_index >= 0;
    weighted = weighted || example.weight != 1;
    replaced = replaced || !example.replaced.empty();
    marked = marked || !example.evidence.empty();
  }
  Batch batch;
  batch.size = size;
  torch::Tensor tokens = torch::full({size, longest}, kPaddingId, torch::kInt64);
  torch::Tensor lengths = torch::empty({size}, torch::kInt64);
  torch::Tensor targets = torch::empty({size}, torch::kInt64);
  torch::Tensor weights = torch::empty({size}, torch::kFloat32);
  std::vector<int64_t> ids;
  std::vector<int64_t> positions;
  std::vector<float> values;
  ids.reserve(static_cast<size_t>(hits));
  positions.reserve(static_cast<size_t>(hits));
  values.reserve(static_cast<size_t>(hits));
  for (int64_t b = 0; b < size; ++b) {
    const TextExample& example = data.example(rows[static_cast<size_t>(b)]);
    std::copy(example.encoding.ids.begin(), example.encoding.ids.end(),
              tokens.data_ptr<int64_t>() + b * longest);
    lengths.data_ptr<int64_t>()[b] = static_cast<int64_t>(example.encoding.ids.size());
    targets.data_ptr<int64_t>()[b] = example.label_index;
    weights.data_ptr<float>()[b] = example.weight;
    for (const NgramHit& hit : example.ngrams) {
      ids.push_back(hit.feature);
      positions.push_back(b * longest + hit.unit);
    }
    const auto shares = ngram_values(example.ngrams);
    values.insert(values.end(), shares.begin(), shares.end());
  }
  batch.inputs["tokens"] = tokens;
  batch.inputs["lengths"] = lengths;
  if (ngrams.size() > 0) {
    batch.inputs["ngram_ids"] = torch::tensor(ids, torch::kInt64);
    batch.inputs["ngram_positions"] = torch::tensor(positions, torch::kInt64);
    batch.inputs["ngram_values"] = torch::tensor(values, torch::kFloat32);
  }
  if (weighted) batch.inputs["row_weights"] = weights;
  if (marked) {
    torch::Tensor shares = torch::zeros({size, longest});
    for (int64_t b = 0; b < size; ++b) {
      const auto& evidence = data.example(rows[static_cast<size_t>(b)]).evidence;
      std::copy(evidence.begin(), evidence.end(), shares.data_ptr<float>() + b * longest);
    }
    batch.inputs["evidence"] = shares / shares.sum(1, /*keepdim=*/true).clamp_min(1.0);
  }
  if (replaced) {
    torch::Tensor marks = torch::zeros({size, longest}, torch::kBool);
    for (int64_t b = 0; b < size; ++b) {
      const auto& taken_out = data.example(rows[static_cast<size_t>(b)]).replaced;
      std::copy(taken_out.begin(), taken_out.end(), marks.data_ptr<bool>() + b * longest);
    }
    batch.inputs["replaced"] = marks;
  }
  if (gold) batch.targets = targets;
  return batch;
}

TextInput text_input(const Batch& batch) {
  const auto optional = [&](const char* name) {
    const auto found = batch.inputs.find(name);
    return found == batch.inputs.end() ? torch::Tensor() : found->second;
  };
  TextInput input;
  input.tokens = batch.inputs.at("tokens");
  input.lengths = batch.inputs.at("lengths");
  input.ngram_ids = optional("ngram_ids");
  input.ngram_positions = optional("ngram_positions");
  input.ngram_values = optional("ngram_values");
  return input;
}

}  // namespace attend
