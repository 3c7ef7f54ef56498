// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What an edit is in terms of an attention call, per head:
//   key_bias      a bias that is the same for all queries;
//   value_scale   values times it;
//   temperature T query, biases and the sink's logit over T;
//   uniform       query, distance bias and slopes times 0; of other biases only -inf stays; the
//                 sink gets a logit so low that nothing is left for it;
//   off           the output times 0.
#include "edited_attention.h"

#include <cmath>
#include <string>

#include "attend/base/error.h"

namespace attend::detail {
namespace {

// exp(kNothing - x) is 0 for every score x; finite, so that no difference of two is NaN.
constexpr double kNothing = -1e30;

// [heads] bool on the CPU.
torch::Tensor chosen_heads(const AttentionEdit& edit, int64_t heads) {
  torch::Tensor chosen = torch::full({heads}, edit.heads.empty(), torch::kBool);
  for (const int64_t head : edit.heads) {
    if (head < 0 || head >= heads) {
      throw usage_error("head " + std::to_string(head) + " cannot be steered: this layer has " +
                        (heads == 1 ? "head 0 only" : "heads 0 to " + std::to_string(heads - 1)));
    }
    chosen[head] = true;
  }
  return chosen;
}

torch::Tensor four_axes(torch::Tensor bias) {
  while (bias.dim() < 4) bias = bias.unsqueeze(0);
  return bias;
}

// [1 or batch, positions] -> [1 or batch, 1, 1, keys], `rest` for keys beyond the positions.
torch::Tensor per_key(const torch::Tensor& numbers, int64_t keys, double rest) {
  TORCH_CHECK(
      numbers.dim() == 2 && numbers.size(1) <= keys,
      "AttentionEdit: key_bias and value_scale are [1 or batch, positions], positions up to "
      "the ",
      keys, " keys, got ", numbers.sizes());
  return torch::constant_pad_nd(numbers, {0, keys - numbers.size(1)}, rest)
      .unsqueeze(1)
      .unsqueeze(1);
}

class Editor {
 public:
  explicit Editor(AttentionOperands& operands) : o_(operands), heads_(operands.query.size(1)) {}

  void apply(const AttentionEdit& edit) {
    chosen_ = chosen_heads(edit, heads_).to(o_.query.device());
    if (edit.key_bias.defined()) add_key_bias(edit.key_bias);
    if (edit.value_scale.defined()) scale_values(edit.value_scale);
    if (edit.temperature != 1) divide_scores(edit.temperature);
    if (edit.uniform) make_uniform();
    if (edit.off) switch_off();
  }

 private:
  // `of_chosen` for chosen heads and `of_others` for the rest, [heads] like `example`.
  torch::Tensor per_head(double of_chosen, double of_others, const torch::Tensor& example) const {
    return torch::full({heads_}, of_others, example.options().requires_grad(false))
        .masked_fill(chosen_.to(example.device()), of_chosen);
  }
  // `tensor` times a factor for the chosen heads; `shape` is that of a number per head beside it.
  torch::Tensor times(const torch::Tensor& tensor, double factor, torch::IntArrayRef shape) const {
    if (!tensor.defined()) return tensor;
    if (all_chosen()) return tensor * factor;
    return tensor * per_head(factor, 1, tensor).view(shape);
  }
  bool all_chosen() const { return chosen_.all().item<bool>(); }
  // Where the chosen heads get `changed` and the others keep `other`; all heads alike stay small.
  torch::Tensor where_chosen(const torch::Tensor& changed, double other) const {
    if (all_chosen()) return changed;
    return torch::where(chosen_.view({1, heads_, 1, 1}), changed,
                        torch::full({}, other, changed.options().requires_grad(false)));
  }

  void add_key_bias(const torch::Tensor& given) {
    const torch::Tensor bias = where_chosen(per_key(given.to(bias_options()), keys(), 0), 0);
    o_.arguments.bias = o_.arguments.bias.defined() ? four_axes(o_.arguments.bias) + bias : bias;
  }

  void scale_values(const torch::Tensor& given) {
    const torch::Tensor numbers = per_key(given.to(o_.value.options()), keys(), 1).transpose(2, 3);
    const torch::Tensor scale = where_chosen(numbers, 1);
    // Heads that share values and are not edited alike need their own.
    const int64_t sharing = heads_ / o_.value.size(1);
    if (scale.size(1) > 1 && sharing > 1) {
      o_.key = o_.key.repeat_interleave(sharing, 1);
      o_.value = o_.value.repeat_interleave(sharing, 1);
    }
    o_.value = o_.value * scale;
  }

  void divide_scores(double temperature) {
    if (!(temperature > 0) || !std::isfinite(temperature)) {
      throw usage_error("temperature " + std::to_string(temperature) +
                        " must be above 0: below 1 sharpens attention, above 1 flattens it");
    }
    const double factor = 1 / temperature;
    AttentionArguments& a = o_.arguments;
    o_.query = times(o_.query, factor, {1, heads_, 1, 1});
    a.distance_bias = times(a.distance_bias, factor, {heads_, 1});
    a.alibi_slopes = times(a.alibi_slopes, factor, {heads_});
    a.sink = times(a.sink, factor, {heads_});
    a.bias = times(a.bias, factor, {1, heads_, 1, 1});
  }

  void make_uniform() {
    AttentionArguments& a = o_.arguments;
    o_.query = times(o_.query, 0, {1, heads_, 1, 1});
    a.distance_bias = times(a.distance_bias, 0, {heads_, 1});
    a.alibi_slopes = times(a.alibi_slopes, 0, {heads_});
    if (a.sink.defined()) a.sink = torch::where(chosen_, per_head(kNothing, 0, a.sink), a.sink);
    if (!a.bias.defined()) return;
    const torch::Tensor bias = four_axes(a.bias);
    const torch::Tensor flat = bias.masked_fill(~torch::isneginf(bias), 0.0);
    a.bias = all_chosen() ? flat : torch::where(chosen_.view({1, heads_, 1, 1}), flat, bias);
  }

  void switch_off() {
    const torch::Tensor kept = per_head(0, 1, o_.query).view({heads_, 1, 1});
    o_.kept_heads = o_.kept_heads.defined() ? o_.kept_heads * kept : kept;
  }

  int64_t keys() const { return o_.key.size(2); }
  // Biases are summed in float even where the products are in bfloat16.
  torch::TensorOptions bias_options() const {
    const bool rounded = o_.query.scalar_type() == torch::kBFloat16;
    return o_.query.options().dtype(rounded ? torch::kFloat : o_.query.scalar_type());
  }

  AttentionOperands& o_;
  int64_t heads_;
  torch::Tensor chosen_;  // [heads] bool
};

}  // namespace

void apply_edits(const std::vector<AttentionEdit>& edits, AttentionOperands& operands) {
  Editor editor(operands);
  for (const AttentionEdit& edit : edits) editor.apply(edit);
}

}  // namespace attend::detail
