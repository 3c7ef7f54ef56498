// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The header is parsed by events (SAX), not into a tree: the format has three levels, so anything
// deeper is refused as it is met, and repeated keys, which a tree would silently merge, are seen.
#include "safetensors_header.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "attend/base/text.h"

namespace attend::internal {
namespace {

constexpr std::size_t kMaxRank = 64;  // what LibTorch can hold

std::string in_quotes(std::string_view name) { return '"' + printable(name) + '"'; }

class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  Header take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kFile;
        return true;
      case Place::kFileValue:
        place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
        fields_.clear();
        if (place_ == Place::kTensor) header_.entries.push_back({{name_, DType::kF32, {}}, 0, 0});
        return true;
      default:
        refuse("an object");
    }
  }

  bool key(std::string& name) override {
    switch (place_) {
      case Place::kFile:
        if (!names_.insert(name).second) throw HeaderFault(in_quotes(name) + " is listed twice");
        name_ = name;
        place_ = Place::kFileValue;
        return true;
      case Place::kMetadata:
        if (header_.metadata.count(name) != 0) {
          throw HeaderFault("metadata " + in_quotes(name) + " is listed twice");
        }
        field_ = name;
        place_ = Place::kMetadataValue;
        return true;
      default:
        if (name != "dtype" && name != "shape" && name != "data_offsets") {
          throw HeaderFault(tensor() + " has the unknown field " + in_quotes(name));
        }
        if (!fields_.insert(name).second) throw HeaderFault(tensor() + " has two fields " + name);
        field_ = name;
        place_ = Place::kTensorValue;
        return true;
    }
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        if (fields_.count(field) == 0) throw HeaderFault(tensor() + " has no " + field);
      }
    }
    place_ = place_ == Place::kFile ? Place::kEnd : Place::kFile;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensorValue || field_ == "dtype") refuse("a list");
    numbers_.clear();
    place_ = Place::kNumbers;
    return true;
  }

  bool end_array() override {
    HeaderEntry& entry = header_.entries.back();
    if (field_ == "shape") {
      entry.tensor.shape.assign(numbers_.begin(), numbers_.end());
    } else {
      if (numbers_.size() != 2) throw HeaderFault(tensor() + " needs two data_offsets");
      entry.begin = static_cast<std::uint64_t>(numbers_[0]);
      entry.end = static_cast<std::uint64_t>(numbers_[1]);
    }
    place_ = Place::kTensor;
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadataValue) {
      header_.metadata[field_] = value;
      place_ = Place::kMetadata;
      return true;
    }
    if (place_ != Place::kTensorValue || field_ != "dtype") refuse("a text");
    const auto dtype = dtype_of(value);
    if (!dtype) {
      throw HeaderFault(tensor() + " has the unknown dtype " + in_quotes(value) +
                        " (known: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL)");
    }
    header_.entries.back().tensor.dtype = *dtype;
    place_ = Place::kTensor;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (place_ != Place::kNumbers) refuse("a number");
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) too_large();
    if (field_ == "shape" && numbers_.size() == kMaxRank) {
      throw HeaderFault(fmt::format("{} has more than {} dimensions", tensor(), kMaxRank));
    }
    if (field_ == "data_offsets" && numbers_.size() == 2) {
      throw HeaderFault(tensor() + " needs two data_offsets");
    }
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool number_integer(std::int64_t value) override {
    if (place_ != Place::kNumbers) refuse("a number");
    throw HeaderFault(fmt::format("{} has the negative number {} in {}", tensor(), value, field_));
  }

  bool number_float(double, const std::string& text) override {
    if (place_ != Place::kNumbers) refuse("a number");
    if (text.find_first_not_of("0123456789") == std::string::npos) too_large();
    throw HeaderFault(
        fmt::format("{} has {} in {}, not a whole number", tensor(), printable(text), field_));
  }

  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("true or false"); }
  bool binary(nlohmann::json::binary_t&) override { refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    throw HeaderFault(fmt::format("the header is not JSON (at byte {})", position));
  }

 private:
  /// Where the next event happens; the ...Value places are right after a key.
  enum class Place {
    kStart,
    kFile,
    kFileValue,
    kMetadata,
    kMetadataValue,
    kTensor,
    kTensorValue,
    kNumbers,
    kEnd
  };

  std::string tensor() const { return "tensor " + in_quotes(name_); }

  [[noreturn]] void too_large() const {
    throw HeaderFault(tensor() + " has a number in " + field_ + " that does not fit into 63 bits");
  }

  [[noreturn]] void refuse(const char* what) const {
    switch (place_) {
      case Place::kStart:
      case Place::kFile:
      case Place::kEnd:
        throw HeaderFault(fmt::format("the header is {}, not an object", what));
      case Place::kFileValue:
        throw HeaderFault(fmt::format("{} is {}, not an object", in_quotes(name_), what));
      case Place::kMetadata:
      case Place::kMetadataValue:
        throw HeaderFault(fmt::format("metadata {} is {}, not a text", in_quotes(field_), what));
      case Place::kNumbers:
        throw HeaderFault(fmt::format("{} has {} inside {}", tensor(), what, field_));
      case Place::kTensor:
      case Place::kTensorValue:
        break;
    }
    throw HeaderFault(fmt::format("{} has {} as {}", tensor(), what, field_));
  }

  Place place_ = Place::kStart;
  std::string name_;
  std::string field_;
  std::set<std::string> names_;
  std::set<std::string> fields_;
  std::vector<std::int64_t> numbers_;
  Header header_;
};

/// The JSON library stops at a NUL as if the text ended there, and would let what follows pass.
void check_characters(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) throw HeaderFault(fmt::format("the header is not UTF-8 (at byte {})", i));
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') {
      throw HeaderFault(fmt::format("the header has a control character (at byte {})", i));
    }
    i += length;
  }
}

std::string json_text(const std::string& text) { return nlohmann::json(text).dump(); }

}  // namespace

std::optional<std::uint64_t> byte_count(DType dtype, const std::vector<std::int64_t>& shape) {
  std::int64_t bytes = static_cast<std::int64_t>(dtype_size(dtype));
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(bytes, dimension, &bytes)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : static_cast<std::uint64_t>(bytes);
}

Header parse_header(std::string_view text) {
  check_characters(text);
  if (!text.starts_with('{')) throw HeaderFault("the header does not start with '{'");
  HeaderReader reader;
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  return reader.take();
}

std::string format_header(const Header& header) {
  std::string text = "{";
  const char* comma = "";
  if (!header.metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [name, value] : header.metadata) {
      text += fmt::format("{}{}:{}", comma, json_text(name), json_text(value));
      comma = ",";
    }
    text += "}";
  }
  for (const HeaderEntry& entry : header.entries) {
    text += fmt::format(R"({}{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", comma,
                        json_text(entry.tensor.name), dtype_name(entry.tensor.dtype),
                        fmt::join(entry.tensor.shape, ","), entry.begin, entry.end);
    comma = ",";
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace attend::internal
