#!/usr/bin/env bash
# The long tables of the network simulator: large networks, many seeds, 6 dB better and worse, and the storm of route
# requests. Simulated figures: ratios are claims, absolute times are outputs of the model. Each prints where the airtime
# went. SIZES, SEEDS, OFFSETS and KILLED choose the rows of the table, so that it can be run in parts.
#   tests/netsim-long.sh [table]      SIZES, SEEDS, OFFSETS, KILLED: lists
#   tests/netsim-long.sh formation    SIZE, SEED, HOURS
#   tests/netsim-long.sh pair         scheduler and one by one: SIZE, SEEDS (how many), KILLED, LARGE=1 (blocks of 1 kB)
#   tests/netsim-long.sh storm
set -euo pipefail
cd "$(dirname "$0")/.."
run() { cargo test -q --release -p plc --test netsim -- --ignored --nocapture "$1"; }
case "${1:-table}" in
    table) run the_long_table ;;
    formation) run formation_and_its_airtime ;;
    pair) SIZE="${SIZE:-1000}" SEEDS="${SEEDS:-1}" run the_scheduler_and_one_by_one ;;
    storm) run a_naive_poller_near_capacity ;;
    *) echo "usage: $0 [table|formation|pair|storm]" >&2; exit 2 ;;
esac
