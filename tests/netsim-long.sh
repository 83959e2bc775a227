#!/usr/bin/env bash
# The long tables of the network simulator: large networks, many seeds, 6 dB better and worse, and the storm of route
# requests. Simulated figures: ratios are claims, absolute times are outputs of the model.
#   tests/netsim-long.sh [table|storm|pair]    SIZES, SEEDS, OFFSETS, KILLED choose the rows (lists; pair: SIZE, SEEDS, KILLED)
set -euo pipefail
cd "$(dirname "$0")/.."
run() { cargo test -q --release -p plc --test netsim -- --ignored --nocapture "$1"; }
case "${1:-table}" in
    table) run the_long_table ;;
    storm) run a_naive_poller_near_capacity ;;
    pair) SIZE="${SIZE:-1000}" SEEDS="${SEEDS:-1}" run the_scheduler_and_one_by_one ;;
    *) echo "usage: $0 [table|storm|pair]" >&2; exit 2 ;;
esac
