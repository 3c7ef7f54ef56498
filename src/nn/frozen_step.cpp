// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// One call of frozen blocks, such as a decoder's step. Every pass is dealt to the threads by rows
// (norms, packing), by panels of outputs (products) or by sequences and heads (attention); a wait
// stands between passes whose shares differ. A thread that is alone takes the rows by blocks: what
// a pass leaves for the next one stays in the cache.
#include <algorithm>
#include <cmath>

#include "attend/kernels/attention.h"
#include "attend/nn/parallel.h"
#include "elementwise_dispatch.h"
#include "frozen_blocks.h"
#include "frozen_product.h"

namespace attend::detail {
namespace {

constexpr float kRmsEpsilon = 1e-6f;  // RmsNorm's

// What a pass makes of so many rows stays in one core's cache. Sequences that stand on their own go
// by parts of about as many.
constexpr int64_t kBlockRows = 128;

torch::Tensor floats(int64_t rows, int64_t columns) {
  return torch::empty({rows, columns}, torch::kFloat);
}

const float* data(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

void rms_norm(float* row, int64_t size, const float* gain) {
  float squares = 0;
  for (int64_t i = 0; i < size; ++i) squares += row[i] * row[i];
  const float factor = 1 / std::sqrt(squares / static_cast<float>(size) + kRmsEpsilon);
  for (int64_t i = 0; i < size; ++i) row[i] *= factor * gain[i];
}

void rotate(float* row, int64_t half, const float* cosine, const float* sine) {
  for (int64_t i = 0; i < half; ++i) {
    const float first = row[i], second = row[half + i];
    row[i] = first * cosine[i] - second * sine[i];
    row[half + i] = second * cosine[i] + first * sine[i];
  }
}

}  // namespace

class FrozenStep {
 public:
  /// `hidden` [batch, length, hidden], contiguous, becomes what the blocks make of it.
  FrozenStep(const FrozenBlocks& blocks, const torch::Tensor& hidden,
             const FrozenBlocks::Call& call);

  void run();

  /// Then run() takes these sequences, as many and as long: what it needs is not made once more.
  void take(const torch::Tensor& hidden, const FrozenBlocks::Call& call) {
    hidden_ = hidden.view({rows_, hidden_size_});
    call_ = &call;
  }

 private:
  using Attention = FrozenBlocks::Attention;
  using Norm = FrozenBlocks::Norm;

  // What attention reads. In a cache, new positions are written there; without one these are the
  // projected rows themselves.
  struct Cached {
    torch::Tensor key, value;  // [sequences, kv_heads, length, dim]; or [places, kv_heads, dim]
    int64_t offset = 0;        // positions that were there before
    int64_t length = 0;        // with the new ones
    const int32_t* places = nullptr;  // of BranchingCache, [sequences, pitch]
    int64_t pitch = 0;

    // In elements, of a position of one head.
    int64_t at(int64_t sequence, int64_t head, int64_t position) const {
      if (places != nullptr) {
        return places[sequence * pitch + position] * key.stride(0) + head * key.stride(1);
      }
      return sequence * key.stride(0) + head * key.stride(1) + position * key.stride(2);
    }
  };

  // The sequences and key/value heads that one thread attends with.
  struct Part {
    Range sequences, kv_heads;
    Range heads;      // those of queries
    Range rows;       // of the sequences
    int64_t queries;  // of one sequence

    Range rows_in(Range block) const {
      return {std::max(block.begin, rows.begin), std::min(block.end, rows.end)};
    }
  };

