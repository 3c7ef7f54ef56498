// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// It makes the [batch, heads, query, key] scores and weights in memory; per element of the matrix
// it passes once to multiply, once per additive term that is there, and three times in the softmax.
// Query heads that share a key/value head are laid behind one another along the query axis:
// [batch * kv_heads, group * query, dim] times [batch * kv_heads, dim, key] is one product per
// key/value head, and nothing is copied.
#include "plain_attention.h"

#include <cmath>
#include <limits>

#include "attention_masks.h"
#include "attention_statistics.h"

namespace attend::detail {
namespace {

// A row per query [batch, heads, query, 1]: where the softmax has nothing to sum over.
torch::Tensor dead_rows_of(const torch::Tensor& scores, const ScoreTerms& terms) {
  if (!terms.bias_forbids) return terms.dead_rows;
  const double forbidden = forbidden_score(scores.scalar_type());
  const torch::Tensor dead = scores.detach().amax(-1, true) <= forbidden / 2;
  return terms.dead_rows.defined() ? dead | terms.dead_rows : dead;
}

}  // namespace

AttentionResult plain_attention(const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const AttentionArguments& arguments) {
  const int64_t batch = query.size(0), heads = query.size(1), queries = query.size(2);
  const int64_t kv_heads = key.size(1), keys = key.size(2);
  const int64_t group_rows = heads / kv_heads * queries;
  const double scale = arguments.scale.value_or(1.0 / std::sqrt(double(query.size(3))));
  const TraceStatistics& wanted = arguments.statistics;
  AttentionResult result;

  // The scale goes onto the queries, not the scores: dim instead of key elements per row. (Not into
  // baddbmm with beta = 0, which in LibTorch 1.13 multiplies uninitialised memory by 0: NaN.)
  const torch::Tensor flat_query =
      query.reshape({batch * kv_heads, group_rows, query.size(3)}) * scale;
  const torch::Tensor flat_key = key.reshape({batch * kv_heads, keys, key.size(3)});
  const torch::Tensor flat_value = value.reshape({batch * kv_heads, keys, value.size(3)});
  torch::Tensor scores =
      torch::bmm(flat_query, flat_key.transpose(1, 2)).view({batch, heads, queries, keys});

  const ScoreTerms terms = score_terms(query, key, arguments);
  // In place: the product's backward reads its operands, not its result.
  if (terms.by_head.defined()) scores.add_(terms.by_head);
  if (terms.bias.defined()) scores.add_(terms.bias);
  if (terms.by_batch.defined()) scores.add_(terms.by_batch);
  const torch::Tensor dead_rows = dead_rows_of(scores, terms);

  torch::Tensor lse;
  if (wanted.lse || arguments.sink.defined()) lse = scores.logsumexp(-1);
  const torch::Tensor softmax = scores.softmax(-1);
  scores.reset();  // softmax keeps its result only: the matrix of scores can go

  // With a sink of logit s, exp(score) / (exp(lse) + exp(s)) = softmax * sigmoid(lse - s).
  torch::Tensor kept;  // [batch, heads, query, 1]
  if (arguments.sink.defined()) {
    const torch::Tensor sink = arguments.sink.view({1, heads, 1});
    kept = torch::sigmoid(lse - sink).unsqueeze(-1);
    if (wanted.sink) result.statistics.sink = torch::sigmoid(sink - lse);
    if (wanted.lse) lse = torch::logaddexp(lse, sink);
  } else if (wanted.sink) {
    result.statistics.sink = torch::zeros({batch, heads, queries}, query.options());
  }

  // Traced weights must lie on the path to the output, so that the output can be differentiated by
  // them: then sink and dead rows act on the weights. Otherwise they act on the output, which is
  // the same and smaller. A dead row had only forbidden scores, whose softmax is uniform: finite,
  // and cut off here together with its gradient.
  const auto finish = [&](torch::Tensor rows) {
    if (kept.defined()) rows = rows * kept;
    return dead_rows.defined() ? rows.masked_fill(dead_rows, 0) : rows;
  };
  const bool traced = wanted.any();
  const torch::Tensor weights = traced ? finish(softmax) : softmax;
  const torch::Tensor dropped = torch::dropout(weights, arguments.dropout, arguments.dropout > 0);
  const torch::Tensor output =
      torch::bmm(dropped.view({batch * kv_heads, group_rows, keys}), flat_value)
          .view({batch, heads, queries, value.size(3)});
  result.output = traced ? output : finish(output);
  if (!traced) return result;

  const torch::Tensor sink = result.statistics.sink;
  result.statistics = statistics_of(weights, wanted);
  if (wanted.sink) {
    result.statistics.sink =
        dead_rows.defined() ? sink.masked_fill(dead_rows.squeeze(-1), 0) : sink;
  }
  if (wanted.lse) {
    result.statistics.lse =
        dead_rows.defined()
            ? lse.masked_fill(dead_rows.squeeze(-1), -std::numeric_limits<double>::infinity())
            : lse;
  }
  return result;
}

}  // namespace attend::detail
