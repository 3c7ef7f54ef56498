// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Large matrices: the columns of the right one are packed by panels, which all threads share, the
// left one is read as it lies where it can be, else packed by blocks of rows, which a thread does
// for itself. Traffic of a register tile of 8 x 32: 40 numbers for 256 products, from the first-
// and second-level caches. The depth goes by stretches that keep a panel and the rows of a block in
// the latter; between them the sums wait in the output, so that an output of 16 bits takes the
// depth in one go.
//
// A place is what one step of a product reads of an item (a row of the left factor, a column of the
// right one): a float, or with bf16 products a pair of neighbours along the depth. Without such
// products the rounded numbers are multiplied as floats.

constexpr int64_t kDenseRows = 64;           // of a block; its left factor stays in the cache
constexpr int64_t kFewestDenseRows = 32;     // likewise, where threads would wait for each other
constexpr int64_t kPanelsAtOnce = 32;        // that are packed line by line
constexpr int64_t kDenseDepthPlaces = 1024;  // most places of a stretch

// A factor as packing sees it.
struct Factor {
  const char* data;
  ElementType type;
  int64_t items, item_stride, depth_stride;
  bool rounds;  // to bf16, where pairs do not do it anyway

  const char* at(int64_t item, int64_t depth) const {
    const int64_t size = type == ElementType::kBFloat16 ? 2 : 4;
    return data + (item * item_stride + depth * depth_stride) * size;
  }
};

ATTEND_INLINE Vec rounded_to_bf16(Vec v) {
  uint16_t halves[kLanes];
  store_bf16(halves, v);
  return load_bf16(halves);
}

// kLanes places of one item from `depth` on; zeros from `end` on.
template <bool kPairs>
ATTEND_INLINE Vec depth_places(const Factor& f, int64_t item, int64_t depth, int64_t end) {
  const char* row = f.at(item, 0);
  if (kPairs && f.type == ElementType::kBFloat16) {
    return load_pairs(row, f.depth_stride, depth, end - depth);
  }
  const Vec low = load_row(row, f.type, f.depth_stride, depth, end - depth);
  if (!kPairs) return f.rounds ? rounded_to_bf16(low) : low;
  return narrow_to_pairs(
      low, load_row(row, f.type, f.depth_stride, depth + kLanes, end - depth - kLanes));
}

// One place of kLanes items from `item` on; zeros behind the last item and from `end` on.
template <bool kPairs>
ATTEND_INLINE Vec item_places(const Factor& f, int64_t item, int64_t depth, int64_t end) {
  if (kPairs && f.type == ElementType::kBFloat16 && f.item_stride == 1 && depth + 1 < end &&
      item + kLanes <= f.items) {
    return join_rows(reinterpret_cast<const uint16_t*>(f.at(item, depth)),
                     reinterpret_cast<const uint16_t*>(f.at(item, depth + 1)));
  }
  const auto numbers = [&](int64_t at) ATTEND_INLINE_LAMBDA {
    if (at >= end) return zero();
    return load_row(f.at(0, at), f.type, f.item_stride, item, f.items - item);
  };
  const Vec first = numbers(depth);
  if (kPairs) return narrow_and_join(first, numbers(depth + 1));
  return f.rounds ? rounded_to_bf16(first) : first;
}

// What item_places() reads some steps later: lines that are far from each other, which the
// processor does not foresee.
template <bool kPairs>
ATTEND_INLINE void prefetch_items(const Factor& f, int64_t item, int64_t depth, int64_t end) {
  constexpr int64_t kAheadDepth = 32;
  for (int64_t at = depth + kAheadDepth; at < depth + kAheadDepth + (kPairs ? 2 : 1); ++at) {
    if (at < end) __builtin_prefetch(f.at(item, at), 0, 2);
  }
}

template <bool kPairs>
constexpr int64_t places_of(int64_t depth) {
  return kPairs ? (depth + 1) / 2 : depth;
}

