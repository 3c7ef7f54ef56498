// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "png.h"

#include <zlib.h>

#include <cassert>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace attend::report {
namespace {

void append_big_endian(std::vector<uint8_t>& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

// Length, kind, data, CRC of kind and data (PNG specification, section 5.3).
void append_chunk(std::vector<uint8_t>& out, std::string_view kind,
                  const std::vector<uint8_t>& data) {
  append_big_endian(out, static_cast<uint32_t>(data.size()));
  const std::size_t begin = out.size();
  out.insert(out.end(), kind.begin(), kind.end());
  out.insert(out.end(), data.begin(), data.end());
  append_big_endian(
      out, static_cast<uint32_t>(crc32(0, &out[begin], static_cast<uInt>(out.size() - begin))));
}

}  // namespace

std::vector<uint8_t> png_of(int64_t width, int64_t height, const std::vector<uint8_t>& pixels) {
  assert(static_cast<int64_t>(pixels.size()) == 3 * width * height);
  std::vector<uint8_t> rows;  // each with its filter type, 0 = none
  rows.reserve(pixels.size() + height);
  for (int64_t y = 0; y < height; ++y) {
    rows.push_back(0);
    rows.insert(rows.end(), pixels.begin() + y * width * 3, pixels.begin() + (y + 1) * width * 3);
  }
  uLongf size = compressBound(rows.size());
  std::vector<uint8_t> packed(size);
  if (compress2(packed.data(), &size, rows.data(), rows.size(), Z_BEST_COMPRESSION) != Z_OK) {
    throw std::runtime_error("zlib cannot compress a picture");
  }
  packed.resize(size);
  std::vector<uint8_t> out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  std::vector<uint8_t> header;
  append_big_endian(header, static_cast<uint32_t>(width));
  append_big_endian(header, static_cast<uint32_t>(height));
  header.insert(header.end(), {8, 2, 0, 0, 0});  // 8 bits, RGB, deflate, adaptive, no interlace
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", packed);
  append_chunk(out, "IEND", {});
  return out;
}

}  // namespace attend::report
