// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "narrow_matrix.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>
#include <span>

#include "packed_layout.h"
#include "scratch.h"

namespace attend::kernels {
namespace {

constexpr int64_t kPair = 2 * kPanelOutputs;  // weights of a pair of inputs
constexpr int64_t kLine = 2 * kPair;
constexpr int64_t kBiasBytes = panel_head_bytes(WeightType::kBFloat16);
// Strays of a panel that are worth it on the average: for one row each costs a fifth of a line.
constexpr int64_t worthy_strays(int64_t inputs) { return inputs / 8; }

constexpr uint8_t kStray = 16;  // instead of a code
struct Codes {
  std::array<uint8_t, 16> upper{};
  std::array<uint8_t, 256> code;  // of every upper byte
  int64_t strays = 0;

  uint8_t of(uint16_t weight) const { return code[weight >> 8]; }
};

// The most frequent upper bytes, behind that of zero, which stands in for strays.
Codes codes_of(std::span<const uint16_t> weights) {
  std::array<int64_t, 256> seen{};
  for (const uint16_t weight : weights) ++seen[weight >> 8];
  std::array<uint8_t, 256> order;
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::stable_sort(order.begin() + 1, order.end(),
                   [&](uint8_t left, uint8_t right) { return seen[left] > seen[right]; });
  Codes codes;
  codes.code.fill(kStray);
  codes.strays = std::ssize(weights);
  for (uint8_t code = 0; code < 16; ++code) {
    codes.upper[code] = order[code];
    codes.code[order[code]] = code;
    codes.strays -= seen[order[code]];
  }
  return codes;
}

// Where the byte of a weight of a pair stands among 64, given its place in a plain panel's pair.
// The engine joins bytes within every 16: the first 8 make a part of one vector, the others of the
// next.
int64_t narrow_place(int64_t weight) {
  const int64_t vector = weight / 32, i = weight % 32;
  return i / 8 * 16 + vector * 8 + i % 8;
}

// `panel` is the head.
void write_panel(const Codes& codes, std::span<const uint16_t> weights, uint8_t* panel) {
  NarrowHead head{};
  std::copy(codes.upper.begin(), codes.upper.end(), head.upper);
  const auto without_stray = [&](uint16_t weight) {
    return codes.of(weight) == kStray ? uint16_t{0} : weight;
  };
  uint8_t* line = panel + sizeof(NarrowHead);
  for (size_t first = 0; first < weights.size(); first += kLine, line += kNarrowLineBytes) {
    for (size_t i = 0; i < kPair; ++i) {
      const uint16_t weight = without_stray(weights[first + i]);
      const uint16_t next = without_stray(weights[first + kPair + i]);
      uint8_t* to = line + narrow_place(int64_t(i));
      to[0] = uint8_t(codes.of(weight) | codes.of(next) << 4);
      to[64] = uint8_t(weight);
      to[128] = uint8_t(next);
    }
  }
  for (size_t half = 0; half < 2; ++half) {
    for (size_t pair = 0; codes.strays > 0 && pair < weights.size() / kPair; ++pair) {
      for (size_t i = 0; i < kPair / 2; ++i) {
        const uint16_t weight = weights[pair * kPair + half * kPair / 2 + i];
        if (codes.of(weight) != kStray) continue;
        const Stray stray{int32_t(uint32_t{weight} << (i % 2 * 16)), uint32_t(pair),
                          uint32_t(i / 2)};
        std::memcpy(line, &stray, sizeof stray);
        line += sizeof stray;
        ++head.strays[half];
      }
    }
  }
  std::memcpy(panel, &head, sizeof head);
}

}  // namespace

PackedMatrix narrowed(const PackedMatrix& plain) {
  const auto count = size_t(padded_inputs(plain.type, plain.inputs) * kPanelOutputs);
  auto* memory = static_cast<uint8_t*>(const_cast<void*>(plain.memory));
  const auto bias = [&](int64_t panel) { return memory + panel * panel_bytes(plain); };
  const auto weights = [&](int64_t panel) {
    return std::span(reinterpret_cast<const uint16_t*>(bias(panel) + kBiasBytes), count);
  };
  PackedMatrix narrow = plain;
  narrow.most_strays = 0;
  int64_t all_strays = 0;
  for (int64_t panel = 0; panel < plain.panels(); ++panel) {
    const int64_t strays = codes_of(weights(panel)).strays;
    narrow.most_strays = std::max(narrow.most_strays, strays);
    all_strays += strays;
  }
  const bool worth_it = all_strays <= plain.panels() * worthy_strays(plain.inputs);
  if (!worth_it || panel_bytes(narrow) >= panel_bytes(plain)) return plain;
  // A narrow panel never reaches beyond the plain one that it is made of.
  auto* own = reinterpret_cast<uint16_t*>(pair_scratch().floats(int64_t(count) / 2));
  for (int64_t panel = 0; panel < plain.panels(); ++panel) {
    std::ranges::copy(weights(panel), own);
    uint8_t* to = memory + panel * panel_bytes(narrow);
    std::memmove(to, bias(panel), kBiasBytes);
    write_panel(codes_of({own, count}), {own, count}, to + kBiasBytes);
  }
  return narrow;
}

float narrow_weight(const PackedMatrix& matrix, int64_t output, int64_t input) {
  const auto* panel = static_cast<const uint8_t*>(matrix.memory) +
                      output / kPanelOutputs * panel_bytes(matrix) + kBiasBytes;
  const auto& head = *reinterpret_cast<const NarrowHead*>(panel);
  const uint8_t* lines = panel + sizeof(NarrowHead);
  const uint8_t* line = lines + input / kNarrowInputs * kNarrowLineBytes;
  const int64_t lane = output % kPanelOutputs, second = input % kNarrowInputs / 2;
  const uint8_t* at = line + narrow_place(lane * 2 + input % 2);
  uint32_t weight = uint32_t{head.upper[at[0] >> 4 * second & 15]} << 8 | at[64 + 64 * second];
  const int64_t padded = padded_inputs(matrix.type, matrix.inputs);
  const auto* stray =
      reinterpret_cast<const Stray*>(lines + padded / kNarrowInputs * kNarrowLineBytes);
  for (int half = 0; half < 2; ++half) {
    for (int32_t i = 0; i < head.strays[half]; ++i, ++stray) {
      if (half * 16 + int64_t{stray->lane} == lane && int64_t{stray->place} == input / 2) {
        weight |= uint32_t(stray->pair) >> (input % 2 * 16) & 0xffffu;
      }
    }
  }
  return std::bit_cast<float>(weight << 16);
}

}  // namespace attend::kernels
