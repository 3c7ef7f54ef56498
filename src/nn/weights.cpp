// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/nn/weights.h"

#include <cstring>
#include <sstream>
#include <utility>

#include "attend/base/error.h"
#include "attend/nn/safetensors.h"

namespace attend {
namespace {

constexpr std::pair<torch::ScalarType, DType> kTypes[] = {
    {torch::kBool, DType::kBool}, {torch::kUInt8, DType::kU8},    {torch::kInt8, DType::kI8},
    {torch::kInt16, DType::kI16}, {torch::kFloat16, DType::kF16}, {torch::kBFloat16, DType::kBF16},
    {torch::kInt32, DType::kI32}, {torch::kFloat32, DType::kF32}, {torch::kFloat64, DType::kF64},
    {torch::kInt64, DType::kI64}};

DType file_type(const torch::Tensor& tensor) {
  for (const auto& [scalar, dtype] : kTypes) {
    if (scalar == tensor.scalar_type()) return dtype;
  }
  TORCH_CHECK(false, "safetensors has no type for ", tensor.scalar_type());
}

torch::ScalarType tensor_type(DType dtype) {
  for (const auto& [scalar, known] : kTypes) {
    if (known == dtype) return scalar;
  }
  TORCH_CHECK(false, "no tensor type for ", std::string(dtype_name(dtype)));
}

std::string shape_text(const torch::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

}  // namespace

TensorMap named_tensors(const torch::nn::Module& module) {
  TensorMap tensors;
  for (const auto& entry : module.named_parameters(/*recurse=*/true)) {
    tensors[entry.key()] = entry.value();
  }
  for (const auto& entry : module.named_buffers(/*recurse=*/true)) {
    tensors[entry.key()] = entry.value();
  }
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    infos.push_back({name, file_type(tensor), tensor.sizes().vec()});
  }
  torch::Tensor current;  // keeps the bytes that were handed out last alive
  const auto bytes_of = [&](const TensorInfo& info) -> std::span<const std::byte> {
    current = tensors.at(info.name).detach().to(torch::kCPU).contiguous();
    return {static_cast<const std::byte*>(current.data_ptr()), current.nbytes()};
  };
  write_safetensors(path, std::move(infos), bytes_of, metadata);
}

TensorMap load_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  TensorMap tensors;
  for (const TensorView& view : file.tensors()) {
    torch::Tensor tensor = torch::empty(view.shape, tensor_type(view.dtype));
    if (!view.bytes.empty()) {
      std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
    }
    tensors[view.name] = tensor;
  }
  return tensors;
}

void copy_tensors(const TensorMap& source, const TensorMap& target, const std::string& origin) {
  const std::string fix = "; the file belongs to another model: restore it or train again";
  for (const auto& [name, tensor] : target) {
    const auto found = source.find(name);
    if (found == source.end()) {
      throw model_error(origin + ": tensor \"" + name + "\" is missing" + fix);
    }
    if (found->second.sizes() != tensor.sizes() ||
        found->second.scalar_type() != tensor.scalar_type()) {
      throw model_error(origin + ": tensor \"" + name + "\" is " + shape_text(found->second) +
                        ", the model needs " + shape_text(tensor) + fix);
    }
  }
  for (const auto& [name, tensor] : source) {
    if (target.find(name) == target.end()) {
      throw model_error(origin + ": the model has no tensor \"" + name + "\"" + fix);
    }
  }
  torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : target) tensor.copy_(source.at(name));
}

}  // namespace attend
