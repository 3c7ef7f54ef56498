// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/data/bytes.h"

#include <zlib.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <limits>

#include "attend/base/error.h"
#include "attend/base/file.h"

namespace attend {
namespace {

// Ends the stream on every way out.
class Inflater {
 public:
  Inflater() {
    // 15 window bits, + 16: a gzip header is expected.
    ready_ = inflateInit2(&stream, 15 + 16) == Z_OK;
  }
  ~Inflater() {
    if (ready_) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool ready() const { return ready_; }
  z_stream stream{};

 private:
  bool ready_ = false;
};

bool is_gzip(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
}

Error too_large(const std::string& name, int64_t max_bytes) {
  return data_error(name + ": more than " + std::to_string(max_bytes) +
                    " bytes when unpacked; split the file or raise the limit");
}

}  // namespace

std::string gunzip(std::string_view packed, const std::string& name, int64_t max_bytes) {
  Inflater inflater;
  if (!inflater.ready()) throw data_error(name + ": cannot unpack (no memory)");
  z_stream& stream = inflater.stream;
  std::string out;
  std::string buffer(size_t{1} << 18, '\0');
  size_t at = 0;
  while (true) {
    if (stream.avail_in == 0 && at < packed.size()) {
      const size_t count = std::min(packed.size() - at, size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + at));
      stream.avail_in = static_cast<uInt>(count);
      at += count;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, 0, buffer.size() - stream.avail_out);
    if (static_cast<int64_t>(out.size()) > max_bytes) throw too_large(name, max_bytes);
    if (status == Z_STREAM_END) {
      const size_t left = stream.avail_in + (packed.size() - at);
      if (left == 0) return out;
      // Another member follows, as `cat a.gz b.gz` makes them; zeros pad a tape or a block.
      const std::string_view rest = packed.substr(packed.size() - left);
      if (rest.find_first_not_of('\0') == std::string_view::npos) return out;
      if (!is_gzip(rest))
        throw data_error(name + ": damaged gzip (bytes after its end); pack the file again");
      if (inflateReset(&stream) != Z_OK) throw data_error(name + ": cannot unpack");
    } else if (status == Z_BUF_ERROR || (status == Z_OK && stream.avail_out > 0)) {
      if (stream.avail_in == 0 && at == packed.size())
        throw data_error(name + ": truncated gzip, it ends after " + std::to_string(out.size()) +
                         " unpacked bytes; copy or pack the file again");
    } else if (status != Z_OK) {
      throw data_error(name + ": damaged gzip after " + std::to_string(out.size()) +
                       " unpacked bytes; copy or pack the file again");
    }
  }
}

FileBytes read_bytes(const std::filesystem::path& path, int64_t max_bytes) {
  FileBytes result;
  const std::string name = path == "-" ? "standard input" : path.string();
  if (path == "-") {
    result.bytes.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    result.bytes = read_file(path);
  }
  if (is_gzip(result.bytes)) {
    result.gzip = true;
    result.bytes = gunzip(result.bytes, name, max_bytes);
  } else if (static_cast<int64_t>(result.bytes.size()) > max_bytes) {
    throw too_large(name, max_bytes);
  }
  return result;
}

}  // namespace attend
