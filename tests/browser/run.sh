#!/usr/bin/env bash
# Makes the example pages and tests them in Chromium. run.sh REPORT_PAGES FOLDER [name of a test]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pages=$1 folder=$2
shift 2

for program in node npm; do
  command -v "$program" >/dev/null || { echo "$program is missing: run scripts/install_packages.sh test" >&2; exit 1; }
done
chromium=${ATTEND_CHROMIUM:-$(command -v chromium || true)}
[ -x "$chromium" ] || { echo "chromium is missing: run scripts/install_packages.sh test, or set ATTEND_CHROMIUM" >&2; exit 1; }

# The test runs beside its node_modules, so that nothing is installed into the source tree.
mkdir -p "$folder"
cp "$here"/package.json "$here"/package-lock.json "$here"/*.mjs "$folder"
cd "$folder"
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --omit=optional --no-audit --no-fund --loglevel=error || {
    echo "playwright-core cannot be installed: is the npm registry reachable? (npm config get registry)" >&2
    exit "${ATTEND_WITHOUT_NPM:-1}"
  }
  cp package-lock.json node_modules/.installed
fi
"$pages" pages
ATTEND_CHROMIUM=$chromium node pages_test.mjs pages "$@"
