// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "attend/report/json.h"
#include "base64.h"
#include "json_node.h"

namespace attend {
namespace {

using report::Node;

// 1: without everything that is optional since version 2.
constexpr int kOldestVersion = 1;
constexpr int kVersion = 2;

std::vector<Unit> read_units(const Node& node) {
  std::vector<Unit> units;
  node.each([&](const Node& unit) {
    units.push_back({unit.field("text").text(), unit.field("span").span()});
  });
  return units;
}

Prediction read_outputs(const Node& node) {
  Prediction outputs;
  node.each([&](const Node& output) {
    outputs.push_back({output.field("label").text(), output.field("probability").number(),
                       output.field("logit").number()});
  });
  return outputs;
}

Faithfulness read_faithfulness(const Node& node) {
  Faithfulness f;
  f.comprehensiveness = node.field("comprehensiveness").number();
  f.sufficiency = node.field("sufficiency").number();
  f.deletion = node.field("deletion").number();
  f.insertion = node.field("insertion").number();
  f.deletion_curve = node.field("deletion_curve").numbers();
  f.insertion_curve = node.field("insertion_curve").numbers();
  return f;
}

Attribution read_attribution(const Node& node) {
  Attribution attribution;
  attribution.method = node.field("method").text();
  attribution.is_signed = node.field("is_signed").truth();
  attribution.meaning = node.field("meaning").text();
  attribution.seconds = node.field("seconds").number();
  attribution.note = node.optional_text("note");
  if (const auto f = node.optional_field("faithfulness")) {
    attribution.faithfulness = read_faithfulness(*f);
  }
  attribution.scores = node.field("scores").numbers();
  return attribution;
}

Alignment read_alignment(const Node& node) {
  return {node.field("method").text(), node.field("is_signed").truth(),
          node.field("meaning").text(), node.field("scores").numbers()};
}

AttentionMap read_map(const Node& node) {
  AttentionMap map;
  map.layer = node.field("layer").integer();
  map.head = node.field("head").integer();
  map.label = node.field("label").text();
  if (const auto role = node.optional_field("role")) map.role = role->text();
  map.rows = node.field("rows").integer();
  map.columns = node.field("columns").integer();
  map.weights = node.field("weights").weights(map.rows, map.columns);
  return map;
}

HeadSummary read_head(const Node& node) {
  HeadSummary head;
  head.layer = node.field("layer").integer();
  head.head = node.field("head").integer();
  head.entropy = node.field("entropy").number();
  head.distance = node.field("distance").number();
  head.self = node.field("self").number();
  head.previous = node.field("previous").number();
  head.next = node.field("next").number();
  head.first = node.field("first").number();
  if (const auto importance = node.optional_field("importance")) {
    head.importance = importance->number();
  }
  return head;
}

LayerSummary read_layer(const Node& node) {
  LayerSummary layer;
  layer.layer = node.field("layer").integer();
  layer.label = node.field("label").text();
  layer.entropy = node.field("entropy").numbers();
  layer.received = node.field("received").numbers();
  node.field("links").each([&](const Node& link) {
    if (link.size() != 3) {
      link.fail(fmt::format("expected [query, key, weight], found {} items", link.size()));
    }
    layer.links.push_back({link.item(0).integer(), link.item(1).integer(), link.item(2).number()});
  });
  layer.pooled_rows = node.field("pooled_rows").integer();
  layer.pooled_columns = node.field("pooled_columns").integer();
  layer.pooled = node.field("pooled").numbers();
  return layer;
}

AttentionTile read_tile(const Node& node) {
  AttentionTile tile;
  tile.layer = node.field("layer").integer();
  tile.head = node.field("head").integer();
  tile.first_row = node.field("first_row").integer();
  tile.rows = node.field("rows").integer();
  tile.first_column = node.field("first_column").integer();
  tile.columns = node.field("columns").integer();
  tile.weights = node.field("weights").weights(tile.rows, tile.columns);
  return tile;
}

Surface read_surface(const Node& node) {
  Surface surface;
  surface.width = node.field("width").integer();
  surface.height = node.field("height").integer();
  surface.channels = node.field("channels").integer();
  surface.x_axis = node.optional_text("x_axis");
  surface.y_axis = node.optional_text("y_axis");
  const Node pixels = node.field("pixels");
  const auto bytes = report::from_base64(pixels.text());
  if (!bytes) pixels.fail("not base64");
  surface.pixels = *bytes;
  node.field("boxes").each([&](const Node& box) {
    if (box.size() != 4) {
      box.fail(fmt::format("expected [x, y, width, height], found {} items", box.size()));
    }
    surface.boxes.push_back({box.item(0).integer(), box.item(1).integer(), box.item(2).integer(),
                             box.item(3).integer()});
  });
  return surface;
}

FaithfulnessTest read_test(const Node& node) {
  FaithfulnessTest test;
  test.removal = node.field("removal").text();
  node.field("steps").each([&](const Node& step) { test.steps.push_back(step.integer()); });
  test.random_deletion_low = node.field("random_deletion_low").numbers();
  test.random_deletion_high = node.field("random_deletion_high").numbers();
  test.random_insertion_low = node.field("random_insertion_low").numbers();
  test.random_insertion_high = node.field("random_insertion_high").numbers();
  return test;
}

template <class Read, class Item>
void read_list(const Node& root, const char* name, std::vector<Item>& items, Read read) {
  if (const auto list = root.optional_field(name)) {
    list->each([&](const Node& node) { items.push_back(read(node)); });
  }
}

Explanation read_explanation(const Node& root) {
  const Node format = root.field("format");
  if (format.text() != "attend-explanation") format.fail("expected \"attend-explanation\"");
  const Node version = root.field("version");
  if (version.integer() < kOldestVersion || version.integer() > kVersion) {
    version.fail(fmt::format("version {} is not known; this program reads versions {} to {}",
                             version.integer(), kOldestVersion, kVersion));
  }
  Explanation e;
  e.task = root.field("task").text();
  e.model = root.field("model").text();
  e.command = root.field("command").text();
  e.input = root.field("input").text();
  e.unit_kind = root.field("unit_kind").text();
  e.units = read_units(root.field("units"));
  e.outputs = read_outputs(root.field("outputs"));
  e.output = root.optional_text("output");
  if (const auto units = root.optional_field("output_units")) e.output_units = read_units(*units);
  e.target = root.field("target").text();
  if (const auto at = root.optional_field("target_position")) e.target_position = at->integer();
  const Node evidence = root.field("evidence");
  if (!evidence.is_null()) e.evidence = evidence.span();
  e.best_method = root.optional_text("best_method");
  e.verdict = root.optional_text("verdict");
  root.field("attributions").each([&](const Node& node) {
    e.attributions.push_back(read_attribution(node));
  });
  if (const auto test = root.optional_field("test")) e.test = read_test(*test);
  read_list(root, "alignments", e.alignments, read_alignment);
  root.field("attention").each([&](const Node& node) { e.attention.push_back(read_map(node)); });
  read_list(root, "heads", e.heads, read_head);
  read_list(root, "layers", e.layers, read_layer);
  read_list(root, "tiles", e.tiles, read_tile);
  if (const auto surface = root.optional_field("surface")) e.surface = read_surface(*surface);
  read_list(root, "effects", e.effects, [](const Node& node) {
    return Effect{node.field("edit").text(), read_outputs(node.field("before")),
                  read_outputs(node.field("after")), node.field("change").number()};
  });
  e.notices = root.field("notices").texts();
  return e;
}

}  // namespace

Explanation explanation_from_json(std::string_view text, const std::string& origin) {
  const nlohmann::json json = report::parse_json(text, origin);
  Explanation explanation = read_explanation(Node(json, "$", origin));
  check_explanation(explanation, origin);
  return explanation;
}

}  // namespace attend
