// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attention_chain.h"

#include <algorithm>

#include "attend/nn/attention_inputs.h"

namespace attend {
namespace {

// Without cross-attention a decoder's positions are the input's.
bool is_decoder(AttentionRole role, bool cross) { return cross && role == AttentionRole::kDecoder; }

// a / b, 0 where b is 0.
torch::Tensor ratio(const torch::Tensor& a, const torch::Tensor& b) {
  return torch::where(b == 0, torch::zeros_like(b), a / b);
}

}  // namespace

bool has_cross(const Trace& trace) {
  return std::any_of(trace.layers.begin(), trace.layers.end(),
                     [](const LayerTrace& layer) { return layer.role == AttentionRole::kCross; });
}

const LayerTrace* last_input_layer(const Trace& trace) {
  const bool cross = has_cross(trace);
  const auto found = std::find_if(
      trace.layers.rbegin(), trace.layers.rend(),
      [cross](const LayerTrace& layer) { return !cross || layer.role == AttentionRole::kCross; });
  return found == trace.layers.rend() ? nullptr : &*found;
}

torch::Tensor times_weights(const LayerTrace& layer, const torch::Tensor& rows) {
  if (!layer.weights.defined()) return layer.inputs->times_weights(rows);
  return torch::matmul(rows.to(layer.weights.scalar_type()), layer.weights[0].detach())
      .transpose(0, 1);
}

torch::Tensor times_mean_weights(const LayerTrace& layer, const torch::Tensor& rows) {
  return times_weights(layer, rows).mean(1);
}

torch::Tensor roll_out(const Trace& trace, const torch::Tensor& rows, const Mix& mix) {
  const bool cross = has_cross(trace);
  torch::Tensor outputs = rows;  // at the output's positions
  torch::Tensor inputs;          // at the input's
  if (!cross) std::swap(outputs, inputs);
  for (auto layer = trace.layers.rbegin(); layer != trace.layers.rend(); ++layer) {
    if (is_decoder(layer->role, cross)) {
      outputs = 0.5 * outputs + 0.5 * mix(*layer, outputs);
    } else if (layer->role == AttentionRole::kCross) {
      const torch::Tensor read = 0.5 * mix(*layer, outputs);
      inputs = inputs.defined() ? inputs + read : read;
      outputs = 0.5 * outputs;
    } else {
      inputs = 0.5 * inputs + 0.5 * mix(*layer, inputs);
    }
  }
  return inputs;
}

torch::Tensor propagate_relevance(const std::vector<const RelevanceLayer*>& layers,
                                  const torch::Tensor& start, bool pooled) {
  std::vector<const RelevanceLayer*> encoder, decoder;
  const bool cross = std::any_of(layers.begin(), layers.end(), [](const RelevanceLayer* layer) {
    return layer->role() == AttentionRole::kCross;
  });
  for (const RelevanceLayer* layer : layers) {
    const bool reads_output =
        layer->role() == AttentionRole::kCross || is_decoder(layer->role(), cross);
    (reads_output ? decoder : encoder).push_back(layer);
  }
  // row R for the encoder's R = (I + A_n) .. (I + A_1).
  const auto through_encoder = [&](torch::Tensor row) {
    for (auto layer = encoder.rbegin(); layer != encoder.rend(); ++layer) {
      row = row + (*layer)->left(row);
    }
    return row;
  };
  // row norm(R_qq) = (row / s)(R_qq - I) + row with the row sums s of R_qq - I (eq. 8 to 10).
  const auto through_normalised = [&](const torch::Tensor& row) {
    torch::Tensor sums = torch::ones_like(row);
    for (const RelevanceLayer* layer : encoder) sums = sums + layer->right(sums);
    const torch::Tensor share = ratio(row, sums - 1);
    return through_encoder(share) - share + row;
  };
  if (!cross) return pooled ? through_normalised(start) : through_encoder(start) - start;

  // Forward: R_ss before each cross-attention, its rows without the diagonal normalised (eq. 8, 9).
  const torch::Tensor own = torch::eye(start.size(0), start.options());
  torch::Tensor output_relevance = own;
  std::vector<torch::Tensor> normalised;
  for (const RelevanceLayer* layer : decoder) {
    if (layer->role() == AttentionRole::kCross) {
      const torch::Tensor mixed = output_relevance - own;
      normalised.push_back(ratio(mixed, mixed.sum(1, true).expand_as(mixed)) + own);
    } else {
      output_relevance = output_relevance + torch::matmul(layer->matrix(), output_relevance);
    }
  }
  // Backward: `row` is what start^T gives R_sq as it stands before the layer; each cross-attention
  // adds row norm(R_ss)^T A norm(R_qq) to the result (eq. 10).
  torch::Tensor row = start, read;
  for (auto layer = decoder.rbegin(); layer != decoder.rend(); ++layer) {
    if ((*layer)->role() == AttentionRole::kCross) {
      const torch::Tensor part = (*layer)->left(torch::matmul(normalised.back(), row));
      normalised.pop_back();
      read = read.defined() ? read + part : part;
    } else {
      row = row + (*layer)->left(row);
    }
  }
  return through_normalised(read);
}

}  // namespace attend
