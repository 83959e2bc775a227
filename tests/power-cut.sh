#!/usr/bin/env bash
# Power cuts: the service keeps its state on a file system of its own (ext4 on a loop device with direct I/O, so that
# the image holds what the device holds and not what the page cache still hides). The service is stopped at random
# moments, the image is copied, and the copy is mounted and looked at: every record whose commit the service had
# reported before must be in it, and the buffer must be sound, both as it lies there and after the service opened it.
#
# usage: tests/power-cut.sh [IMAGES]           default: 3; the full run is 50
#        DCU=target/release/dcu                the program; default: built with `cargo build --release`
# Needs root, loop devices and mkfs.ext4; says so and ends well where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
images=${1:-3}
skip() { echo "skipped: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skip "power cuts need root"
for tool in losetup mkfs.ext4 python3 pgrep; do command -v $tool >/dev/null || skip "$tool is not here"; done
losetup --find >/dev/null 2>&1 || skip "there is no loop device"
if [ -z "${DCU:-}" ]; then
    cargo build --release --quiet
    DCU=${CARGO_TARGET_DIR:-target}/release/dcu
fi

work=$(mktemp -d /var/tmp/dcu-power-cut-XXXXXX)
simulation=
cleanup() {
    [ -z "$simulation" ] || { kill "$simulation" 2>/dev/null; wait "$simulation" 2>/dev/null; } || true
    umount "$work/copy" "$work/disk" 2>/dev/null || true
    [ -z "${device:-}" ] || losetup --detach "$device" || true
    rm -rf "$work"
}
trap cleanup EXIT

truncate --size 96M "$work/disk.img"
mkfs.ext4 -q "$work/disk.img"
device=$(losetup --direct-io=on --find --show "$work/disk.img") || skip "no loop device with direct I/O"
mkdir "$work/disk" "$work/copy"
# No commit of the journal on its own account while the image is copied.
mount -o commit=300 "$device" "$work/disk" || skip "mounting is not allowed"

"$DCU" simulate --dir "$work/run" --state-dir "$work/disk/state" --commits "$work/commits.jsonl" \
    --rate 100 --for 2h --commit-window 200ms 2>"$work/simulation.log" >/dev/null &
simulation=$!
for _ in $(seq 300); do
    [ -s "$work/commits.jsonl" ] && break
    kill -0 "$simulation" 2>/dev/null || { cat "$work/simulation.log"; exit 1; }
    sleep 0.1
done
service=$(pgrep --parent "$simulation")

cat >"$work/dead.toml" <<END
[unit]
utility = "simulation"
id = "dcu-1"
state_dir = "$work/copy/state"
[time]
source = "trusted"
[control]
socket = "$work/dead.sock"
group = ""
END

for image in $(seq "$images"); do
    sleep "0.$((RANDOM % 900 + 100))"
    kill -STOP "$service"
    until grep -q '^State:.T' "/proc/$service/status"; do :; done
    # What was reported is on its way to the file; nothing more is reported now.
    sleep 0.2
    cp "$work/commits.jsonl" "$work/reported.jsonl"
    cp --sparse=always "$work/disk.img" "$work/copy.img"
    kill -CONT "$service"

    mount -o loop "$work/copy.img" "$work/copy"
    "$DCU" buffer stat --offline "$work/copy/state" --json >"$work/stat.json"
    "$DCU" buffer verify --offline "$work/copy/state" --json >"$work/verify.json" || true
    "$DCU" run --config "$work/dead.toml" 2>"$work/dead.log" &
    dead=$!
    for _ in $(seq 200); do
        "$DCU" buffer stat --socket "$work/dead.sock" --json >"$work/opened.json" 2>/dev/null && break
        sleep 0.05
    done
    "$DCU" buffer verify --socket "$work/dead.sock" --json >"$work/reverify.json" || true
    kill "$dead" && wait "$dead" || true
    umount "$work/copy"
    python3 - "$image" "$work" <<'END' || { cp -r "$work" "/var/tmp/dcu-power-cut-failed"; exit 1; }
import json, sys
image, work = sys.argv[1:]
load = lambda name: json.load(open(f"{work}/{name}.json"))
reported, records = {}, 0
for line in open(f"{work}/reported.jsonl"):
    if not line.endswith("\n"):
        continue
    commit = json.loads(line)
    for span in commit["ranges"]:
        key = commit["epoch"], span["lane"]
        reported[key] = max(reported.get(key, 0), span["last"])
        records += span["last"] - span["first"] + 1
faults = []
for name, check in [("stat", "verify"), ("opened", "reverify")]:
    stat, verify = load(name), load(check)
    last = {(stat["epoch"], lane["lane"]): lane["last"] for lane in stat["lanes"]}
    for key, promised in reported.items():
        if last.get(key, 0) < promised:
            faults.append(f"{name}: epoch {key[0]} lane {key[1]}: {promised} was reported, {last.get(key, 0)} is there")
    if verify["missing"] or verify["faults"]:
        faults.append(f"{check}: missing {verify['missing']}, faults {verify['faults']}")
print(f"image {image}: {records} records reported, {'all there' if not faults else 'NOT all there'}", flush=True)
for fault in faults:
    print("   ", fault)
sys.exit(bool(faults))
END
done
echo "$images images, no committed record lost"