  void work(const Team& team);
  void self_attention(const Team& team, const Attention& part, Cached& cached);
  void cross_attention(const Team& team, const Attention& part, Cached& cached);
  void remember(const Team& team, const Attention& part, Cached& cached);
  void finish_attention(const Team& team, const Attention& part, int64_t gate_column);
  void feed_forward(const Team& team, const FrozenBlocks::Block& weights);
  void project(const Team& team, Range block, const Attention& part);
  bool reads_projected(const Attention& part) const;
  void prepare_query(Range rows, Range heads, const Attention& part, int64_t half);
  void prepare_key_and_value(Range rows, Range heads, const Attention& part, const Cached& cached);
  template <typename Out>
  void normalise(Range rows, const Norm& norm, const float* from, NormLoop<Out>* loop, Out* to,
                 int64_t stride);
  void normalise_block(const Team& team, Range block, const Norm& norm);
  void attend_to(const Part& part, const Attention& weights, const Cached& cached,
                 const kernels::Attention& settings);
  void write(const float* row, int64_t count, void* to, int64_t offset) const;
  Part part_of(const Team& team, int64_t sequences, int64_t queries) const;

  // Calls pass(rows) for blocks of rows, or once for all of them where they are dealt to threads.
  template <class Pass>
  void by_blocks(const Team& team, const Pass& pass) const {
    const int64_t most = team.size == 1 ? block_rows_ : rows_;
    for (int64_t first = 0; first < rows_; first += most) {
      pass(Range{first, std::min(first + most, rows_)});
    }
  }

  // Whether attention writes its output just as the next product reads it; a gate wants floats.
  bool attends_packed() const {
    return !blocks_.attention_.output_gate &&
           kernels::packs_as_bfloat16(blocks_.weights_.type(), joined_);
  }

  bool rounded() const { return blocks_.precision_ != Precision::kFloat32; }

  // Whether keys and values are kept beyond this call.
  bool remembers() const { return call_->self != nullptr || call_->branches != nullptr; }

