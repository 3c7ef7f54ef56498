// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "attend/nn/torch.h"

#include <filesystem>
#include <map>
#include <string>

namespace attend {

using TensorMap = std::map<std::string, torch::Tensor>;

/// Parameters and buffers of a module by their dotted names, sharing memory with the module.
TensorMap named_tensors(const torch::nn::Module& module);

/// Writes tensors as a safetensors file, atomically. Tensors may be strided; they are copied as
/// contiguous CPU memory one at a time. Throws Error(kData) if the file cannot be written.
void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata = {});

/// All tensors of a safetensors file, as copies that own their memory. Throws Error(kModel).
TensorMap load_tensors(const std::filesystem::path& path);

/// Copies `source` into `target` in place. Every name of `target` must be in `source` with the same
/// shape and dtype, and the other way round; otherwise throws Error(kModel) naming `origin`, the
/// tensor, both shapes and the fix, before anything is changed.
void copy_tensors(const TensorMap& source, const TensorMap& target, const std::string& origin);

}  // namespace attend
