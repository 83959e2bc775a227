#!/usr/bin/env bash
# Kills the service (SIGKILL) at random moments while readings come in, and starts it again.
# Every record whose commit it had reported must arrive at the head-end, in order within its lane, once after the
# head-end's de-duplication; what was in an open commit window is counted. Ends with an error otherwise.
#
# usage: tests/kill.sh [KILLS [READINGS]]      default: 5 kills in 1,000 readings; the full run is 50 and 10000
#        DCU=target/release/dcu                the program; default: built with `cargo build --release`
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-5} readings=${2:-1000}
if [ -z "${DCU:-}" ]; then
    cargo build --release --quiet
    DCU=${CARGO_TARGET_DIR:-target}/release/dcu
fi
exec "$DCU" simulate --kills "$kills" --readings "$readings" --json