  const FrozenBlocks& blocks_;
  const FrozenBlocks::Call* call_;
  const Loops& loops_ = active_loops();
  int64_t batch_, length_, rows_, hidden_size_;
  int64_t heads_, kv_heads_, dim_, joined_, kv_joined_, inner_, columns_;
  int64_t inner_pitch_ = 0;
  int team_size_;
  int64_t block_rows_;           // most rows of a pass
  torch::Tensor cosine_, sine_;  // [length, half]
  torch::Tensor hidden_;         // [rows, hidden]: the residual stream
  torch::Tensor normed_;         // [block rows, hidden]
  torch::Tensor projected_;      // [rows, columns]: query, key, value, gate
  torch::Tensor rounded_;        // in bfloat16: the query and, without a cache, key and value
  torch::Tensor mixed_;          // [rows, joined], or [block rows, joined] where it is rounded
  torch::Tensor mixed_rounded_;  // [rows, joined] bfloat16: what attention gave
  torch::Tensor inner_rows_, gate_rows_;  // [block rows, inner pitch]
  torch::Tensor memory_rows_;             // [memories * length, 2 * kv_joined]
  torch::Tensor statistics_;              // [2, rows of a pass]: what the norm loop writes besides
  std::vector<Cached> self_, cross_;
  std::vector<KeyValueCache> own_cross_;
  std::optional<PackedRowBuffer> packed_hidden_, packed_joined_, packed_inner_, packed_memory_;
  bool make_memory_ = false;
};

FrozenStep::FrozenStep(const FrozenBlocks& blocks, const torch::Tensor& hidden,
                       const FrozenBlocks::Call& call)
    : blocks_(blocks), call_(&call) {
  const EncoderOptions& block = blocks.options_.block;
  const AttentionOptions& attention = blocks.attention_;
  batch_ = hidden.size(0);
  length_ = hidden.size(1);
  rows_ = batch_ * length_;
  hidden_size_ = block.hidden;
  heads_ = attention.heads;
  kv_heads_ = attention.resolved_kv_heads();
  dim_ = attention.resolved_head_dim();
  joined_ = heads_ * dim_;
  kv_joined_ = kv_heads_ * dim_;
  inner_ = block.resolved_feed_forward();
  columns_ = joined_ + 2 * kv_joined_ + (attention.output_gate ? joined_ : 0);
  team_size_ = team_size(blocks_.weights_.count() * rows_);
  block_rows_ = team_size_ == 1 ? std::min(rows_, kBlockRows) : rows_;
  hidden_ = hidden.view({rows_, hidden_size_});
  normed_ = floats(block_rows_, hidden_size_);
  projected_ = floats(rows_, columns_);
  mixed_ = floats(rounded() ? block_rows_ : rows_, joined_);
  statistics_ = floats(2, block_rows_);
  if (rounded()) {
    rounded_ =
        torch::empty({rows_, joined_ + (remembers() ? 0 : 2 * kv_joined_)}, torch::kBFloat16);
  }
  const kernels::WeightType type = blocks.weights_.type();
  packed_hidden_.emplace(type, block_rows_, hidden_size_, hidden_size_);
  packed_joined_.emplace(type, attends_packed() ? rows_ : block_rows_, joined_, joined_);
  if (attends_packed()) {
    mixed_rounded_ = torch::from_blob(packed_joined_->bfloat16_rows(), {rows_, joined_},
                                      {packed_joined_->bfloat16_stride(), 1}, torch::kBFloat16);
  } else if (rounded()) {
    mixed_rounded_ = torch::empty({rows_, joined_}, torch::kBFloat16);
  }
  if (inner_ > 0) {
    // Rows a power of two apart would share the sets of a cache.
    inner_pitch_ = inner_ + 16;
    inner_rows_ = floats(block_rows_, inner_pitch_);
    if (block.activation == Activation::kSwiGlu) gate_rows_ = floats(block_rows_, inner_pitch_);
    packed_inner_.emplace(type, block_rows_, inner_, inner_pitch_);
  }

  const auto layers = static_cast<size_t>(block.layers);
  const auto cache_type = rounded() ? torch::kBFloat16 : torch::kFloat;
  int64_t before = 0;
  if (call.branches != nullptr) {
    BranchingCache& cache = *call.branches;
    before = cache.length();
    cache.extend({block.layers, kv_heads_, dim_, cache_type}, batch_, length_);
    for (int64_t layer = 0; layer < block.layers; ++layer) {
      self_.push_back({cache.key(layer), cache.value(layer), before, cache.length(), cache.places(),
                       cache.places_pitch()});
    }
  } else if (remembers()) {
    before = call.self->front().length();
    for (KeyValueCache& cache : *call.self) {
      const auto [key, value] = cache.extend({batch_, kv_heads_, length_, dim_}, cache_type);
      self_.push_back({key, value, before, cache.length()});
    }
  } else {
    const auto heads_of = [&](int64_t column) {
      const torch::Tensor all = rounded() ? rounded_ : projected_;
      return all.narrow(1, column, kv_joined_)
          .view({batch_, length_, kv_heads_, dim_})
          .transpose(1, 2);
    };
    self_.assign(layers, {heads_of(joined_), heads_of(joined_ + kv_joined_), 0, length_});
  }
  if (blocks.options_.cross == CrossKind::kAttention) {
    own_cross_.resize(call.cross == nullptr ? layers : 0);
    std::vector<KeyValueCache>& cross = call.cross == nullptr ? own_cross_ : *call.cross;
    make_memory_ = cross.front().empty();
    for (KeyValueCache& cache : cross) {
      if (make_memory_) {
        const auto [key, value] =
            cache.extend({call.memory.size(0), kv_heads_, call.memory.size(1), dim_}, cache_type);
        cross_.push_back({key, value, 0, cache.length()});
      } else {
        cross_.push_back({cache.key(), cache.value(), 0, cache.length()});
      }
    }
    if (make_memory_) {
      const int64_t count = call.memory.size(0) * call.memory.size(1);
      packed_memory_.emplace(type, count, call.memory.size(2), call.memory.size(2));
      memory_rows_ = floats(count, 2 * kv_joined_);
    }
  }
  if (attention.positions == PositionKind::kRotary) {
    const int64_t turned = attention.rotary_dim > 0 ? attention.rotary_dim : dim_;
    const RotaryAngles angles =
        rotary_angles(before, length_, turned, attention.rotary_base, torch::kFloat);
    cosine_ = angles.cosine.narrow(1, 0, turned / 2).contiguous();
    sine_ = angles.sine.narrow(1, 0, turned / 2).contiguous();
  }
}

void FrozenStep::run() {
  run_team(team_size_, [this](const Team& team) { work(team); });
}

void FrozenStep::work(const Team& team) {
  const auto& options = blocks_.options_;
  for (int64_t layer = 0; layer < options.block.layers; ++layer) {
    const auto index = static_cast<size_t>(layer);
    const auto& block = blocks_.blocks_[index % blocks_.blocks_.size()];
    self_attention(team, block.self, self_[index]);
    if (block.cross) {
      if (make_memory_) remember(team, *block.cross, cross_[index]);
      cross_attention(team, *block.cross, cross_[index]);
    }
    if (inner_ > 0) feed_forward(team, block);
  }
  if (blocks_.final_norm_.gain.defined()) {
    by_blocks(team, [&](Range block) {
      float* hidden = hidden_.data_ptr<float>() + block.begin * hidden_size_;
      normalise(team.share(block.size()), blocks_.final_norm_, hidden, loops_.layer_norm_float,
                hidden, hidden_size_);
    });
  }
}

template <typename Out>
void FrozenStep::normalise(Range rows, const Norm& norm, const float* from, NormLoop<Out>* loop,
                           Out* to, int64_t stride) {
  float* statistics = statistics_.data_ptr<float>() + rows.begin;
  const NormRows settings{rows.size(),      hidden_size_, norm.epsilon, data(norm.gain),
                          data(norm.shift), nullptr,      nullptr,      stride};
  loop(settings, from + rows.begin * hidden_size_, to + rows.begin * stride, statistics,
       statistics + block_rows_);
}

// As products read it, by way of `normed_` where that is not rounded numbers.
void FrozenStep::normalise_block(const Team& team, Range block, const Norm& norm) {
  const Range mine = team.share(block.size());
  const float* hidden = hidden_.data_ptr<float>() + block.begin * hidden_size_;
  if (uint16_t* rounded = packed_hidden_->bfloat16_rows()) {
    normalise(mine, norm, hidden, loops_.layer_norm_mixed, reinterpret_cast<BFloat16*>(rounded),
              packed_hidden_->bfloat16_stride());
  } else {
    float* normed = normed_.data_ptr<float>();
    normalise(mine, norm, hidden, loops_.layer_norm_float, normed, hidden_size_);
    packed_hidden_->fill(normed, mine);
  }
  team.wait();
}

FrozenStep::Part FrozenStep::part_of(const Team& team, int64_t sequences, int64_t queries) const {
  const bool enough = sequences >= team.size;
  const Range mine = enough ? team.share(sequences) : Range{0, sequences};
  const Range kv = enough ? Range{0, kv_heads_} : team.share(kv_heads_);
  const int64_t group = heads_ / kv_heads_;
  return {mine,
          kv,
          {kv.begin * group, kv.end * group},
          {mine.begin * queries, mine.end * queries},
          queries};
}

// Into numbers of the cache's type, `offset` of them behind `to`.
void FrozenStep::write(const float* row, int64_t count, void* to, int64_t offset) const {
  if (!rounded()) {
    std::copy_n(row, count, static_cast<float*>(to) + offset);
  } else {
    loops_.to_bfloat16(row, static_cast<BFloat16*>(to) + offset, count);
  }
}

// Whether attention reads what is projected just as the product leaves it, which rounds it then if
// that is wanted.
bool FrozenStep::reads_projected(const Attention& part) const {
  return !remembers() && !part.query_norm.defined() && !cosine_.defined() &&
         !(rounded() && blocks_.attention_.output_gate);
}

void FrozenStep::project(const Team& team, Range block, const Attention& part) {
  normalise_block(team, block, part.norm);
  kernels::ProductOutput output{projected_.data_ptr<float>() + block.begin * columns_, columns_};
  if (rounded() && reads_projected(part)) {
    output.stride = rounded_.stride(0);
    output.rounded = static_cast<uint16_t*>(rounded_.data_ptr()) + block.begin * output.stride;
  }
  multiply(team, blocks_.weights_[part.input], *packed_hidden_, data(normed_), {0, block.size()},
           output);
  team.wait();
}

// The query heads of projected rows, ready for attention; of each, 2 * `half` numbers are rotated.
void FrozenStep::prepare_query(Range rows, Range heads, const Attention& part, int64_t half) {
  if (reads_projected(part)) return;
  const int64_t first = heads.begin * dim_;
  const float* gain = data(part.query_norm);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* query = projected_.data_ptr<float>() + row * columns_;
    const int64_t turn = row % length_ * half;
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      if (gain != nullptr) rms_norm(query + head * dim_, dim_, gain);
      if (half > 0) rotate(query + head * dim_, half, data(cosine_) + turn, data(sine_) + turn);
    }
    if (!rounded()) continue;
    write(query + first, heads.size() * dim_, rounded_.data_ptr(), row * rounded_.size(1) + first);
  }
}

