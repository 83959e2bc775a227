#!/usr/bin/env python3
"""Whole-process figures of the service: `run.py DCU backlog|written|day [--readings N] [--minutes N]`.

DCU is the release binary. The service is an ordinary one, fed over TCP with hex lines of unprotected water meters
(volume and flow: two readings a telegram). What it wrote is `write_bytes` of /proc/PID/io, memory is VmHWM.

backlog  readings a second from receiver to durable, memory with 3,000 meters and 1,000,000 readings that no broker
         takes, and the time from start to the first durable commit with them
written  bytes written and sent for each reading: 1,000 readings a minute for 10 minutes, published to mosquitto
day      what a day of 2,000 meters costs with hourly snapshots: bursts a minute apart stand for hours
"""
import argparse, json, os, shutil, socket, struct, subprocess, sys, tempfile, time

METERS = 3000
# As systemd/dcu.service sets them.
ALLOCATION = {**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}

def telegram(meter, turn):
    """A frame without CRCs: volume in litres, flow in litres an hour."""
    body = bytes([0x44, 0x2D, 0x2C]) + struct.pack("<I", int(f"{10000000 + meter}", 16))
    body += bytes([0x1B, 0x07, 0x7A, turn & 0xFF, 0, 0, 0, 0x04, 0x13])
    body += struct.pack("<I", 1000 * meter + 7 * turn) + bytes([0x02, 0x3B]) + struct.pack("<H", (31 * meter + 17 * turn) % 500)
    return "T1;1;1;2026-01-01 00:00:00.000;97;148;00000000;0x" + bytes([len(body)]).hex() + body.hex() + "\n"

class Unit:
    """The service in a directory of its own, and the receiver it connects to."""

    def __init__(self, dcu, policy, port, store=""):
        self.dcu, self.dir = dcu, tempfile.mkdtemp(prefix="dcu-bench-")
        self.listener = socket.create_server(("127.0.0.1", 0))
        config = f"""
[unit]
utility = "bench"
id = "dcu-1"
state_dir = "state"
[[wmbus]]
name = "tcp"
kind = "hex"
tcp = "127.0.0.1:{self.listener.getsockname()[1]}"
[meters]
{policy}
[time]
source = "trusted"
[control]
socket = "control.sock"
[store]
{store}
[uplink]
broker = "mqtt://127.0.0.1:{port}"
plaintext = true
acknowledge = "broker"
"""
        with open(f"{self.dir}/dcu.toml", "w") as file:
            file.write(config)

    def start(self):
        self.process = subprocess.Popen([self.dcu, "run", "--config", f"{self.dir}/dcu.toml"], stderr=subprocess.DEVNULL, env=ALLOCATION)
        self.radio, _ = self.listener.accept()

    def ask(self, *words):
        out = subprocess.run([self.dcu, *words, "--json", "--socket", f"{self.dir}/control.sock"], capture_output=True, text=True)
        return json.loads(out.stdout)

    def proc(self, file, key):
        for line in open(f"/proc/{self.process.pid}/{file}"):
            if line.startswith(key + ":"):
                return int(line.split()[1])

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def until_stored(self, readings):
        while True:
            lanes = self.ask("buffer", "stat")["lanes"]
            if any(lane["lane"] == "mbus" and lane["last"] >= readings for lane in lanes):
                return
            time.sleep(0.05)

def last(stat, lane):
    return max((there["last"] for there in stat["lanes"] if there["lane"] == lane), default=0)

