// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/attention_options.h"

#include "attend/base/error.h"
#include "option_checks.h"

namespace attend {
namespace {

constexpr detail::NamedValue<PositionKind> kPositionKinds[] = {
    {"none", PositionKind::kNone},
    {"learned", PositionKind::kLearned},
    {"sinusoidal", PositionKind::kSinusoidal},
    {"rotary", PositionKind::kRotary},
    {"alibi", PositionKind::kAlibi},
    {"relative", PositionKind::kRelative}};

void check_heads(const AttentionOptions& options) {
  detail::require_at_least("hidden", options.hidden, 1);
  detail::require_at_least("heads", options.heads, 1);
  detail::require_at_least("kv_heads", options.kv_heads, 0);
  detail::require_at_least("head_dim", options.head_dim, 0);
  detail::require_at_least("memory", options.memory, 0);
  if (options.head_dim == 0 && options.hidden % options.heads != 0) {
    throw usage_error("hidden " + std::to_string(options.hidden) + " is not divisible by heads " +
                      std::to_string(options.heads) +
                      ": choose heads that divide hidden, or set head_dim");
  }
  if (options.heads % options.resolved_kv_heads() != 0) {
    throw usage_error("heads " + std::to_string(options.heads) + " is not divisible by kv_heads " +
                      std::to_string(options.kv_heads) +
                      ": choose kv_heads that divide heads (0 = as many as heads)");
  }
}

void check_rotary(const AttentionOptions& options) {
  if (options.rotary_base <= 1) {
    throw usage_error("rotary_base " + std::to_string(options.rotary_base) +
                      " must be greater than 1: 10000 is usual");
  }
  const int64_t head_dim = options.resolved_head_dim();
  const int64_t turning = options.rotary_dim > 0 ? options.rotary_dim : head_dim;
  if (options.rotary_dim < 0 || turning % 2 != 0 || turning > head_dim) {
    throw usage_error("rotary positions turn " + std::to_string(turning) + " of " +
                      std::to_string(head_dim) +
                      " dimensions per head: the number must be even and at most head_dim; set "
                      "rotary_dim or head_dim");
  }
}

void check_relative(const AttentionOptions& options) {
  detail::require_at_least("relative_max_distance", options.relative_max_distance, 1);
  if (options.relative_kind != RelativeBiasKind::kBucketed) return;
  const int64_t buckets = options.relative_buckets;
  if (buckets < 4 || buckets % 2 != 0) {
    throw usage_error("relative_buckets " + std::to_string(buckets) +
                      " must be even and at least 4: 32 is usual");
  }
  if (options.relative_max_distance <= buckets / 2) {
    throw usage_error("relative_max_distance " + std::to_string(options.relative_max_distance) +
                      " must be greater than half of relative_buckets " + std::to_string(buckets) +
                      ": raise it, or use fewer buckets");
  }
}

}  // namespace

void check_options(const AttentionOptions& options) {
  check_heads(options);
  detail::require_at_least("window_left", options.window_left, -1);
  detail::require_at_least("window_right", options.window_right, -1);
  if (options.causal && options.window_right > 0) {
    throw usage_error("window_right " + std::to_string(options.window_right) +
                      " has no effect in causal attention: leave it at -1");
  }
  if (options.scale < 0) {
    throw usage_error("scale " + std::to_string(options.scale) +
                      " must not be negative: 0 means 1 / sqrt(head_dim)");
  }
  detail::require_probability("dropout", options.dropout);
  if (options.positions == PositionKind::kRotary) check_rotary(options);
  if (options.positions == PositionKind::kRelative) check_relative(options);
}

PositionKind parse_position_kind(const std::string& name) {
  return detail::parse_named("positions", name, kPositionKinds);
}

std::string to_string(PositionKind kind) { return detail::name_of(kind, kPositionKinds); }

}  // namespace attend
