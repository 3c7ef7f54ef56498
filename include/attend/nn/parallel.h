// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// at::parallel_for, for files that are compiled with OpenMP: in others it takes one thread, without
// a word.
#pragma once

#ifndef _OPENMP
#error "compile this file with OpenMP (see set_source_files_properties in src/nn/CMakeLists.txt)"
#endif

#include <ATen/Parallel.h>
