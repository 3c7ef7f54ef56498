// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// What lies between the two is compiled for a processor with these features, such as "avx2,fma".
#pragma once

#define ATTEND_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define ATTEND_BEGIN_TARGET(features) \
  ATTEND_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define ATTEND_END_TARGET ATTEND_PRAGMA(clang attribute pop)
#else
#define ATTEND_BEGIN_TARGET(features) \
  ATTEND_PRAGMA(GCC push_options) ATTEND_PRAGMA(GCC target(features))
#define ATTEND_END_TARGET ATTEND_PRAGMA(GCC pop_options)
#endif
