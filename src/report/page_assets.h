// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// The files of page/, embedded at build time by embed.cmake. Private to the report layer.
namespace attend::report {

extern const std::string_view page_html;  ///< with {{title}} {{style}} {{data}} {{script}}
extern const std::string_view page_css;

// Plain scripts that share one scope; html.cpp joins them in this order.
extern const std::string_view core_js;     ///< data, elements, colours, numbers, state
extern const std::string_view pen_js;      ///< drawing on a canvas and to SVG, figures
extern const std::string_view tokens_js;   ///< overview and scores of units
extern const std::string_view matrix_js;   ///< attention maps and heads
extern const std::string_view align_js;    ///< alignment and overlay
extern const std::string_view long_js;     ///< long inputs and curves
extern const std::string_view compare_js;  ///< two explanations
extern const std::string_view table_js;    ///< data sets
extern const std::string_view main_js;     ///< tabs, keys, export

}  // namespace attend::report
