// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "attend/report/json.h"
#include "attend/report/render.h"
#include "attend/report/text.h"
#include "base64.h"
#include "json_text.h"
#include "layout.h"
#include "page_assets.h"

namespace attend {
namespace {

using namespace report;

constexpr std::size_t kMostOutputs = 20;

std::string script_string(std::string_view text) { return json_string(text, true); }

// As visible_text, but line breaks and tabs stay: the page lays the text out as it is.
std::string visible_lines(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find_first_of("\n\t", begin), text.size());
    out += visible_text(text.substr(begin, end - begin));
    if (end < text.size()) out += text[end];
    begin = end + 1;
  }
  return out;
}

template <class Items, class Visit>
std::string list(const Items& items, Visit visit) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += visit(item);
  }
  return out + ']';
}

// 16-bit steps of the largest weight: what a screen shows at a quarter of the size of decimal text.
std::string map_json(const AttentionMap& map) {
  const double scale = range_of(map).high;
  std::vector<uint8_t> bytes;
  bytes.reserve(2 * map.weights.size());
  for (const float weight : map.weights) {
    const double share = scale > 0 ? weight / scale : 0;
    const auto step = static_cast<uint16_t>(std::lround(std::clamp(share, 0.0, 1.0) * 65535));
    bytes.push_back(step & 0xFF);
    bytes.push_back(step >> 8);
  }
  return fmt::format(R"({{"label":{},"rows":{},"columns":{},"scale":{},"data":"{}"}})",
                     script_string(visible_text(map_label(map))), map.rows, map.columns,
                     json_number(scale), to_base64(bytes));
}

std::string attribution_json(const Attribution& attribution) {
  return fmt::format(R"({{"method":{},"heading":{},"is_signed":{},"meaning":{},"scores":{}}})",
                     script_string(visible_text(attribution.method)),
                     script_string(family_heading(family_of(attribution))), attribution.is_signed,
                     script_string(visible_text(attribution.meaning)),
                     list(attribution.scores, [](double score) { return json_number(score); }));
}

// [[background, ink], ...] from the low to the high end.
std::string ramp_json(bool is_signed, Theme theme) {
  constexpr int kSteps = 65;
  std::string out = "[";
  for (int i = 0; i < kSteps; ++i) {
    const double t = static_cast<double>(i) / (kSteps - 1);
    const Rgb color = is_signed ? diverging_color(2 * t - 1, theme) : sequential_color(t, theme);
    out += fmt::format("{}[\"{}\",\"{}\"]", i > 0 ? "," : "", to_hex(color),
                       to_hex(text_color_on(color)));
  }
  return out + ']';
}

std::string ramps_json() {
  const auto theme_json = [](Theme theme) {
    return fmt::format(R"({{"unsigned":{},"signed":{}}})", ramp_json(false, theme),
                       ramp_json(true, theme));
  };
  return fmt::format(R"({{"light":{},"dark":{}}})", theme_json(Theme::kLight),
                     theme_json(Theme::kDark));
}

std::string evidence_json(const Explanation& e) {
  const std::string_view input = e.input;
  const Span span = e.evidence.value_or(Span{0, 0});
  const auto part = [&](std::size_t begin, std::size_t end) {
    return script_string(visible_lines(input.substr(begin, end - begin)));
  };
  return fmt::format("[{},{},{}]", part(0, span.begin), part(span.begin, span.end),
                     part(span.end, input.size()));
}

