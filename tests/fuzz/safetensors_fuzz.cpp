// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes at all are either a file whose every tensor can be read, or an attend::Error of one
// line. With libFuzzer: preset `fuzz`. In every other build tests/safetensors replays the corpus
// and seeded mutations of it.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "attend/base/error.h"
#include "attend/nn/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file = attend::SafetensorsFile::parse(std::as_bytes(std::span(data, size)), "input");
    std::size_t total = 0;
    unsigned sum = 0;
    for (const attend::TensorView& tensor : file.tensors()) {
      for (const std::byte byte : tensor.bytes) sum += static_cast<unsigned>(byte);
      total += tensor.bytes.size();
      if (file.find(tensor.name) != &tensor) std::abort();
    }
    volatile unsigned kept = sum;  // or the reads above could be left out
    (void)kept;
    if (total > size) std::abort();
  } catch (const attend::Error& error) {
    const std::string_view text = error.what();
    if (error.code() != attend::ExitCode::kModel || !text.starts_with("input: ")) std::abort();
    if (text.find('\n') != text.npos || text.size() > 2000) std::abort();
  }
  return 0;
}
