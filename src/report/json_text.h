// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

// Numbers and strings of the JSON that the report layer writes. Private to it.
namespace attend::report {

/// The shortest number that reads back as the same value; `value` must be finite.
std::string json_number(double value);
std::string json_number(float value);

/// `text` in quotes. Invalid UTF-8 becomes U+FFFD. `for_script`: also safe inside an HTML <script>
/// (< > & and the line separators U+2028 and U+2029 escaped).
std::string json_string(std::string_view text, bool for_script = false);

}  // namespace attend::report
