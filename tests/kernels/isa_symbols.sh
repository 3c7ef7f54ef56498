#!/bin/sh
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#
# isa_symbols.sh OBJDUMP LIBRARY: fails when a function holds instructions that its namespace does not
# allow: AVX-512 (zmm, mask registers, registers 16 to 31) outside attend::kernels::avx512*, and
# anything with a VEX prefix (v..., ymm) outside those and attend::kernels::avx2. Weak functions count
# too: the linker may take the copy that an AVX-512 file made for the whole program.
set -eu
objdump=$1
library=$2

"$objdump" --disassemble --demangle --no-show-raw-insn "$library" | awk '
  / file format / { file = $1 }
  /^[0-9a-f]+ <.*>:$/ {
    name = $0
    sub(/^[0-9a-f]+ </, "", name)
    sub(/>:$/, "", name)
    level = 0
    if (name ~ /attend::kernels::avx2::/) level = 1
    if (name ~ /attend::kernels::avx512(bf16)?::/) level = 2
    functions[level]++
    next
  }
  /^ *[0-9a-f]+:\t/ {
    split($0, column, "\t")
    need = 0
    if (column[2] ~ /^v[a-z]/ || column[2] ~ /%ymm/) need = 1
    if (column[2] ~ /%zmm|%k[0-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])/) need = 2
    used[level, need]++
    if (need > level && !seen[file, name]++) {
      print file ": " name ": " column[2]
      wrong++
    }
  }
  END {
    # Engines without their own instructions would mean that nothing was read.
    if (!functions[0] || !used[1, 1] || !used[2, 2]) {
      print "no engine found in the library: " functions[0] + 0 " common functions, " \
            used[1, 1] + 0 " AVX2 and " used[2, 2] + 0 " AVX-512 instructions"
      exit 1
    }
    if (wrong) {
      print wrong " functions hold instructions of a newer processor than their namespace allows"
      exit 1
    }
    print functions[0] " common, " functions[1] " AVX2 and " functions[2] " AVX-512 functions are clean"
  }'
