// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include <algorithm>

namespace attend::bench {
namespace {

using kernels::ElementType;

constexpr ElementType kF32 = ElementType::kFloat32;
constexpr ElementType kBf16 = ElementType::kBFloat16;

std::vector<TraceKind> trace_kinds() {
  return {TraceKind::kEntropy, TraceKind::kTopKeys, TraceKind::kReceived};
}

// The cases of docs/performance.md.
std::vector<Case> default_cases() {
  std::vector<Case> cases;
  const auto add = [&cases](What what, const char* shape, ElementType type, bool causal,
                            int64_t window = -1, TraceKind trace = TraceKind::kNone) {
    cases.push_back({what, parse_shape(shape), type, causal, window, trace});
  };
  for (const char* shape : {"1x8x512x64", "1x8x1024x64", "1x8x4096x64", "1x8x16384x64",
                            "32x8x32x64", "8x12x128x64", "1x32x2048x128", "1x1x4096x64"}) {
    for (const bool causal : {false, true}) add(What::kForward, shape, kF32, causal);
  }
  for (const bool causal : {false, true}) add(What::kForward, "1x8x8192x64", kF32, causal, 256);
  for (const char* shape : {"1x8x512x64", "1x8x1024x64", "1x8x2048x64", "1x8x4096x64", "32x8x32x64",
                            "8x12x128x64", "1x32x2048x128"}) {
    add(What::kForward, shape, kBf16, false);
  }
  for (const char* shape : {"1x8x1024x64", "1x8x4096x64", "1x1x4096x64"}) {
    for (const bool causal : {false, true}) add(What::kBackward, shape, kF32, causal);
  }
  add(What::kBackward, "1x8x1024x64", kBf16, false);
  for (const auto type : {kF32, kBf16}) {
    add(What::kDecode, "1x32x1x128x32768x8", type, false);
  }
  for (const TraceKind kind : trace_kinds()) {
    add(What::kTrace, "1x8x1024x64", kF32, false, -1, kind);
    add(What::kTrace, "1x2x8192x64", kF32, false, -1, kind);
  }
  add(What::kTrace, "1x1x16384x64", kF32, false, -1, TraceKind::kReceived);
  add(What::kMemory, "1x1x131072x64", kF32, false, -1, TraceKind::kPooled);
  return cases;
}

template <typename Item>
bool chosen(const std::vector<Item>& wanted, Item item) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), item) != wanted.end();
}

double visible_pairs(const Case& c) {
  double pairs = 0;
  for (int64_t row = 0; row < c.shape.queries; ++row) {
    const KeyRange range = visible_keys(c, row);
    pairs += double(std::max<int64_t>(0, range.last - range.first));
  }
  return pairs;
}

const char* trace_name(TraceKind kind) {
  switch (kind) {
    case TraceKind::kEntropy:
      return "lse+entropy_";
    case TraceKind::kTopKeys:
      return "top8_";
    case TraceKind::kReceived:
      return "received_";
    case TraceKind::kPooled:
      return "pooled64_";
    case TraceKind::kNone:
      break;
  }
  return "";
}

}  // namespace

std::string name(const Case& c) {
  std::string text;
  switch (c.what) {
    case What::kBackward:
      text = "bwd_";
      break;
    case What::kDecode:
      text = "decode_";
      break;
    case What::kTrace:
      text = "trace_";
      break;
    case What::kMemory:
      text = "memory_";
      break;
    default:
      text = "fwd_";
  }
  text += trace_name(c.trace);
  text += c.type == kF32 ? "f32_" : "bf16_";
  text += c.causal ? "causal_" : "full_";
  if (c.window >= 0) text += "window" + std::to_string(c.window) + "_";
  return text + to_string(c.shape);
}

double flops(const Case& c) {
  const Shape& s = c.shape;
  const bool half = c.causal && c.window < 0 && s.queries == s.keys;
  const double pairs = half ? 0.5 * double(s.queries) * double(s.keys) : visible_pairs(c);
  const double forward = 4.0 * double(s.batch * s.heads) * pairs * double(s.dim);
  return c.what == What::kBackward ? 2.5 * forward : forward;
}

double cache_bytes(const Case& c) {
  const Shape& s = c.shape;
  return 2.0 * double(s.batch * s.kv_heads) * double(s.keys) * double(s.dim) *
         (c.type == kF32 ? 4 : 2);
}

KeyRange visible_keys(const Case& c, int64_t row) {
  const Shape& s = c.shape;
  const int64_t position = row + std::max<int64_t>(0, c.causal ? s.keys - s.queries : 0);
  KeyRange range{0, s.keys};
  if (c.causal) range.last = std::min(range.last, position + 1);
  if (c.window >= 0) {
    range.first = std::max(range.first, position - c.window);
    range.last = std::min(range.last, position + c.window + 1);
  }
  return range;
}

std::vector<Case> chosen_cases(const Options& options) {
  const std::vector<What> wanted =
      options.what.empty()
          ? std::vector<What>{What::kForward, What::kBackward, What::kDecode, What::kTrace}
          : options.what;
  std::vector<Case> cases;
  if (options.shapes.empty()) {
    for (Case& c : default_cases()) {
      if (!chosen(wanted, c.what) || !chosen(options.types, c.type) ||
          !chosen(options.causal, c.causal) || (options.window >= 0 && c.window < 0)) {
        continue;
      }
      if (options.window >= 0) c.window = options.window;
      cases.push_back(c);
    }
    return cases;
  }
  const auto types = options.types.empty() ? std::vector<ElementType>{kF32} : options.types;
  const auto causals = options.causal.empty() ? std::vector<bool>{false} : options.causal;
  for (const What what : wanted) {
    if (what == What::kLimits || needs_modules(what)) continue;
    std::vector<TraceKind> kinds{TraceKind::kNone};
    if (what == What::kTrace) kinds = trace_kinds();
    if (what == What::kMemory) kinds = {TraceKind::kPooled};
    for (const Shape& shape : options.shapes) {
      for (const ElementType type : types) {
        for (const bool causal : causals) {
          for (const TraceKind kind : kinds) {
            cases.push_back({what, shape, type, causal, options.window, kind});
          }
        }
      }
    }
  }
  return cases;
}

}  // namespace attend::bench
