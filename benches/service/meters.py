#!/usr/bin/env python3
"""What configured electricity meters cost the service in memory, though none of them can be reached.

    benches/service/meters.py target/release/dcu [METERS]

Starts it with none and with METERS (2000) ciphered ones in four tasks each, and prints what `/proc/PID/status` says of
both after 20 s, and the difference.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

HEAD = """[unit]
id = "dcu-1"
state_dir = "state"
[time]
source = "trusted"
[control]
socket = "control.sock"
group = ""
[electricity]
system_title = "4443550000000001"
keys = "keys.toml"
client = 1
server = 1
auth = "gmac"
security = "authenticated-encrypted"
clock = "CET-1CEST,M3.5.0,M10.5.0/3"
[[electricity.channel]]
name = "modems"
link = "wrapper"
at_once = 32
timeout = "5s"
"""
TASKS = [
    'id = "load-profile"\nwhat = "profile"\nobject = "1-0:99.1.0*255"\nperiod = "15min"\nhistory = "1d"',
    'id = "daily"\nwhat = "profile"\nobject = "1-0:99.2.0*255"\nperiod = "1d"\npriority = "billing"',
    'id = "events"\nwhat = "events"\nobject = "0-0:99.98.0*255"\nperiod = "1h"',
    'id = "clock"\nwhat = "clock"\nperiod = "1d"',
]


def measure(program, meters):
    """Resident memory now and at most, KiB."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        titles = [(b"DCU\x01" + number.to_bytes(4, "big")).hex() for number in range(meters)]
        text = HEAD + "".join(f"[[electricity.task]]\n{task}\n" for task in TASKS)
        # The port of `discard`: nobody listens.
        meter = '[[electricity.meter]]\nid = "{}"\nchannel = "modems"\ntcp = "127.0.0.1:9"\n'
        text += "".join(meter.format(title) for title in titles)
        key = '[{}]\nencryption_key = "{}"\nauthentication_key = "{}"\n'
        keys = "".join(key.format(title, os.urandom(16).hex(), os.urandom(16).hex()) for title in titles)
        for name, content in [("dcu.toml", text), ("keys.toml", keys)]:
            path = os.path.join(directory, name)
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                file.write(content)
        # As systemd/dcu.service sets them.
        environment = dict(os.environ, MALLOC_ARENA_MAX="1", MALLOC_MMAP_THRESHOLD_="131072")
        command = [program, "run", "--config", os.path.join(directory, "dcu.toml")]
        service = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(20)
            with open(f"/proc/{service.pid}/status", encoding="utf-8") as status:
                status = status.read()
        finally:
            service.terminate()
            service.wait()
        return [int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "VmHWM")]


def main():
    program, meters = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    none, some = measure(program, 0), measure(program, meters)
    for label, row in [("none", none), (f"{meters} meters", some)]:
        print(f"{label}: {row[0] / 1024:.1f} MiB resident, {row[1] / 1024:.1f} MiB at most")
    print(f"difference: {(some[0] - none[0]) / 1024:.1f} MiB, {(some[1] - none[1]) / 1024:.1f} MiB at most")


if __name__ == "__main__":
    main()