// Everything but maps and notices, without the closing brace.
std::string page_json(const Explanation& e) {
  const std::size_t listed = std::min(kMostOutputs, e.outputs.size());
  const Prediction outputs(e.outputs.begin(), e.outputs.begin() + static_cast<int64_t>(listed));
  const auto output_json = [](const OutputScore& output) {
    return fmt::format(R"({{"label":{},"probability":{},"logit":{}}})",
                       script_string(visible_text(output.label)), json_number(output.probability),
                       json_number(output.logit));
  };
  const auto piece_json = [](const Piece& piece) {
    return fmt::format("[{},{}]", script_string(visible_lines(piece.text)),
                       piece.unit == Piece::kGap ? -1 : static_cast<int64_t>(piece.unit));
  };
  const auto unit_json = [](const Unit& unit) { return script_string(visible_text(unit.text)); };
  std::vector<Attribution> attributions = e.attributions;
  std::stable_sort(attributions.begin(), attributions.end(),
                   [](const auto& a, const auto& b) { return family_of(a) < family_of(b); });
  return fmt::format(
      R"({{"task":{},"model":{},"command":{},"unit_kind":{},"target":{},"evidence":{},)"
      R"("outputs":{},"more_outputs":{},"units":{},"pieces":{},"attributions":{},"ramps":{})",
      script_string(visible_text(e.task)), script_string(visible_text(e.model)),
      script_string(visible_text(e.command)), script_string(visible_text(e.unit_kind)),
      script_string(visible_text(e.target)), evidence_json(e), list(outputs, output_json),
      e.outputs.size() - listed, list(e.units, unit_json), list(pieces_of(e), piece_json),
      list(attributions, attribution_json), ramps_json());
}

// How much a map is worth keeping when space is short: means before single heads.
int rank_of(const AttentionMap& map) { return (map.layer < 0 ? 1 : 0) + (map.head < 0 ? 1 : 0); }

// The maps that fit into `room` bytes, in their order. All, or else only those of the higher ranks.
std::vector<std::string> fitting_maps(const Explanation& e, std::size_t room,
                                      std::vector<std::size_t>& kept) {
  for (int least = 0; least <= 2; ++least) {
    std::vector<std::string> maps;
    kept.clear();
    std::size_t size = 0;
    for (std::size_t i = 0; i < e.attention.size(); ++i) {
      const AttentionMap& map = e.attention[i];
      if (rank_of(map) < least) continue;
      size += map.weights.size() * 8 / 3 + 200;
      if (size > room) break;
      maps.push_back(map_json(map));
      kept.push_back(i);
    }
    if (size <= room && !maps.empty()) return maps;
  }
  kept.clear();
  return {};
}

// Fills the template in one pass, so that a "{{data}}" inside the data stays text.
std::string filled(std::string_view page, const std::string& title, const std::string& data) {
  std::string out;
  while (!page.empty()) {
    const std::size_t open = std::min(page.find("{{"), page.size());
    out += page.substr(0, open);
    page.remove_prefix(open);
    if (page.empty()) break;
    const std::size_t close = page.find("}}");
    const std::string_view name = page.substr(2, close - 2);
    if (name == "title") out += title;
    if (name == "style") out += page_css;
    if (name == "script") out += page_js;
    if (name == "data") out += data;
    page.remove_prefix(close + 2);
  }
  return out;
}

}  // namespace

std::string to_html(const Explanation& explanation, const HtmlOptions& options) {
  check_explanation(explanation);
  const Explanation& e = explanation;
  std::string data = page_json(e);
  std::vector<std::string> notices;
  for (const std::string& notice : e.notices) notices.push_back(visible_text(notice));

  constexpr std::size_t kNoticeRoom = 1000;  // for the notice that is added below
  std::size_t fixed =
      data.size() + page_html.size() + page_css.size() + page_js.size() + kNoticeRoom;
  for (const std::string& notice : notices) fixed += 2 * notice.size();
  const std::size_t room = options.max_bytes > fixed ? options.max_bytes - fixed : 0;
  std::vector<std::size_t> kept;
  const std::vector<std::string> maps = fitting_maps(e, room, kept);
  if (maps.size() < e.attention.size()) {
    notices.push_back(fmt::format(
        "{} of {} attention maps are left out to keep this page under {:.1f} MB{}; a .json file "
        "holds them all",
        e.attention.size() - maps.size(), e.attention.size(), options.max_bytes / 1e6,
        maps.empty() ? "" : "; the means are kept"));
  }
  std::size_t shown = 0;
  if (!kept.empty()) {
    const auto at = std::find(kept.begin(), kept.end(), default_map_index(e));
    shown = at == kept.end() ? 0 : static_cast<std::size_t>(at - kept.begin());
  }
  data += fmt::format(R"(,"notices":{},"default_map":{},"attention":{}}})",
                      list(notices, script_string), shown,
                      list(maps, [](const std::string& map) { return map; }));
  const std::string title = truncate_to_width(visible_text(e.target + " · " + e.input), 90);
  return filled(page_html, xml_escaped(title), data);
}

}  // namespace attend
