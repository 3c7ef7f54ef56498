#!/usr/bin/env bash
# Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
# Runs attend and its peers side by side: the same cases, one after the other, in ROUNDS turns, threads pinned.
#
#   bench/peers/run.sh BUILD OUT [PEERS]
#
# BUILD  build folder that holds src/cli/attend and bench/attend-peer-libtorch
#        (cmake --build BUILD --target attend attend-peer-libtorch)
# OUT    folder for the JSON lines, table.md and plot.svg; started anew
# PEERS  folder with the peers' Debian root, in trixie/ (or the variable PEERS): PyTorch, oneDNN, and in trixie/bench
#        their programs bench_torch.py, bench_dnnl, bench_encoder_torch.py and pin.so. Entering it needs root.
#
# TRANSLATE_RUN and TRANSLATE_SOURCES: a run of --task translate (see torch_translate.py) and a file with a sentence a
# line, for the group "translate"; the root then needs python3-sentencepiece. attend's time is that of the whole
# command, loading included; the peer's is without loading.
#
# Variables: THREADS (1,2), ROUNDS (2), ONLY (a regular expression on the names of the groups below), and the peers'
# own HB_MIN_MS (500), HB_MIN_REPS (5), HB_TRIES (2), HB_WAIT_S (10), which attend is given too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:?usage: run.sh BUILD OUT [PEERS]}
out=${2:?usage: run.sh BUILD OUT [PEERS]}
root=${3:-${PEERS:?give the peers folder as third argument or in PEERS}}/trixie
threads=${THREADS:-1,2}
export HB_MIN_MS=${HB_MIN_MS:-500} HB_MIN_REPS=${HB_MIN_REPS:-5} HB_TRIES=${HB_TRIES:-2} HB_WAIT_S=${HB_WAIT_S:-10}
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
for program in "$build/src/cli/attend" "$build/bench/attend-peer-libtorch" "$root/bench/bench_dnnl"; do
  [ -x "$program" ] || { echo "run.sh: $program is missing" >&2; exit 1; }
