// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "attend/kernels/attention.h"

namespace attend::kernels {
namespace {

const char* check_starts(const int64_t* starts, int64_t batch, int64_t rows) {
  if (starts[0] != 0) return "attention: the offsets of packed sequences must start at 0";
  for (int64_t b = 0; b < batch; ++b) {
    if (starts[b + 1] < starts[b]) return "attention: the offsets of packed sequences must ascend";
  }
  return starts[batch] == rows ? nullptr
                               : "attention: the last offset of packed sequences must be the "
                                 "number of rows";
}

const char* check_lengths(const int64_t* lengths, int64_t batch, int64_t rows) {
  for (int64_t b = 0; lengths && b < batch; ++b) {
    if (lengths[b] < 0 || lengths[b] > rows) return "attention: a length is outside [0, rows]";
  }
  return nullptr;
}

}  // namespace

const char* check(const Attention& a) {
  if (a.batch < 0 || a.heads < 0 || a.queries < 0 || a.keys < 0) {
    return "attention: batch, heads, queries and keys must be >= 0";
  }
  if (a.kv_heads < 1 || a.heads % a.kv_heads != 0) {
    return "attention: kv_heads must be >= 1 and divide heads";
  }
  if (a.dim < 1 || a.dim > 256) return "attention: dim must be 1 to 256";
  if (a.value_dim < 1 || a.value_dim > 256) return "attention: value_dim must be 1 to 256";
  if (!std::isfinite(a.scale)) return "attention: scale must be finite";
  if (!(a.soft_cap >= 0 && std::isfinite(a.soft_cap))) {
    return "attention: soft_cap must be finite and >= 0";
  }
  if (!(a.dropout >= 0 && a.dropout < 1)) return "attention: dropout must be in [0, 1)";
  if (a.distance_bias && a.distance_reach < 0) return "attention: distance_reach must be >= 0";
  if (a.block_mask.data && (a.block_mask.query_block < 1 || a.block_mask.key_block < 1)) {
    return "attention: the blocks of a block mask must be >= 1";
  }
  if (a.keys > INT32_MAX || a.queries > INT32_MAX) {
    return "attention: at most 2^31 - 1 queries and keys";
  }
  if (!a.query_starts != !a.key_starts) {
    return "attention: query_starts and key_starts must be given together";
  }
  if (a.query_starts) {
    if (a.query_lengths || a.key_lengths) {
      return "attention: packed sequences take offsets or lengths, not both";
    }
    if (a.pages) return "attention: packed sequences and pages do not go together";
    if (const char* wrong = check_starts(a.query_starts, a.batch, a.queries)) return wrong;
    if (const char* wrong = check_starts(a.key_starts, a.batch, a.keys)) return wrong;
  }
  if (a.pages && (a.page_size < 1 || a.pages_per_batch * a.page_size < a.keys)) {
    return "attention: the pages of a batch element hold fewer rows than keys";
  }
  if (const char* wrong = check_lengths(a.query_lengths, a.batch, a.queries)) return wrong;
  return check_lengths(a.key_lengths, a.batch, a.keys);
}

}  // namespace attend::kernels
