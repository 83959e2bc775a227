#!/usr/bin/env bash
# The long tables of the network simulator: large networks, many seeds, 6 dB better and worse, published
# feeders, and the storm of route requests. Simulated figures: ratios are claims, absolute times are outputs of the model.
#   tests/netsim-long.sh golden       compares all rows of plc/tests/netsim/golden.txt (a quarter of an hour)
#   tests/netsim-long.sh bless        writes them anew
#   tests/netsim-long.sh seeds        median and worst tenth of SEEDS (20) of each of SITES (numbers of meters, feeders),
#                                     OFFSETS (dB) and KILLED (share of the relays), HOURS (12) simulated; no seed of a
#                                     case is begun after MINUTES (60)
#   tests/netsim-long.sh sensitivity  the same of 100 and 400 meters and the published feeders, 6 dB worse and better
#   tests/netsim-long.sh formation    SIZE, SEED, HOURS, MANNER (patient or eager), SLOTS (2), HYBRID (share with a radio)
#   tests/netsim-long.sh pair         scheduler and one by one: SIZE, SEEDS (the last), FROM (the first), KILLED, LARGE=1
#                                     (blocks of 1 kB), COMPRESSED=1 (rows by nulls), OPEN=1 (associations that are open),
#                                     HYBRID=share (of the meters that have a radio),
#                                     SERVICE=1 (with what the service asks besides, no release), WINDOW (so much at once)
#                                     and WHO reads: scheduler, hosted, started (the modem anew, it knows no routes), new
#                                     (nor does the unit), watched, naive, alike, idle (nobody but one on demand every five
#                                     minutes)
#   tests/netsim-long.sh outages      after how long they are named: SIZE (400), SEEDS (4)
#   tests/netsim-long.sh days         three days with meters that lose their power: who is read the same day and in 72 h: SIZE
#                                     (1,000), SEEDS (2), BROKEN (of a thousand meters so many a day for ever, 0)
#   tests/netsim-long.sh storm        SEEDS (3): more at once until fewer are read for it
#   tests/netsim-long.sh decimated    a tenth of the relays is gone: SIZE (500), SEEDS (2)
#   tests/netsim-long.sh hour         what one hour of SIZE (2,000) meters costs of the processor
set -euo pipefail
cd "$(dirname "$0")/.."
run() { nice -n 5 cargo test -q --release -p plc --test netsim -- --include-ignored --nocapture --test-threads 1 "$1"; }
case "${1:-seeds}" in
    golden) run golden_rows ;;
    bless) BLESS=1 run golden_rows ;;
    seeds) run many_seeds ;;
    sensitivity)
        feeders="kerber_dorf kerber_vorstadt_1 kerber_vorstadt_2_x4 suburb_1 ieee_european_lv"
        SITES="${SITES:-100 400 $feeders}" OFFSETS="${OFFSETS:--6 0 6}" run many_seeds
        ;;
    formation) run formation_and_its_airtime ;;
    pair) SIZE="${SIZE:-1000}" SEEDS="${SEEDS:-1}" run the_scheduler_and_one_by_one ;;
    outages) run outages_are_named ;;
    decimated) run within_two_periods ;;
    days) run meters_are_read_day_after_day ;;
    storm) run a_naive_poller_near_capacity ;;
    hour)
        run each_golden_row >/dev/null 2>&1 || true
        for what in join read storm; do
            echo "$what:" >&2
            time WHAT=$what run an_hour
        done
        ;;
    *) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac
