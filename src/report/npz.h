// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Reading NumPy's files. Private to the report layer.
namespace attend::report {

/// An array of numbers or of strings, in C order.
struct NumpyArray {
  std::vector<int64_t> shape;
  std::vector<float> numbers;        ///< of a float array
  std::vector<std::string> strings;  ///< of a string array, UTF-8
  bool is_text = false;
};

/// A .npy file (format 1, 2 or 3): little-endian float16/32/64, or strings (U, S). Everything else
/// is an Error(kData) that names `origin` and, in brackets, `name`.
NumpyArray read_npy(std::string_view bytes, const std::string& origin, const std::string& name);

struct NumpyFile {
  std::string name;  ///< without ".npy"
  NumpyArray array;
};

/// The arrays of a .npz file (a ZIP of .npy files, stored or deflated, under 4 GB). Sizes are
/// believed only as far as the bytes bear them out; checksums are checked.
std::vector<NumpyFile> read_npz(std::string_view bytes, const std::string& origin);

}  // namespace attend::report