// Likewise key and value heads, which go where attention reads them.
void FrozenStep::prepare_key_and_value(Range rows, Range heads, const Attention& part,
                                       const Cached& cached) {
  if (reads_projected(part)) return;
  const int64_t half = cosine_.defined() ? cosine_.size(1) : 0;
  const float* gain = data(part.key_norm);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    float* key = projected_.data_ptr<float>() + row * columns_ + joined_;
    const int64_t sequence = row / length_, position = row % length_, turn = position * half;
    for (int64_t head = heads.begin; head < heads.end; ++head) {
      if (gain != nullptr) rms_norm(key + head * dim_, dim_, gain);
      if (half > 0) rotate(key + head * dim_, half, data(cosine_) + turn, data(sine_) + turn);
      if (!remembers() && !rounded()) continue;
      const int64_t at = cached.at(sequence, head, cached.offset + position);
      write(key + head * dim_, dim_, cached.key.data_ptr(), at);
      write(key + kv_joined_ + head * dim_, dim_, cached.value.data_ptr(), at);
    }
  }
}

void FrozenStep::self_attention(const Team& team, const Attention& part, Cached& cached) {
  const Part mine = part_of(team, batch_, length_);
  by_blocks(team, [&](Range block) {
    project(team, block, part);
    const Range rows = mine.rows_in(block);
    prepare_query(rows, mine.heads, part, cosine_.defined() ? cosine_.size(1) : 0);
    prepare_key_and_value(rows, mine.kv_heads, part, cached);
  });
  const AttentionOptions& options = blocks_.attention_;
  kernels::Attention settings;
  settings.causal = options.causal;
  settings.query_offset = cached.offset;
  settings.window_left = std::max<int64_t>(options.window_left, -1);
  settings.window_right = std::max<int64_t>(options.window_right, -1);
  settings.alibi_slopes = data(blocks_.alibi_slopes_);
  if (call_->lengths.defined()) {
    settings.key_lengths = call_->lengths.data_ptr<int64_t>() + mine.sequences.begin;
  }
  attend_to(mine, part, cached, settings);
  team.wait();
  finish_attention(team, part, joined_ + 2 * kv_joined_);
}

