// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The engine, in reading order: each file uses the ones above it. Included once per instruction
// set, after its simd_*.h, inside its namespace.
// clang-format off
#include "exp2.h"
#include "product.h"
#include "pack.h"
#include "rows.h"
#include "scores.h"
#include "top_keys.h"
#include "heaviest_keys.h"
#include "softmax.h"
#include "bounded.h"
#include "forward.h"
#include "forward_brief.h"
#include "weights.h"
#include "decode_product.h"
#include "decode.h"
#include "decode_brief.h"
#include "run_decode.h"
#include "run_forward.h"
#include "gradient_rows.h"
#include "backward.h"
#include "run_backward.h"
#include "matrix_weights.h"
#include "narrow_weights.h"
#include "matrix.h"
#include "dense_product.h"
#include "limits.h"
// clang-format on