done
mkdir -p "$out"
rm -f "$out"/*.jsonl "$out"/errors.log

measured() {  # attend's flags for what the HB_ variables ask of the peers
  "$@" --json --threads "$threads" --min-ms "$HB_MIN_MS" --min-reps "$HB_MIN_REPS" --tries "$HB_TRIES" \
    --wait "$HB_WAIT_S"
}
# What each peer runs best with: one OpenMP pool, memory kept between calls, huge pages. attend needs none of it.
warm=GLIBC_TUNABLES=glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=68719476736:glibc.malloc.hugetlb=1
in_root() {
  chroot "$root" env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/bench LD_PRELOAD=/bench/pin.so \
    LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/openblas-openmp "$@"
}
attend() { measured "$build/src/cli/attend" bench --no-limits "$@"; }
libtorch() { measured env "$warm" "$build/bench/attend-peer-libtorch" "$@"; }
torch() { in_root "$warm" python3 /bench/bench_torch.py --threads "$threads" "$@"; }
onednn() { in_root /bench/bench_dnnl --threads "$threads" "$@"; }
torch_window() { in_root "$warm" python3 - --threads "$threads" "$@" < "$here/torch_window.py"; }
torch_generate() { in_root "$warm" python3 - --threads "$threads" "$@" < "$here/torch_generate.py"; }
attend_translate() {  # BEAM
  local count begin
  count=$(wc -l < "$TRANSLATE_SOURCES")
  for number in ${threads//,/ }; do
    begin=$(date +%s%N)
    "$build/src/cli/attend" run "$TRANSLATE_RUN" "$TRANSLATE_SOURCES" --lines --beam "$1" --tsv --threads "$number" \
      --out "$out/translate_attend.txt"
    awk -v beam="$1" -v threads="$number" -v count="$count" -v ns="$(($(date +%s%N) - begin))" 'BEGIN {
      printf "{\"peer\":\"attend\",\"case\":\"translate_f32_beam%d_%d\",\"threads\":%d,\"ms_min\":%.1f," \
        "\"ms_median\":%.1f,\"sentences_per_s\":%.1f}\n", beam, count, threads, ns / 1e6, ns / 1e6, count / ns * 1e9 }'
  done
}
torch_translate() {  # BEAM
  mkdir -p "$root/tmp/translate"
  cp "$TRANSLATE_RUN"/{config.json,model.safetensors,spm.model} "$TRANSLATE_SOURCES" "$root/tmp/translate"
  for number in ${threads//,/ }; do
    in_root "$warm" python3 - /tmp/translate "/tmp/translate/$(basename "$TRANSLATE_SOURCES")" /tmp/translate/out.txt \
      --beam "$1" --threads "$number" < "$here/torch_translate.py"
  done
  cp "$root/tmp/translate/out.txt" "$out/translate_torch.txt"
}
encoder_torch() { in_root "$warm" python3 /bench/bench_encoder_torch.py --threads "$threads" "$@"; }

# run GROUP COMMAND...: the lines of one program for one group of cases. A peer that cannot do a case is a note.
run() {
  local group=$1
  shift
  [[ $group =~ ${ONLY:-.} ]] || return 0
  echo "$(date +%T) $group: $1" >&2
  "$@" >> "$out/lines.jsonl" 2>> "$out/errors.log" || echo "$group: $* failed" >> "$out/errors.log"
}

for ((round = 0; round < ${ROUNDS:-2}; ++round)); do
  echo "$(date +%T) limits" >&2
  measured "$build/src/cli/attend" bench --what limits >> "$out/limits.jsonl"
  for shape in 1x8x512x64 1x8x1024x64 1x8x4096x64 32x8x32x64 8x12x128x64 1x32x2048x128 1x1x4096x64; do
    cases=(--what fwd --dtype f32 --causal 0,1 --shapes "$shape")
    run "fwd_f32_$shape" attend "${cases[@]}"
    run "fwd_f32_$shape" torch "${cases[@]}" --impl sdpa
    run "fwd_f32_$shape" onednn --impl graph,prim --dtype f32 --causal 0,1 --shapes "$shape"
    run "fwd_f32_$shape" libtorch "${cases[@]}"
  done
  for shape in 1x8x512x64 1x8x1024x64 1x8x2048x64 1x8x4096x64 32x8x32x64 8x12x128x64 1x32x2048x128; do
    cases=(--what fwd --dtype bf16 --causal 0 --shapes "$shape")
    run "fwd_bf16_$shape" attend "${cases[@]}"
    run "fwd_bf16_$shape" torch "${cases[@]}" --impl eager
    run "fwd_bf16_$shape" onednn --impl prim --dtype bf16 --causal 0 --shapes "$shape"
  done
  for shape in 1x8x1024x64 1x8x4096x64 1x1x4096x64; do
    cases=(--what bwd --dtype f32 --causal 0,1 --shapes "$shape")
    run "bwd_f32_$shape" attend "${cases[@]}"
    run "bwd_f32_$shape" torch "${cases[@]}" --impl sdpa,eager
    run "bwd_f32_$shape" libtorch "${cases[@]}"
  done
  cases=(--what bwd --dtype bf16 --causal 0 --shapes 1x8x1024x64)
  run bwd_bf16 attend "${cases[@]}"
  run bwd_bf16 torch "${cases[@]}" --impl eager
  run window attend --what fwd --dtype f32 --causal 0,1 --window 256 --shapes 1x8x8192x64
  run window torch_window --window 256 --shape 1x8x8192x64
  run decode attend --what decode --dtype f32,bf16
  run decode torch --what decode --impl eager --dtype f32,bf16 --causal 0 --shapes 1x32x1x128x32768x8
  # The queries of a group as rows of one key/value head: the best that PyTorch's users do by hand.
  run decode torch --what decode --impl sdpa --dtype f32 --causal 0 --shapes 1x8x4x128x32768x8
  run trace attend --what trace
  run trace torch --what weights --dtype f32 --causal 0 --shapes 1x8x1024x64
  for dropout in 0.0 0.1; do
    run encoder encoder_torch --what train --dropout "$dropout"
    run encoder encoder_torch --what train --dropout "$dropout" --cfg 64x32 --dtype bf16
  done
  run encoder encoder_torch --what infer
  run encoder encoder_torch --what infer --dtype bf16
  run encoder libtorch --what encoder
  run encoder attend --what encoder --dtype f32,bf16
  run generate attend --what generate
  run generate torch_generate
  if [ -n "${TRANSLATE_RUN:-}" ]; then
    run translate attend_translate 4
    run translate torch_translate 4
  fi
done
# Minutes each, so once.
cases=(--what fwd --dtype f32 --causal 0,1 --shapes 1x8x16384x64)
run fwd_f32_1x8x16384x64 attend "${cases[@]}"
HB_MIN_REPS=3 run fwd_f32_1x8x16384x64 torch "${cases[@]}" --impl sdpa
run memory attend --what memory

python3 "$here/report.py" "$out"
echo "$(date +%T) done: $out/table.md, $out/plot.svg" >&2