// Some panels of the right factor for a stretch of the depth, each [places][kPanelOutputs],
// `panel_floats` apart. Where items lie side by side, all panels take their part of a line of them
// before the next one, which lies far away.
template <bool kPairs>
inline void pack_item_panels(const Factor& f, KeyRange panels, KeyRange depth, float* to,
                             int64_t panel_floats) {
  constexpr int64_t kStep = kPairs ? 2 : 1;
  for (int64_t from = depth.begin; from < depth.end; from += kStep, to += kPanelOutputs) {
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      float* line = to + (panel - panels.begin) * panel_floats;
#pragma GCC unroll 8
      for (int v = 0; v < kPanelVectors; ++v) {
        const int64_t item = panel * kPanelOutputs + v * kLanes;
        prefetch_items<kPairs>(f, item, from, depth.end);
        store(line + v * kLanes, item_places<kPairs>(f, item, from, depth.end));
      }
    }
  }
}

// One panel, where the numbers of an item lie side by side.
template <bool kPairs>
inline void pack_depth_panel(const Factor& f, int64_t panel, KeyRange depth, float* to) {
  constexpr int64_t kStep = kPairs ? 2 : 1;
  const int64_t places = places_of<kPairs>(depth.end - depth.begin);
  for (int v = 0; v < kPanelVectors; ++v) {
    const int64_t item = panel * kPanelOutputs + v * kLanes;
    float* column = to + v * kLanes;
    for (int64_t place = 0; place < places; place += kLanes) {
      Vec in[kLanes], out[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        in[i] = item + i < f.items
                    ? depth_places<kPairs>(f, item + i, depth.begin + place * kStep, depth.end)
                    : zero();
      }
      transpose(in, out);
      for (int i = 0; i < kLanes && place + i < places; ++i) {
        store(column + (place + i) * kPanelOutputs, out[i]);
      }
    }
  }
}

// Rows of the left factor for a stretch of the depth as they are: [rows][pitch], pitch a multiple
// of kLanes.
template <bool kPairs>
inline void pack_dense_rows(const Factor& f, KeyRange rows, KeyRange depth, int64_t pitch,
                            float* to) {
  constexpr int64_t kStep = kPairs ? 2 : 1;
  const int64_t places = places_of<kPairs>(depth.end - depth.begin);
  for (int64_t row = rows.begin; row < rows.end; ++row, to += pitch) {
    for (int64_t place = 0; place < places; place += kLanes) {
      store(to + place, depth_places<kPairs>(f, row, depth.begin + place * kStep, depth.end));
    }
  }
}

// The same across, as a matrix that is to be transposed lies: [places][kDenseRows].
template <bool kPairs>
inline void pack_dense_columns(const Factor& f, KeyRange rows, KeyRange depth, float* to) {
  constexpr int64_t kStep = kPairs ? 2 : 1;
  for (int64_t from = depth.begin; from < depth.end; from += kStep, to += kDenseRows) {
    for (int64_t row = rows.begin; row < rows.end; row += kLanes) {
      prefetch_items<kPairs>(f, row, from, depth.end);
      store(to + row - rows.begin, item_places<kPairs>(f, row, from, depth.end));
    }
  }
}

// A register tile of the output; `first`: nothing of it has been written before.
template <int kRows>
ATTEND_INLINE void write_dense_tile(const Vec (&sums)[kRows][kPanelVectors], const DenseProduct& p,
                                    int64_t row, int64_t column, bool first) {
#pragma GCC unroll 8
  for (int v = 0; v < kPanelVectors; ++v) {
    const int64_t from = column + v * kLanes, count = p.columns - from;
    const Mask lanes = lanes_below(count);
    const Vec shift = first && p.bias ? load_lanes(p.bias + from, lanes) : zero();
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const int64_t at = (row + r) * p.output_stride + from;
      if (p.output_type == ElementType::kBFloat16) {
        auto* to = static_cast<uint16_t*>(p.output) + at;
        const Vec sum = add(sums[r][v], shift);
        if (count >= kLanes) {
          store_bf16(to, sum);
        } else {
          uint16_t halves[kLanes];
          store_bf16(halves, sum);
          for (int64_t i = 0; i < count; ++i) to[i] = halves[i];
        }
      } else {
        float* to = static_cast<float*>(p.output) + at;
        store_lanes(to, lanes, add(sums[r][v], first ? shift : load_lanes(to, lanes)));
      }
    }
  }
}

