#!/usr/bin/env bash
# Runs each fuzz target for so many seconds, one after the other, and prints for how long it really ran.
#
#     tests/fuzz-long.sh [SECONDS [TARGET...]]        needs nightly Rust and cargo-fuzz
#
# What is found on the way goes to a directory of its own (DCU_FUZZ_WORK), never into the committed corpora.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds="${1:-3600}"
shift || true
work="${DCU_FUZZ_WORK:-${TMPDIR:-/tmp}/dcu-fuzz}"
if [ $# -eq 0 ]; then mapfile -t targets < <(ls corpus); else targets=("$@"); fi

failed=0
for target in "${targets[@]}"; do
    mkdir -p "$work/$target"
    log="$work/$target.log"
    verdict="no crash"
    cargo +nightly fuzz build --fuzz-dir . "$target" >"$log" 2>&1
    cargo +nightly fuzz run --fuzz-dir . "$target" "$work/$target" "corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -max_len=600 -print_final_stats=1 >"$log" 2>&1 || { verdict="CRASH, see $log"; failed=1; }
    # What the fuzzer says of itself: `Done RUNS runs in SECONDS second(s)`.
    ran=$(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\2 s, \1 runs/p' "$log")
    printf '%-14s %s: %s\n' "$target" "${ran:-?}" "$verdict"
done
exit "$failed"
