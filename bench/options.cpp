// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <stdexcept>

namespace attend::bench {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

template <typename Number>
Number parse_number(const std::string& text, Number smallest) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number >= smallest)) {
    throw std::invalid_argument("\"" + text + "\" is not a number from " +
                                std::to_string(smallest) + " up");
  }
  return number;
}

template <typename Item>
std::vector<Item> parse_list(const std::string& text,
                             const std::function<Item(const std::string&)>& parse) {
  std::vector<Item> items;
  for (const auto& part : split(text, ',')) items.push_back(parse(part));
  return items;
}

What parse_what(const std::string& text) {
  if (text == "limits") return What::kLimits;
  if (text == "fwd") return What::kForward;
  if (text == "bwd") return What::kBackward;
  if (text == "decode") return What::kDecode;
  if (text == "trace") return What::kTrace;
  if (text == "memory") return What::kMemory;
  if (text == "encoder") return What::kEncoder;
  if (text == "generate") return What::kGenerate;
  if (text == "linear") return What::kLinear;
  throw std::invalid_argument(
      "\"" + text +
      "\" is none of fwd, bwd, decode, trace, encoder, linear, generate, memory, limits");
}

kernels::ElementType parse_type(const std::string& text) {
  if (text == "f32") return kernels::ElementType::kFloat32;
  if (text == "bf16") return kernels::ElementType::kBFloat16;
  throw std::invalid_argument("\"" + text + "\" is neither f32 nor bf16");
}

bool parse_causal(const std::string& text) {
  if (text == "0" || text == "1") return text == "1";
  throw std::invalid_argument("\"" + text + "\" is neither 0 nor 1");
}

std::string parse_encoder_input(const std::string& text) {
  const auto parts = split(text, 'x');
  if (parts.size() != 2) throw std::invalid_argument("\"" + text + "\" is not BATCHxLENGTH");
  for (const auto& part : parts) parse_number<int64_t>(part, 1);
  return text;
}

Layer parse_layer(const std::string& text) {
  const auto parts = split(text, 'x');
  if (parts.size() != 3) throw std::invalid_argument("\"" + text + "\" is not ROWSxINPUTSxOUTPUTS");
  return {parse_number<int64_t>(parts[0], 1), parse_number<int64_t>(parts[1], 1),
          parse_number<int64_t>(parts[2], 1)};
}

std::string parse_precision_name(const std::string& text) {
  if (text == "f32" || text == "bf16" || text == "int8") return text;
  throw std::invalid_argument("\"" + text + "\" is none of f32, bf16, int8");
}

double parse_dropout(const std::string& text) {
  const auto dropout = parse_number<double>(text, 0.0);
  if (dropout < 1) return dropout;
  throw std::invalid_argument("\"" + text + "\" is not below 1");
}

}  // namespace

Shape parse_shape(const std::string& text) {
  const auto parts = split(text, 'x');
  if (parts.size() < 4 || parts.size() > 6) {
    throw std::invalid_argument("\"" + text + "\" is not a shape BxHxNxD[xM[xHkv]]");
  }
  std::vector<int64_t> sizes;
  sizes.reserve(parts.size());
  for (const auto& part : parts) sizes.push_back(parse_number<int64_t>(part, 1));
  Shape shape;
  shape.batch = sizes[0];
  shape.heads = sizes[1];
  shape.queries = sizes[2];
  shape.dim = sizes[3];
  shape.keys = sizes.size() > 4 ? sizes[4] : shape.queries;
  shape.kv_heads = sizes.size() > 5 ? sizes[5] : shape.heads;
  return shape;
}

std::string to_string(const Shape& shape) {
  std::string text = std::to_string(shape.batch) + "x" + std::to_string(shape.heads) + "x" +
                     std::to_string(shape.queries) + "x" + std::to_string(shape.dim);
  if (shape.keys != shape.queries || shape.kv_heads != shape.heads) {
    text += "x" + std::to_string(shape.keys) + "x" + std::to_string(shape.kv_heads);
  }
  return text;
}

