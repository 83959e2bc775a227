#!/usr/bin/env python3
"""Writes feeders for the network simulator from pandapower's public low-voltage networks (pandapower 3.5.6, BSD).

    pip install pandapower==3.5.6
    plc/tests/netsim/feeders.py                      the committed ones, into plc/tests/netsim/feeders
    plc/tests/netsim/feeders.py NAME [METERS]        one, to standard output; METERS at each load instead of one

NAME: kerber_dorfnetz, kerber_vorstadtnetz_kabel_1 and so on (create_NAME), ieee_european_lv, cigre_lv,
panda_four_load_branch, or a class of create_synthetic_voltage_control_lv_network: rural_1, village_1, suburb_1.

A feeder is the bus of the transformer's low-voltage side, lines [bus, bus, metres] and meters [bus, phase]. Lengths,
buses and loads are the publication's. So are the phases of the IEEE's network; the others have balanced loads, of which
three in ten are metered in three phases and the others in one that is drawn (seed 1).
"""

import json
import pathlib
import random
import sys

import pandapower
from pandapower import networks

SYNTHETIC = ("rural_1", "rural_2", "village_1", "village_2", "suburb_1")
COMMITTED = {
    "kerber_dorfnetz": 1,
    "kerber_vorstadtnetz_kabel_1": 1,
    "kerber_vorstadtnetz_kabel_2": 4,
    "suburb_1": 1,
    "ieee_european_lv": 1,
}


def make(name):
    """The network, and the call that makes it."""
    if name in SYNTHETIC:
        call, argument = "create_synthetic_voltage_control_lv_network", [name]
    elif name == "ieee_european_lv":
        call, argument = "ieee_european_lv_asymmetric", ["on_peak_566"]
    else:
        call = {"cigre_lv": "create_cigre_network_lv", "panda_four_load_branch": name}.get(name, "create_" + name)
        argument = []
    return getattr(networks, call)(*argument), f"{call}({', '.join(map(repr, argument))})"


def phase_of(load):
    used = [p for p in "abc" if load[f"p_{p}_mw"] != 0 or load[f"q_{p}_mvar"] != 0]
    return used[0].upper() if len(used) == 1 else "ABC"


def feeder(name, count=1):
    net, call = make(name)
    if len(net.trafo) != 1:
        # The others' meters are not behind the first one's bar.
        print(f"{name}: {len(net.trafo)} transformers, the first one's network", file=sys.stderr)
    root = int(net.trafo.lv_bus.iloc[0])
    is_open = net.switch[(net.switch.et == "l") & ~net.switch.closed]
    lines = net.line[net.line.in_service & ~net.line.index.isin(is_open.element)]
    lines = [[int(a), int(b), round(1000 * km, 1)] for a, b, km in zip(lines.from_bus, lines.to_bus, lines.length_km)]
    ways = {}
    for a, b, _ in lines:
        ways.setdefault(a, []).append(b)
        ways.setdefault(b, []).append(a)
    behind, todo = {root}, [root]
    while todo:
        new = set(ways.get(todo.pop(), [])) - behind
        behind |= new
        todo += new
    draw = random.Random(1)
    meters = [[int(load.bus), phase_of(load)] for _, load in net.asymmetric_load.iterrows()]
    for bus in net.load.bus:
        meters += [[int(bus), "ABC" if draw.random() < 0.3 else draw.choice("ABC")] for _ in range(count)]
    return {
        "name": name if count == 1 else f"{name}_x{count}",
        "source": f"pandapower {pandapower.__version__}, {call}, {count} to a load",
        "transformer": root,
        "lines": [line for line in lines if line[0] in behind],
        "meters": [meter for meter in meters if meter[0] in behind],
    }


def text(value):
    """JSON, and a line of its own for each row of a list."""
    rows = lambda rows: "[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]"
    fields = (f"{json.dumps(k)}: {rows(v) if isinstance(v, list) else json.dumps(v)}" for k, v in value.items())
    return "{" + ",\n".join(fields) + "}\n"


if len(sys.argv) > 1:
    print(text(feeder(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)), end="")
else:
    for name, count in COMMITTED.items():
        value = feeder(name, count)
        path = pathlib.Path(__file__).parent / "feeders" / f"{value['name']}.json"
        path.write_text(text(value))
        print(f"{path.name}: {len(value['lines'])} lines, {len(value['meters'])} meters")