// How a block of the left factor lies when it is multiplied.
enum class DenseLayout { kAsItIs, kRows, kAcross };

template <bool kPairs>
inline DenseLayout dense_layout(const Factor& f, int64_t depth) {
  if (f.depth_stride != 1) return f.item_stride == 1 ? DenseLayout::kAcross : DenseLayout::kRows;
  const bool fits = (f.type == ElementType::kBFloat16) == kPairs && !f.rounds;
  return fits && depth % (kPairs ? 2 : 1) == 0 ? DenseLayout::kAsItIs : DenseLayout::kRows;
}

// `stride` in bytes between rows or, of kAcross, between places.
struct DenseRows {
  const uint8_t* data;
  int64_t stride;
};

template <bool kPairs>
inline DenseRows dense_rows(const Factor& f, KeyRange rows, KeyRange depth, DenseLayout layout) {
  if (layout == DenseLayout::kAsItIs) {
    return {reinterpret_cast<const uint8_t*>(f.at(rows.begin, depth.begin)),
            f.item_stride * (kPairs ? 2 : 4)};
  }
  const int64_t pitch = rounded_up(places_of<kPairs>(depth.end - depth.begin), kLanes);
  float* packed = pair_scratch().floats(kDenseRows * pitch);
  const auto* data = reinterpret_cast<const uint8_t*>(packed);
  if (layout == DenseLayout::kAcross) {
    pack_dense_columns<kPairs>(f, rows, depth, packed);
    return {data, kDenseRows * 4};
  }
  pack_dense_rows<kPairs>(f, rows, depth, pitch, packed);
  return {data, pitch * 4};
}

// What one thread multiplies at a time: some rows and a panel, for a stretch of the depth.
struct DenseBlock {
  KeyRange rows;
  int64_t depth = 0;
  DenseRows left;
  bool first = false;  // stretch
  const float* panel = nullptr;
  int64_t column = 0;
};

template <class Weights, bool kAcross, int kRows>
inline void multiply_dense_rows(const DenseProduct& p, const DenseBlock& block, int64_t row) {
  if constexpr (kRows <= kMostMatrixRows) {
    for (; row + kRows <= block.rows.end; row += kRows) {
      Vec sums[kRows][kPanelVectors];
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kPanelVectors; ++v) sums[r][v] = zero();
      }
      const int64_t behind = row - block.rows.begin;
      Weights::template sum<kRows, false, kAcross>(
          reinterpret_cast<const uint8_t*>(block.panel),
          block.left.data + behind * (kAcross ? 4 : block.left.stride), block.left.stride,
          block.depth, sums);
      write_dense_tile(sums, p, row, block.column, block.first);
    }
  }
  if constexpr (kRows > 1) {
    if (row < block.rows.end) multiply_dense_rows<Weights, kAcross, kRows / 2>(p, block, row);
  }
}