const std::vector<Flag>& flags() {
  using Text = std::string;
  static const std::vector<Flag> table{
      {"--what",
       "fwd,bwd,decode,trace,encoder,linear,generate,memory,limits (default: the first four)", true,
       [](Options& o, const Text& v) { o.what = parse_list<What>(v, parse_what); }},
      {"--shapes", "BxHxNxD[xM[xHkv]],... (default: the cases of docs/performance.md)", true,
       [](Options& o, const Text& v) { o.shapes = parse_list<Shape>(v, parse_shape); }},
      {"--dtype", "f32,bf16", true,
       [](Options& o, const Text& v) {
         o.types = parse_list<kernels::ElementType>(v, parse_type);
       }},
      {"--causal", "0,1", true,
       [](Options& o, const Text& v) { o.causal = parse_list<bool>(v, parse_causal); }},
      {"--window", "Keys seen on each side; on the left only, if causal", true,
       [](Options& o, const Text& v) { o.window = parse_number<int64_t>(v, 0); }},
      {"--threads", "1,2 (default)", true,
       [](Options& o, const Text& v) {
         o.threads = parse_list<int>(v, [](const Text& t) { return parse_number<int>(t, 1); });
       }},
      {"--min-ms", "Time each case for at least this long (default 500)", true,
       [](Options& o, const Text& v) { o.min_ms = parse_number<double>(v, 0.0); }},
      {"--min-reps", "Repeat each case at least this often (default 5)", true,
       [](Options& o, const Text& v) { o.min_repetitions = parse_number<int>(v, 1); }},
      {"--tries", "Repeat a case that other processes disturbed (default 1)", true,
       [](Options& o, const Text& v) { o.tries = parse_number<int>(v, 1); }},
      {"--wait", "Wait at most this many seconds for an idle machine (default 0)", true,
       [](Options& o, const Text& v) { o.wait_seconds = parse_number<double>(v, 0.0); }},
      {"--inputs", "encoder: BATCHxLENGTH,... (default 64x32,8x512)", true,
       [](Options& o, const Text& v) {
         o.encoder_inputs = parse_list<Text>(v, parse_encoder_input);
       }},
      {"--dropout", "encoder: 0.1,0 (default)", true,
       [](Options& o, const Text& v) { o.dropouts = parse_list<double>(v, parse_dropout); }},
      {"--layers", "linear: ROWSxINPUTSxOUTPUTS,... (default: those of the encoder)", true,
       [](Options& o, const Text& v) { o.layers = parse_list<Layer>(v, parse_layer); }},
      {"--precision", "generate: f32,bf16,int8 (default)", true,
       [](Options& o, const Text& v) { o.precisions = parse_list<Text>(v, parse_precision_name); }},
      {"--batch", "generate: texts side by side (default 1,2,4,8,16,32,64)", true,
       [](Options& o, const Text& v) {
         o.batches =
             parse_list<int64_t>(v, [](const Text& t) { return parse_number<int64_t>(t, 1); });
       }},
      {"--no-limits", "Do not measure the machine first", false,
       [](Options& o, const Text&) { o.limits = false; }},
      {"--no-pin", "Let the system choose a processor for each thread", false,
       [](Options& o, const Text&) { o.pin = false; }},
      {"--json", "Print one JSON object a line", false,
       [](Options& o, const Text&) { o.json = true; }},
  };
  return table;
}

Options parse_flags(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string given = argv[i];
    const auto flag = std::find_if(flags().begin(), flags().end(),
                                   [&given](const Flag& f) { return given == f.name; });
    if (flag == flags().end()) throw std::invalid_argument("unknown flag " + given);
    if (flag->takes_value && i + 1 == argc) throw std::invalid_argument(given + " needs a value");
    flag->set(options, flag->takes_value ? argv[++i] : "");
  }
  return options;
}

}  // namespace attend::bench
