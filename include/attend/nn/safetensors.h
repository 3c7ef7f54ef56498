// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attend {

/// Element types of a safetensors file, in the order of the reference implementation: a later one
/// is never smaller, and the writer puts later ones first.
enum class DType { kBool, kU8, kI8, kI16, kF16, kBF16, kI32, kF32, kF64, kI64 };

/// "F32", as the file spells it.
std::string_view dtype_name(DType dtype);
/// Bytes of one element.
std::size_t dtype_size(DType dtype);

/// What a tensor is called and looks like; `shape` is empty for a scalar.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
};

/// A tensor in memory that someone else owns: contiguous, row-major, little-endian. A foreign file
/// need not align it to its element size: copy elements out, do not cast the pointer.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// A safetensors file, mapped read-only (or read, where it cannot be mapped). The file is not
/// trusted: the constructor checks all of the header before any tensor is handed out and throws
/// Error(kModel) with one line that names file, fault and fix. Memory grows with the header (at
/// most 100 MB), never with a number written in it.
///
/// Copies share the mapping; views stay valid as long as one copy lives. The file may be replaced
/// by rename meanwhile (as write_safetensors does), but must not be cut short in place.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// The same for a file in memory, which must outlive the result. `origin` stands for the path in
  /// messages.
  static SafetensorsFile parse(std::span<const std::byte> file, const std::string& origin);

  /// In the order of their bytes in the file.
  const std::vector<TensorView>& tensors() const { return tensors_; }
  /// Null if there is no such tensor.
  const TensorView* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;

  std::shared_ptr<const void> memory_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> positions_;
  std::map<std::string, std::string> metadata_;
};

/// Writes `tensors` by way of AtomicFile, without a second copy of them. Tensors are ordered by
/// DType (last first, which aligns every one to its element size), then by name; the same input in
/// any order gives the same bytes, and they are those of the reference implementation. Throws
/// Error(kData) if the file cannot be written, std::invalid_argument if names repeat or sizes do
/// not fit.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// The bytes of the named tensor; they must stay valid until the next call.
using TensorBytes = std::function<std::span<const std::byte>(const TensorInfo& tensor)>;

/// As above, for tensors that must be made contiguous or fetched first: asks for one at a time.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                       const TensorBytes& bytes_of,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace attend