def backlog(dcu, readings):
    unit = Unit(dcu, 'policy = "all"', 1)
    unit.start()
    lines = [telegram(n % METERS, n // METERS).encode() for n in range(readings // 2)]
    begin = time.monotonic()
    for n in range(0, len(lines), 500):
        unit.radio.sendall(b"".join(lines[n : n + 500]))
    unit.until_stored(readings)
    took = time.monotonic() - begin
    stat = unit.ask("buffer", "stat")
    print(f"receiver to durable: {readings} readings in {took:.1f} s = {readings / took:.0f} readings/s")
    print(f"memory: {unit.proc('status', 'VmHWM') / 1024:.1f} MiB peak, {unit.proc('status', 'VmRSS') / 1024:.1f} MiB now, "
          f"{METERS} meters, backlog {stat['backlog']} readings in {stat['octets'] / 1e6:.2f} MB of batches")
    unit.stop()
    begin = time.monotonic()
    unit.start()
    while not os.path.exists(f"{unit.dir}/control.sock"):
        time.sleep(0.001)
    # What this start has to say is in lane p1; a follower might come after it.
    before = last(stat, "p1")
    while last(unit.ask("buffer", "stat"), "p1") <= before:
        time.sleep(0.001)
    print(f"start to the first durable commit with that backlog: {time.monotonic() - begin:.3f} s "
          f"(the time anchor of this start; {unit.proc('status', 'VmHWM') / 1024:.1f} MiB)")
    unit.stop()
    shutil.rmtree(unit.dir)

def mosquitto():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    config = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    config.close()
    broker = subprocess.Popen(["mosquitto", "-c", config.name], stderr=subprocess.DEVNULL)
    time.sleep(1)
    listens = subprocess.Popen(["mosquitto_sub", "-V", "mqttv5", "-p", str(port), "-t", "dcu/#"], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    return broker, listens, port

def written(dcu, minutes):
    broker, listens, port = mosquitto()
    unit = Unit(dcu, 'policy = "all"', port)
    unit.start()
    unit.ask("status")
    before = unit.proc("io", "write_bytes")
    total, begin = 0, time.monotonic()
    # 1,000 readings a minute: one telegram of two readings each 0.12 s.
    while total < 500 * minutes:
        unit.radio.sendall(telegram(total % 250, total // 250).encode())
        total += 1
        time.sleep(max(0, begin + total * 0.12 - time.monotonic()))
    unit.until_stored(2 * total)
    wrote = unit.proc("io", "write_bytes") - before
    time.sleep(65)
    lanes = unit.ask("buffer", "stat")["lanes"]
    octets = next(lane["octets"] for lane in lanes if lane["lane"] == "mbus")
    print(f"{2 * total} readings in {minutes} min: {wrote / 2 / total:.0f} bytes written to disk and {octets / 2 / total:.1f} bytes published for each")
    unit.stop()
    listens.terminate(), broker.terminate()
    shutil.rmtree(unit.dir)

def day(dcu, minutes):
    broker, listens, port = mosquitto()
    unit = Unit(dcu, 'policy = "snapshot"\ninterval = "1min"', port)
    unit.start()
    time.sleep(60 - time.time() % 60 + 20)
    before, octets_before = unit.proc("io", "write_bytes"), 0
    for turn in range(minutes):
        unit.radio.sendall("".join(telegram(meter, turn) for meter in range(2000)).encode())
        time.sleep(60)
    wrote = unit.proc("io", "write_bytes") - before
    time.sleep(65)
    lanes = unit.ask("buffer", "stat")["lanes"]
    octets = next(lane["octets"] for lane in lanes if lane["lane"] == "mbus")
    last = next(lane["last"] for lane in lanes if lane["lane"] == "mbus")
    print(f"{minutes} bursts of 2,000 meters, {last} readings: {wrote / minutes / 1e6:.3f} MB written and {octets / minutes / 1e6:.4f} MB published a burst; "
          f"a day of 24: {24 * wrote / minutes / 1e6:.1f} MB written, {24 * octets / minutes / 1e6:.2f} MB published, {octets / last:.1f} bytes a reading")
    unit.stop()
    listens.terminate(), broker.terminate()
    shutil.rmtree(unit.dir)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dcu")
    parser.add_argument("what", choices=["backlog", "written", "day"])
    parser.add_argument("--readings", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=int, default=0)
    said = parser.parse_args()
    dcu = os.path.abspath(said.dcu)
    if said.what == "backlog":
        backlog(dcu, said.readings)
    elif said.what == "written":
        written(dcu, said.minutes or 10)
    else:
        day(dcu, said.minutes or 5)

main()