void FrozenStep::remember(const Team& team, const Attention& part, Cached& cached) {
  const int64_t memories = call_->memory.size(0), length = call_->memory.size(1);
  const int64_t count = memories * length;
  // All layers read the same rows: the first one packs them.
  if (&cached == &cross_.front()) {
    packed_memory_->fill(data(call_->memory), team.share(count));
  }
  team.wait();
  float* rows = memory_rows_.data_ptr<float>();
  multiply(team, blocks_.weights_[part.memory], *packed_memory_, data(call_->memory), {0, count},
           {rows, 2 * kv_joined_});
  team.wait();
  const Range mine = team.share(count);
  void *keys = cached.key.data_ptr(), *values = cached.value.data_ptr();
  for (int64_t row = mine.begin; row < mine.end; ++row) {
    float* key = rows + row * 2 * kv_joined_;
    for (int64_t head = 0; head < kv_heads_; ++head) {
      if (part.key_norm.defined()) rms_norm(key + head * dim_, dim_, data(part.key_norm));
      const int64_t at = cached.at(row / length, head, row % length);
      write(key + head * dim_, dim_, keys, at);
      write(key + kv_joined_ + head * dim_, dim_, values, at);
    }
  }
  team.wait();
}

void FrozenStep::cross_attention(const Team& team, const Attention& part, Cached& cached) {
  const int64_t memories = cached.key.size(0);
  // Sequences that share a memory are further queries of one attention, as in DecoderBlock.
  const Part mine = part_of(team, memories, rows_ / memories);
  by_blocks(team, [&](Range block) {
    project(team, block, part);
    prepare_query(mine.rows_in(block), mine.heads, part, 0);
  });
  kernels::Attention settings;
  if (call_->memory_lengths.defined()) {
    settings.key_lengths = call_->memory_lengths.data_ptr<int64_t>() + mine.sequences.begin;
  }
  attend_to(mine, part, cached, settings);
  team.wait();
  finish_attention(team, part, joined_);
}

