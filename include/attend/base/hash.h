// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attend {

inline constexpr std::uint64_t kHashStart = 0xcbf29ce484222325u;  ///< the hash of no bytes

/// 64-bit FNV-1a: a fingerprint that tells data files apart by accident of change, not by malice.
/// Continue over further bytes by passing the previous result as `hash`; hashing in pieces equals
/// hashing the whole. The same on every platform.
constexpr std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t hash = kHashStart) {
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3u;
  }
  return hash;
}

/// The hash as 16 lower-case hexadecimal digits, the form that run folders store.
inline std::string hash_text(std::uint64_t hash) {
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, hash >>= 4)
    text[static_cast<std::size_t>(i)] = "0123456789abcdef"[hash & 15];
  return text;
}

}  // namespace attend
