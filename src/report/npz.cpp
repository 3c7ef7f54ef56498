// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "npz.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "attend/base/error.h"
#include "attend/base/text.h"

namespace attend::report {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 31;  // of one array, unpacked

// What a file claims, read with bounds.
class Bytes {
 public:
  Bytes(std::string_view bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw data_error(fmt::format("{}: {}", printable(origin_), what));
  }

  std::string_view at(std::size_t offset, std::size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      fail("cut short or damaged: a part lies past its end");
    }
    return bytes_.substr(offset, size);
  }

  uint32_t number(std::size_t offset, std::size_t size) const {
    uint32_t value = 0;
    const std::string_view part = at(offset, size);
    for (std::size_t i = 0; i < size; ++i) {
      value |= static_cast<uint32_t>(static_cast<unsigned char>(part[i])) << (8 * i);
    }
    return value;
  }

  std::size_t size() const { return bytes_.size(); }
  std::string_view all() const { return bytes_; }

 private:
  std::string_view bytes_;
  const std::string& origin_;
};

// --- .npy

// The value of 'key' in the header, a Python dictionary: up to the comma or brace after it, commas
// inside brackets and quotes aside.
std::string_view header_value(std::string_view header, std::string_view key) {
  const std::size_t found = header.find(key);
  if (found == std::string_view::npos) return "";
  std::size_t begin = header.find(':', found + key.size());
  if (begin == std::string_view::npos) return "";
  begin = header.find_first_not_of(' ', begin + 1);
  if (begin == std::string_view::npos) return "";
  int depth = 0;
  char quote = 0;
  for (std::size_t i = begin; i < header.size(); ++i) {
    const char c = header[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
      continue;
    }
    if (c == '\'' || c == '"') quote = c;
    if (depth == 0 && (c == ',' || c == '}')) return header.substr(begin, i - begin);
    if (c == '(' || c == '[') ++depth;
    if (c == ')' || c == ']') --depth;
  }
  return "";
}

std::vector<int64_t> parse_shape(std::string_view text, const Bytes& file,
                                 const std::string& name) {
  const auto bad = [&] { file.fail(fmt::format("[{}] has a header without a shape", name)); };
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') bad();
  std::vector<int64_t> shape;
  const char* at = text.data() + 1;
  const char* const end = text.data() + text.size() - 1;
  while (at < end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    int64_t size = 0;
    const auto [rest, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 0) bad();
    at = rest;
    shape.push_back(size);
  }
  constexpr std::size_t kMostAxes = 8;
  if (shape.size() > kMostAxes) bad();
  return shape;
}

double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F, mantissa = bits & 0x3FF;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  if (exponent == 31) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

template <class Stored>
Stored stored_at(std::string_view data, std::size_t index) {
  // Memory order is file order on the little-endian machines that attend runs on.
  Stored value;
  std::memcpy(&value, data.data() + index * sizeof value, sizeof value);
  return value;
}

void append_utf8(std::string& out, uint32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    out += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
            static_cast<char>(0x80 | (c & 0x3F))};
  } else {
    out += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
            static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
  }
}

// --- .zip (PKWARE's APPNOTE, the parts that numpy.savez writes)

constexpr std::size_t kEndSize = 22, kEntrySize = 46, kLocalSize = 30;

std::size_t find_end(const Bytes& file) {
  // The record stands at the end, behind it only a comment of at most 65,535 bytes.
  const std::string_view bytes = file.all();
  const std::size_t least = bytes.size() > kEndSize + 65'535 ? bytes.size() - kEndSize - 65'535 : 0;
  for (std::size_t at = bytes.size() >= kEndSize ? bytes.size() - kEndSize + 1 : 0; at-- > least;) {
    if (bytes.substr(at, 4) == "PK\5\6") return at;
  }
  file.fail("not a complete .npz: it has no table of contents");
}

std::string inflated(std::string_view packed, std::size_t size, const Bytes& file,
                     const std::string& name) {
  std::string out;
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) file.fail("zlib cannot start");
  // zlib's interface takes the input as non-const but does not write to it.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  int status = Z_OK;
  // In steps, so that a small file that claims much costs no more than it unpacks to.
  constexpr std::size_t kStep = 1 << 20;
  while (status == Z_OK && out.size() <= size) {
    const std::size_t begin = out.size();
    out.resize(std::min(begin + kStep, size + 1));
    if (out.size() == begin) break;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + begin);
    stream.avail_out = static_cast<uInt>(out.size() - begin);
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (status == Z_BUF_ERROR) break;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END || out.size() != size) {
    file.fail(fmt::format("[{}] does not unpack to the {} bytes that its entry says", name, size));
  }
  return out;
}

}  // namespace