void FrozenStep::attend_to(const Part& part, const Attention& weights, const Cached& cached,
                           const kernels::Attention& settings) {
  if (part.sequences.size() == 0 || part.kv_heads.size() == 0) return;
  const int64_t head = part.heads.begin;
  kernels::Attention a = settings;
  a.batch = part.sequences.size();
  a.kv_heads = part.kv_heads.size();
  a.heads = part.heads.size();
  a.queries = part.queries;
  a.keys = cached.length;
  a.dim = a.value_dim = dim_;
  a.threads = 1;
  const AttentionOptions& options = blocks_.attention_;
  if (options.scale > 0) a.scale = options.scale;
  if (weights.sink.defined()) a.sink = data(weights.sink) + head;
  if (weights.distance_bias.defined()) {
    a.distance_reach = weights.distance_bias.size(1) / 2;
    a.distance_bias = data(weights.distance_bias) + head * weights.distance_bias.size(1);
  }
  if (a.alibi_slopes != nullptr) a.alibi_slopes += head;
  const auto at = [&](const torch::Tensor& tensor, int64_t element) {
    return static_cast<char*>(tensor.data_ptr()) + element * tensor.element_size();
  };
  int64_t cache_at = part.kv_heads.begin * cached.key.stride(1);
  kernels::Strides cache_strides{cached.key.stride(0), cached.key.stride(1), dim_, 1};
  if (cached.places != nullptr) {
    a.pages = cached.places + part.sequences.begin * cached.pitch;
    a.pages_per_batch = cached.pitch;
    a.page_size = 1;
  } else {
    cache_at += part.sequences.begin * cached.key.stride(0);
    cache_strides.row = cached.key.stride(2);
  }
  a.key = {at(cached.key, cache_at), cache_strides};
  a.value = {at(cached.value, cache_at), cache_strides};
  const torch::Tensor& query = rounded() ? rounded_ : projected_;
  const torch::Tensor& output = rounded() ? mixed_rounded_ : mixed_;
  const auto strides = [&](const torch::Tensor& rows) {
    return kernels::Strides{part.queries * rows.stride(0), dim_, rows.stride(0), 1};
  };
  const auto place = [&](const torch::Tensor& rows) {
    return at(rows, part.rows.begin * rows.stride(0) + head * dim_);
  };
  if (rounded()) a.type = kernels::ElementType::kBFloat16;
  a.query = {place(query), strides(query)};
  kernels::forward(a, {place(output), strides(output)});
}

void FrozenStep::finish_attention(const Team& team, const Attention& part, int64_t gate_column) {
  by_blocks(team, [&](Range block) {
    float* mixed = mixed_.data_ptr<float>() + (rounded() ? 0 : block.begin * joined_);
    Range packed = block;
    if (!attends_packed()) {
      packed = {0, block.size()};
      const Range rows = team.share(block.size());
      if (rounded()) {
        const auto* from = static_cast<const BFloat16*>(mixed_rounded_.data_ptr());
        loops_.to_float(from + (block.begin + rows.begin) * joined_, mixed + rows.begin * joined_,
                        rows.size() * joined_);
      }
      if (blocks_.attention_.output_gate) {
        const float* gate = projected_.data_ptr<float>() + block.begin * columns_ + gate_column;
        for (int64_t row = rows.begin; row < rows.end; ++row) {
          for (int64_t i = 0; i < joined_; ++i) {
            mixed[row * joined_ + i] /= 1 + std::exp(-gate[row * columns_ + i]);
          }
        }
      }
      packed_joined_->fill(mixed, rows);
      team.wait();
    }
    multiply(team, blocks_.weights_[part.output], *packed_joined_, mixed, packed,
             {hidden_.data_ptr<float>() + block.begin * hidden_size_, hidden_size_, true});
    team.wait();
  });
}

