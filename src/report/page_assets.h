// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// The page's files, embedded at build time by embed.cmake. Private to the report layer.
namespace attend::report {

extern const std::string_view page_html;  ///< with {{title}} {{style}} {{data}} {{script}}
extern const std::string_view page_css;
extern const std::string_view page_js;

}  // namespace attend::report
