#!/usr/bin/env bash
# Installs the Debian packages that attend needs and that are missing. Usage: install_packages.sh [test]
# "test" adds what only the tests need.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config ca-certificates
  libtorch-dev libopenblas0-openmp      # tensors and automatic differentiation; matrix products
  libicu-dev libsentencepiece-dev       # Unicode and Chinese words; subwords
  libcli11-dev nlohmann-json3-dev libfmt-dev zlib1g-dev
)
if [ "${1:-}" = test ]; then
  packages+=(libgtest-dev libgmock-dev python3)
  # The pages in a browser, with Chinese. Node may be there from elsewhere (node 18 or newer).
  packages+=(chromium fonts-wqy-microhei)
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
  echo "packages: all installed"
  exit 0
fi

echo "packages: installing ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "run as root or install sudo: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
