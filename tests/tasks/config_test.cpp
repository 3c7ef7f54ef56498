// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/tasks/config.h"

#include <gtest/gtest.h>

namespace attend {
namespace {

using nlohmann::json;

const json kDefaults = {{"train", {{"epochs", 10}, {"learning_rate", 1e-3}, {"decay", "cosine"}}},
                        {"data", {{"train", json::array()}}}};

std::string error_of(const json& overrides) {
  try {
    merge_config(kDefaults, overrides, "r.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(MergeConfig, LaysOverridesOverDefaults) {
  const json merged = merge_config(kDefaults, {{"train", {{"epochs", 3}}}}, "r.json");
  EXPECT_EQ(merged["train"]["epochs"], 3);
  EXPECT_EQ(merged["train"]["decay"], "cosine");
}

TEST(MergeConfig, TakesAWholeNumberForAFractionAndTheOtherWayRoundOnlyIfExact) {
  EXPECT_EQ(
      merge_config(kDefaults, {{"train", {{"learning_rate", 1}}}}, "")["train"]["learning_rate"],
      1);
  const json merged = merge_config(kDefaults, {{"train", {{"epochs", 3.0}}}}, "");
  EXPECT_TRUE(merged["train"]["epochs"].is_number_integer());
  EXPECT_NE(error_of({{"train", {{"epochs", 2.5}}}}), "no error");
  // A setting that was whole once may be a fraction later.
  const json whole = merge_config(kDefaults, {{"train", {{"learning_rate", 1}}}}, "");
  EXPECT_EQ(
      merge_config(whole, {{"train", {{"learning_rate", 0.5}}}}, "")["train"]["learning_rate"],
      0.5);
}

TEST(MergeConfig, NamesTheUnknownKeyAndTheNearestKnownOne) {
  const std::string error = error_of({{"train", {{"epoch", 3}}}});
  EXPECT_NE(error.find("r.json"), std::string::npos) << error;
  EXPECT_NE(error.find("\"train.epoch\""), std::string::npos) << error;
  EXPECT_NE(error.find("did you mean \"epochs\""), std::string::npos) << error;
  EXPECT_NE(error_of({{"zzz", 1}}).find("known here: data, train"), std::string::npos);
}

TEST(MergeConfig, RefusesAnotherKindOfValue) {
  EXPECT_NE(error_of({{"train", {{"epochs", "three"}}}}).find("must be a number"),
            std::string::npos);
  EXPECT_NE(error_of({{"train", 3}}).find("must be an object"), std::string::npos);
  EXPECT_NE(error_of({{"data", {{"train", "a.tsv"}}}}).find("must be a array"), std::string::npos);
}

TEST(ParseSetting, ReadsNestedKeysAndFallsBackToText) {
  EXPECT_EQ(parse_setting("train.epochs=5"), (json{{"train", {{"epochs", 5}}}}));
  EXPECT_EQ(parse_setting("a.b.c=true"), (json{{"a", {{"b", {{"c", true}}}}}}));
  EXPECT_EQ(parse_setting("train.decay=linear"), (json{{"train", {{"decay", "linear"}}}}));
  EXPECT_EQ(parse_setting("x=a=b"), (json{{"x", "a=b"}}));
  EXPECT_THROW(parse_setting("train.epochs"), Error);
  EXPECT_THROW(parse_setting("=5"), Error);
}

TEST(NearestName, FindsTyposOnly) {
  EXPECT_EQ(nearest_name("learning_rte", {"epochs", "learning_rate"}), "learning_rate");
  EXPECT_EQ(nearest_name("zebra", {"epochs", "learning_rate"}), "");
}

}  // namespace
}  // namespace attend
