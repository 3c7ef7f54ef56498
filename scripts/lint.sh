#!/usr/bin/env bash
# Format and static analysis of every file, as a contributor should run them before a change is offered.
#   scripts/lint.sh          clang-format only (seconds)
#   scripts/lint.sh tidy     clang-tidy too (some minutes)
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(git ls-files '*.cpp' '*.h')
clang-format --dry-run -Werror "${files[@]}"
echo "clang-format: ${#files[@]} files clean"
[ "${1:-}" = tidy ] || exit 0

# Reading LibTorch's headers is most of the work, so each module is checked as one unity file; names
# of file-local helpers are therefore unique within a module. clang cannot read GCC's precompiled
# header.
cmake --preset release -B build/tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
  -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=0 -DATTEND_BUILD_TESTS=OFF \
  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DATTEND_WERROR=OFF >/dev/null
mapfile -t units < <(sed -n 's/^ *"file": "\(.*\)".*/\1/p' build/tidy/compile_commands.json |
  grep -v page_assets)
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy -p build/tidy --quiet \
  --extra-arg=-include --extra-arg="$PWD/scripts/tidy_vector.h" 2>/dev/null
echo "clang-tidy: ${#units[@]} modules and files clean"
