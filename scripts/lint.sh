#!/usr/bin/env bash
# Format and static analysis of every file, as a contributor should run them before a change is offered.
#   scripts/lint.sh          clang-format only (seconds)
#   scripts/lint.sh tidy     clang-tidy too (half an hour on two cores: every file reads LibTorch's headers)
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(git ls-files '*.cpp' '*.h')
clang-format --dry-run -Werror "${files[@]}"
echo "clang-format: ${#files[@]} files clean"
[ "${1:-}" = tidy ] || exit 0

# clang cannot read GCC's precompiled header, so tidy gets a compilation database without it.
cmake --preset release -B build/tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DATTEND_WERROR=OFF >/dev/null
git ls-files 'src/*.cpp' | xargs -P "$(nproc)" -n 1 clang-tidy -p build/tidy --quiet \
  --extra-arg=-include --extra-arg="$PWD/scripts/tidy_vector.h" 2>/dev/null
echo "clang-tidy: clean"
