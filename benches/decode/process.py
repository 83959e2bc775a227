#!/usr/bin/env python3
"""User CPU time of `dcu telegram decode --json` for telegrams of 10 and of 10,000 known meters: `process.py DCU [LINES]`.

DCU is the release binary. The telegrams are those of `--bin known` (mode 5, eight records): as many lines in both runs, the
same octets but for identification and encryption. The whole process is measured: reading the keys and the lines, looking up,
decrypting, decoding, printing JSON to nowhere. Of five runs each, in turn, the least.
"""
import os, resource, subprocess, sys, tempfile

def main(dcu, lines="300000"):
    known = ["cargo", "run", "-q", "--release", "--manifest-path", os.path.join(os.path.dirname(__file__), "Cargo.toml"),
             "--bin", "known", "--"]
    with tempfile.TemporaryDirectory() as directory:
        least = {}
        for meters in ("10", "10000"):
            for name, arguments in (("keys", ["keys", meters]), ("lines", ["lines", meters, lines])):
                path = os.path.join(directory, name + meters)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                    subprocess.run(known + arguments, stdout=out, check=True)
        for _ in range(5):
            for meters in ("10", "10000"):
                before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
                with open(os.path.join(directory, "lines" + meters)) as telegrams:
                    keys = os.path.join(directory, "keys" + meters)
                    subprocess.run([dcu, "telegram", "decode", "--json", "--keys", keys], stdin=telegrams,
                                   stdout=subprocess.DEVNULL, check=True)
                used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
                least[meters] = min(used, least.get(meters, used))
        for meters, used in least.items():
            print(f"{lines} telegrams of {meters} known meters: {used:.2f} s of user CPU, {used / int(lines) * 1e6:.2f} us each")
        print(f"{(least['10000'] / least['10'] - 1) * 100:+.1f} %")

if __name__ == "__main__":
    main(*sys.argv[1:])
