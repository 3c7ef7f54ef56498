// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// SentencePiece behind an interface of our own, in a module that is loaded only when subwords are
// used. Debian's SentencePiece exports a copy of protobuf of another version than the one LibTorch
// needs; in one symbol scope the two call into each other and crash before main() begins. A module
// opened with RTLD_DEEPBIND resolves its symbols among its own libraries first, which keeps them
// apart.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attend::internal {

struct SubwordPiece {
  int id = 0;
  int begin = 0;  // bytes of the encoded text
  int end = 0;
};

/// Calls that can fail return why they did, or nothing.
class SubwordEngine {
 public:
  virtual ~SubwordEngine() = default;

  virtual std::string load(const std::string& model) = 0;
  virtual std::string train(const std::map<std::string, std::string>& options,
                            const std::vector<std::string>& sentences,
                            std::string& model) const = 0;
  virtual std::string encode(std::string_view text, std::vector<SubwordPiece>& pieces) const = 0;
  virtual std::string decode(const std::vector<int>& ids, std::string& text) const = 0;
  virtual int size() const = 0;
  virtual std::string piece(int id) const = 0;
  virtual int find(std::string_view piece) const = 0;
};

/// Opens the module (once) and makes an engine. Throws Error(kModel) naming the module if it is not
/// where the program expects it.
std::unique_ptr<SubwordEngine> make_subword_engine();

}  // namespace attend::internal