void FrozenStep::feed_forward(const Team& team, const FrozenBlocks::Block& weights) {
  float* inner = inner_rows_.data_ptr<float>();
  float* gate = gate_rows_.defined() ? gate_rows_.data_ptr<float>() : nullptr;
  kernels::ProductOutput up{inner, inner_pitch_};
  if (gate == nullptr) {
    up.activation = loops_.gelu_float;
    up.rounded = packed_inner_->bfloat16_rows();
    if (up.rounded != nullptr) {
      up.activation = loops_.gelu_to_round;
      up.stride = packed_inner_->bfloat16_stride();
    }
  }
  by_blocks(team, [&](Range block) {
    const Range rows{0, block.size()};
    normalise_block(team, block, weights.feed_forward_norm);
    const auto multiply_normed = [&](size_t index, const kernels::ProductOutput& output) {
      return multiply(team, blocks_.weights_[index], *packed_hidden_, data(normed_), rows, output);
    };
    const Range columns = multiply_normed(weights.up, up);
    if (gate != nullptr) {
      multiply_normed(weights.gate, {gate, inner_pitch_});
      for (int64_t row = 0; row < rows.size(); ++row) {
        const int64_t at = row * inner_pitch_ + columns.begin;
        loops_.swiglu_float(gate + at, inner + at, inner + at, columns.size());
      }
    }
    team.wait();
    if (up.rounded == nullptr) {
      packed_inner_->fill(inner, team.share(rows.size()));
      team.wait();
    }
    multiply(team, blocks_.weights_[weights.down], *packed_inner_, inner, rows,
             {hidden_.data_ptr<float>() + block.begin * hidden_size_, hidden_size_, true});
    team.wait();
  });
}

torch::Tensor FrozenBlocks::forward(const torch::Tensor& input, const Call& call) const {
  Call own = call;
  if (own.memory.defined()) own.memory = own.memory.to(torch::kFloat).contiguous();
  if (own.memory_lengths.defined()) own.memory_lengths = own.memory_lengths.contiguous();
  if (own.lengths.defined()) own.lengths = own.lengths.contiguous();
  const bool alone = call.self == nullptr && call.branches == nullptr && call.cross == nullptr &&
                     !call.memory.defined();
  const int64_t batch = input.size(0), length = std::max<int64_t>(1, input.size(1));
  const int64_t each = std::max<int64_t>(1, kBlockRows / length);
  const int64_t parts = (batch + each - 1) / each, threads = at::get_num_threads();
  torch::Tensor output = torch::empty(input.sizes(), torch::kFloat);
  // Few parts would be unequal shares: the threads take every pass together then.
  if (!alone || parts < 2 || (parts % threads != 0 && parts < 8 * threads)) {
    FrozenStep(*this, output.copy_(input), own).run();
    return output;
  }
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    std::optional<FrozenStep> step;
    int64_t last_count = 0;
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = batch * part / parts, count = batch * (part + 1) / parts - first;
      Call mine;
      if (own.lengths.defined()) mine.lengths = own.lengths.narrow(0, first, count);
      const torch::Tensor hidden = output.narrow(0, first, count);
      hidden.copy_(input.narrow(0, first, count));
      if (count == last_count) {
        step->take(hidden, mine);
      } else {
        step.emplace(*this, hidden, mine);
        last_count = count;
      }
      step->run();
    }
  });
  return output;
}

}  // namespace attend::detail