NumpyArray read_npy(std::string_view bytes, const std::string& origin, const std::string& name) {
  const Bytes file(bytes, origin);
  const std::string shown = printable(name);
  if (!bytes.starts_with("\x93NUMPY")) file.fail(fmt::format("[{}] is not a .npy array", shown));
  const uint32_t version = file.number(6, 1);
  if (version < 1 || version > 3) {
    file.fail(fmt::format("[{}] has the .npy format {}, known are 1 to 3", shown, version));
  }
  const std::size_t length_size = version == 1 ? 2 : 4;
  const std::size_t length = file.number(8, length_size);
  const std::string_view header = file.at(8 + length_size, length);
  const std::string_view data = bytes.substr(8 + length_size + length);

  std::string_view kind = header_value(header, "'descr'");
  if (kind.size() >= 2) kind = kind.substr(1, kind.size() - 2);
  if (header_value(header, "'fortran_order'") != "False") {
    file.fail(fmt::format("[{}] is in Fortran order; save numpy.ascontiguousarray(...)", shown));
  }
  NumpyArray array;
  array.shape = parse_shape(header_value(header, "'shape'"), file, shown);
  if (kind.find('O') != std::string_view::npos) {
    file.fail(
        fmt::format("[{}] holds pickled objects, which are not read; save strings as "
                    "numpy.array([...], dtype=str)",
                    shown));
  }
  std::size_t width = 0;
  if (kind == "<f2" || kind == "<f4" || kind == "<f8") {
    width = static_cast<std::size_t>(kind[2] - '0');
  } else if (kind.starts_with("<U") || kind.starts_with("|S")) {
    array.is_text = true;
    const auto [rest, error] = std::from_chars(kind.data() + 2, kind.data() + kind.size(), width);
    if (error != std::errc() || width > (1 << 20)) width = 0;
    if (kind[1] == 'U') width *= 4;
  } else {
    file.fail(fmt::format("[{}] has the type \"{}\"; give float16, float32, float64 or strings",
                          shown, printable(kind, 40)));
  }
  // The product is compared with what is there before anything is reserved.
  std::size_t count = 1;
  for (const int64_t size : array.shape) {
    const auto axis = static_cast<std::size_t>(size);
    if (axis != 0 && count > kMostBytes / axis) {
      file.fail(fmt::format("[{}] claims more than {} numbers", shown, kMostBytes));
    }
    count *= axis;
  }
  if (width == 0 ? count != 0 : data.size() % width != 0 || data.size() / width != count) {
    file.fail(fmt::format("[{}] holds {} bytes, not the {} values of {} bytes of its shape", shown,
                          data.size(), count, width));
  }
  if (array.is_text) {
    for (std::size_t i = 0; i < count; ++i) {
      std::string text;
      if (kind[1] == 'S') {
        text = data.substr(i * width, width);
      } else {
        for (std::size_t k = 0; k < width / 4; ++k) {
          append_utf8(text, stored_at<uint32_t>(data, i * width / 4 + k));
        }
      }
      text.erase(text.find_last_not_of('\0') + 1);  // padding
      array.strings.push_back(std::move(text));
    }
    return array;
  }
  array.numbers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double value = width == 2   ? half_value(stored_at<uint16_t>(data, i))
                         : width == 4 ? stored_at<float>(data, i)
                                      : stored_at<double>(data, i);
    // Before the cast: a double past float's range has no float. Weights are checked later.
    array.numbers.push_back(std::abs(value) >= 1e30 ? HUGE_VALF : static_cast<float>(value));
  }
  return array;
}

std::vector<NumpyFile> read_npz(std::string_view bytes, const std::string& origin) {
  const Bytes file(bytes, origin);
  const std::size_t end = find_end(file);
  const uint32_t entries = file.number(end + 10, 2);
  std::size_t at = file.number(end + 16, 4);
  if (entries == 0xFFFF || at == 0xFFFFFFFF) file.fail("larger than 4 GB; give fewer layers");
  std::vector<NumpyFile> files;
  for (uint32_t i = 0; i < entries; ++i) {
    if (file.at(at, 4) != "PK\1\2") file.fail("damaged: its table of contents breaks off");
    const uint32_t flags = file.number(at + 8, 2), method = file.number(at + 10, 2);
    const uint32_t checksum = file.number(at + 16, 4);
    const std::size_t packed_size = file.number(at + 20, 4), size = file.number(at + 24, 4);
    const std::size_t name_size = file.number(at + 28, 2), extra_size = file.number(at + 30, 2);
    const std::size_t comment_size = file.number(at + 32, 2), local = file.number(at + 42, 4);
    std::string name(file.at(at + kEntrySize, name_size));
    at += kEntrySize + name_size + extra_size + comment_size;
    if (!name.ends_with(".npy")) continue;
    name.resize(name.size() - 4);
    const std::string shown = printable(name);
    if (packed_size == 0xFFFFFFFF || size == 0xFFFFFFFF || size > kMostBytes) {
      file.fail(fmt::format("[{}] is larger than 2 GB; give fewer layers or float16", shown));
    }
    if ((flags & 1) != 0) file.fail(fmt::format("[{}] is encrypted", shown));
    if (file.at(local, 4) != "PK\3\4")
      file.fail(fmt::format("[{}] is not where it should be", shown));
    const std::size_t begin =
        local + kLocalSize + file.number(local + 26, 2) + file.number(local + 28, 2);
    const std::string_view packed = file.at(begin, packed_size);
    std::string unpacked;
    if (method == 0) {
      if (packed_size != size) file.fail(fmt::format("[{}] has two sizes", shown));
      unpacked = packed;
    } else if (method == 8) {
      unpacked = inflated(packed, size, file, shown);
    } else {
      file.fail(fmt::format("[{}] is packed by method {}; use numpy.savez or savez_compressed",
                            shown, method));
    }
    const auto found = crc32_z(0, reinterpret_cast<const Bytef*>(unpacked.data()), unpacked.size());
    if (found != checksum) file.fail(fmt::format("[{}] is damaged: its checksum is wrong", shown));
    files.push_back({name, read_npy(unpacked, origin, name)});
  }
  return files;
}

}  // namespace attend::report