template <bool kPairs>
inline void multiply_dense_as(const DenseProduct& p) {
  constexpr int64_t kStep = kPairs ? 2 : 1;
  using Weights = std::conditional_t<kPairs, Bf16Weights, Fp32Weights>;
  const auto factor = [&](const ConstMatrix& m, int64_t items, int64_t item, int64_t depth) {
    const bool rounds =
        p.factors == ElementType::kBFloat16 && m.type == ElementType::kFloat32 && !kPairs;
    return Factor{static_cast<const char*>(m.data), m.type, items, item, depth, rounds};
  };
  const Factor left = factor(p.left, p.rows, p.left.row_stride, p.left.column_stride);
  const Factor right = factor(p.right, p.columns, p.right.column_stride, p.right.row_stride);
  const DenseLayout layout = dense_layout<kPairs>(left, p.depth);

  const int64_t all_places = places_of<kPairs>(p.depth);
  const int64_t stretches = p.output_type == ElementType::kBFloat16
                                ? 1
                                : (all_places + kDenseDepthPlaces - 1) / kDenseDepthPlaces;
  const int64_t most_places = (all_places + stretches - 1) / stretches;
  const int64_t panels = (p.columns + kPanelOutputs - 1) / kPanelOutputs;
  const int threads = p.threads > 0 ? p.threads : omp_get_max_threads();
  // Shares small enough that no thread waits long for the last one: smaller blocks where rows are
  // few, and where these are few too, parts of the panels.
  const int64_t wanted = threads > 1 ? 8 * threads : 1;
  const int64_t blocks =
      at_least((p.rows + kDenseRows - 1) / kDenseRows,
               at_most(wanted, (p.rows + kFewestDenseRows - 1) / kFewestDenseRows));
  // A part of the panels takes its left factor packed anew, so only where threads would lack work.
  const int64_t groups = at_least(1, at_most(panels, (wanted / 2 + blocks - 1) / blocks));
  const int64_t pack_groups =
      at_most(panels, at_least(threads, (panels + kPanelsAtOnce - 1) / kPanelsAtOnce));
  // A place more than is needed, lest the same place of all panels fall into one set of a cache.
  const int64_t panel_floats = kPanelOutputs * (most_places + 1);
  float* packed = team_scratch().floats(panels * panel_floats);
#pragma omp parallel num_threads(threads) if (threads > 1)
  for (int64_t stretch = 0; stretch < stretches; ++stretch) {
    const KeyRange depth{all_places * stretch / stretches * kStep,
                         at_most(all_places * (stretch + 1) / stretches * kStep, p.depth)};
#pragma omp for schedule(static)
    for (int64_t group = 0; group < pack_groups; ++group) {
      const KeyRange mine{panels * group / pack_groups, panels * (group + 1) / pack_groups};
      float* to = packed + mine.begin * panel_floats;
      if (right.item_stride == 1) {
        pack_item_panels<kPairs>(right, mine, depth, to, panel_floats);
        continue;
      }
      for (int64_t panel = mine.begin; panel < mine.end; ++panel, to += panel_floats) {
        pack_depth_panel<kPairs>(right, panel, depth, to);
      }
    }
#pragma omp for schedule(dynamic) collapse(2)
    for (int64_t item = 0; item < blocks; ++item) {
      for (int64_t group = 0; group < groups; ++group) {
        const KeyRange rows{p.rows * item / blocks, p.rows * (item + 1) / blocks};
        DenseBlock block{rows, depth.end - depth.begin,
                         dense_rows<kPairs>(left, rows, depth, layout), stretch == 0};
        for (int64_t panel = panels * group / groups; panel < panels * (group + 1) / groups;
             ++panel) {
          block.panel = packed + panel * panel_floats;
          block.column = panel * kPanelOutputs;
          if (layout == DenseLayout::kAcross) {
            multiply_dense_rows<Weights, true, 8>(p, block, block.rows.begin);
          } else {
            multiply_dense_rows<Weights, false, 8>(p, block, block.rows.begin);
          }
        }
      }
    }
  }
}

inline void multiply_dense(const DenseProduct& p) {
#ifdef ATTEND_BF16_PRODUCTS
  if (p.factors == ElementType::kBFloat16) return multiply_dense_as<true>(p);
#endif
  multiply_dense_as<false>(p);
}
