// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// A safetensors file: 8 bytes of header length (little-endian), the header (JSON: per tensor its
// dtype, shape and byte range), then the bytes of all tensors without gap or overlap.
#include "attend/nn/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "attend/base/error.h"
#include "attend/base/file.h"
#include "attend/base/text.h"
#include "safetensors_header.h"

namespace attend {

static_assert(std::endian::native == std::endian::little,
              "tensors are used as they lie in the file");

namespace {

using internal::byte_count;
using internal::Header;
using internal::HeaderEntry;
using internal::HeaderFault;
using internal::kMaxHeaderBytes;

struct DTypeFacts {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

constexpr std::array<DTypeFacts, 10> kDTypes{{{DType::kBool, "BOOL", 1},
                                              {DType::kU8, "U8", 1},
                                              {DType::kI8, "I8", 1},
                                              {DType::kI16, "I16", 2},
                                              {DType::kF16, "F16", 2},
                                              {DType::kBF16, "BF16", 2},
                                              {DType::kI32, "I32", 4},
                                              {DType::kF32, "F32", 4},
                                              {DType::kF64, "F64", 8},
                                              {DType::kI64, "I64", 8}}};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// For a file that does not begin like safetensors: what it may be instead, and the way out.
std::string other_format(std::string_view file) {
  using namespace std::string_view_literals;
  const bool zip = file.starts_with("PK\x03\x04"sv);
  const bool pickle = file.size() > 1 && file[0] == '\x80' && file[1] >= 2 && file[1] <= 5;
  if (zip || pickle) {
    return "is a PyTorch pickle (.bin, .pt), not a safetensors file, and reading one can run code "
           "hidden in it; convert it in Python: safetensors.torch.save_file(torch.load(FILE, "
           "weights_only=True), \"model.safetensors\")";
  }
  if (file.starts_with("version https://git-lfs"sv)) {
    return "is a Git LFS pointer, not the model itself; fetch it with 'git lfs pull'";
  }
  return "";
}

[[noreturn]] void refuse(const std::string& origin, const std::string& fault) {
  throw model_error(fmt::format(
      "{}: not a valid safetensors file: {}; download or write the file again", origin, fault));
}

/// The header's text. Checks that it lies within the file.
std::string_view header_text(std::string_view file, const std::string& origin) {
  if (file.size() < 8) {
    const std::string hint = other_format(file);
    if (!hint.empty()) throw model_error(origin + ": " + hint);
    refuse(origin,
           fmt::format("it has {} bytes, fewer than the 8 of a header length", file.size()));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  // A pickle may begin like a plausible length; what follows then is no header.
  const bool fits = length <= kMaxHeaderBytes && length <= file.size() - 8;
  if (!fits || length == 0 || file[8] != '{') {
    const std::string hint = other_format(file);
    if (!hint.empty()) throw model_error(origin + ": " + hint);
  }
  if (length > kMaxHeaderBytes) {
    refuse(origin,
           fmt::format("its header length {} is over the limit of {}", length, kMaxHeaderBytes));
  }
  if (!fits) {
    refuse(origin, fmt::format("it is cut off: the header has {} bytes, {} are there", length,
                               file.size() - 8));
  }
  return file.substr(8, length);
}

/// Sorts the entries as they lie in the file and checks that they fill `data_bytes` exactly.
void check_ranges(std::vector<HeaderEntry>& entries, std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.tensor.name) < std::tie(b.begin, b.end, b.tensor.name);
  });
  std::uint64_t expected = 0;
  for (const auto& [tensor, begin, end] : entries) {
    const std::string name = "tensor \"" + printable(tensor.name) + '"';
    if (begin > end) {
      throw HeaderFault(fmt::format("{} ends at byte {} before it begins at {}", name, end, begin));
    }
    if (end > data_bytes) {
      throw HeaderFault(
          fmt::format("{} ends at byte {} but the file has only {} bytes of data "
                      "(cut off?)",
                      name, end, data_bytes));
    }
    const auto size = byte_count(tensor.dtype, tensor.shape);
    if (!size) throw HeaderFault(name + " has a shape whose size does not fit into 63 bits");
    if (*size != end - begin) {
      throw HeaderFault(fmt::format("{} of shape [{}] and dtype {} needs {} bytes but has {}", name,
                                    fmt::join(tensor.shape, ", "), dtype_name(tensor.dtype), *size,
                                    end - begin));
    }
    if (begin < expected) {
      throw HeaderFault(fmt::format("{} overlaps the tensor before it", name));
    }
    if (begin > expected) {
      throw HeaderFault(
          fmt::format("there is a hole of {} bytes before {}", begin - expected, name));
    }
    expected = end;
  }
  if (expected < data_bytes) {
    throw HeaderFault(
        fmt::format("{} bytes after the last tensor belong to none", data_bytes - expected));
  }
}

struct Memory {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

Memory map_or_read(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info {};
  void* address = MAP_FAILED;
  std::size_t size = 0;
  if (descriptor >= 0) {
    if (::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
      size = static_cast<std::size_t>(info.st_size);
      address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    ::close(descriptor);
  }
  if (address != MAP_FAILED) {
    std::shared_ptr<const void> owner(
        address, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
    return {owner, {static_cast<const std::byte*>(address), size}};
  }
  // Empty files, pipes and file systems that cannot map; also finds the words for what is missing.
  auto text = std::make_shared<const std::string>(read_file(path, ExitCode::kModel));
  return {text, std::as_bytes(std::span(*text))};
}

/// Sorts entries in the order of the reference implementation and gives them their byte ranges.
void lay_out(std::vector<HeaderEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(b.tensor.dtype, a.tensor.name) < std::tie(a.tensor.dtype, b.tensor.name);
  });
  std::uint64_t position = 0;
  std::map<std::string_view, int> names;
  for (HeaderEntry& entry : entries) {
    const TensorInfo& tensor = entry.tensor;
    const bool negative =
        std::any_of(tensor.shape.begin(), tensor.shape.end(), [](auto size) { return size < 0; });
    const auto size = byte_count(tensor.dtype, tensor.shape);
    if (negative || !size || tensor.shape.size() > 64) {
      throw std::invalid_argument("tensor " + tensor.name + " has an impossible shape");
    }
    if (tensor.name == "__metadata__" || ++names[tensor.name] > 1) {
      throw std::invalid_argument("tensor name " + tensor.name + " is reserved or repeated");
    }
    entry.begin = position;
    entry.end = position += *size;
  }
}

}  // namespace

std::string_view dtype_name(DType dtype) {
  return kDTypes.at(static_cast<std::size_t>(dtype)).name;
}

std::size_t dtype_size(DType dtype) { return kDTypes.at(static_cast<std::size_t>(dtype)).size; }

std::optional<DType> internal::dtype_of(std::string_view name) {
  for (const DTypeFacts& facts : kDTypes) {
    if (facts.name == name) return facts.dtype;
  }
  return std::nullopt;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> file, const std::string& origin) {
  const std::string shown = printable(origin, 1000);
  const std::string_view text = header_text(as_text(file), shown);
  const std::span<const std::byte> data = file.subspan(8 + text.size());
  try {
    Header header = internal::parse_header(text);
    check_ranges(header.entries, data.size());

    SafetensorsFile result;
    result.metadata_ = std::move(header.metadata);
    result.tensors_.reserve(header.entries.size());
    for (auto& [tensor, begin, end] : header.entries) {
      result.positions_.emplace(tensor.name, result.tensors_.size());
      result.tensors_.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                                 data.subspan(begin, end - begin)});
    }
    return result;
  } catch (const HeaderFault& fault) {
    refuse(shown, fault.what());
  }
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) {
  Memory memory = map_or_read(path);
  *this = parse(memory.bytes, path.string());
  memory_ = std::move(memory.owner);
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = positions_.find(name);
  return found == positions_.end() ? nullptr : &tensors_[found->second];
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                       const TensorBytes& bytes_of,
                       const std::map<std::string, std::string>& metadata) {
  Header header{{}, metadata};
  for (TensorInfo& tensor : tensors) header.entries.push_back({std::move(tensor), 0, 0});
  lay_out(header.entries);
  const std::string text = internal::format_header(header);
  const std::uint64_t length = text.size();
  if (length > kMaxHeaderBytes) throw std::invalid_argument("the header is too long");

  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(text);
  for (const auto& [tensor, begin, end] : header.entries) {
    const std::span<const std::byte> bytes = bytes_of(tensor);
    if (bytes.size() != end - begin) {
      throw std::invalid_argument("tensor " + tensor.name + " has the wrong number of bytes");
    }
    file.write(as_text(bytes));
  }
  file.commit();
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorInfo> infos;
  std::map<std::string_view, std::span<const std::byte>> bytes;
  for (const TensorView& tensor : tensors) {
    infos.push_back({tensor.name, tensor.dtype, tensor.shape});
    bytes[tensor.name] = tensor.bytes;
  }
  write_safetensors(
      path, std::move(infos), [&](const TensorInfo& tensor) { return bytes.at(tensor.name); },
      metadata);
}

}  // namespace attend
