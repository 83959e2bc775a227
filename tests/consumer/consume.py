#!/usr/bin/env python3
"""Reads published batches (files, or one on standard input) and prints one JSON line per record.

Written from proto/dcu/v1/*.proto alone, as a consumer would. Needs protobuf, zstandard, and protoc: the program, or the
package grpcio-tools. It acknowledges nothing: `dcu head-end watch` shows how.
"""

import datetime
import hashlib
import importlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import zstandard

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def generate(directory):
    """Makes the modules that a real consumer would make once."""
    protoc = [shutil.which("protoc")] if shutil.which("protoc") else [sys.executable, "-m", "grpc_tools.protoc"]
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("dcu/v1/*.proto"))
    subprocess.run([*protoc, f"-I{PROTO}", f"--python_out={directory}", *files], check=True)
    sys.path.insert(0, directory)
    return [importlib.import_module(f"dcu.v1.{name}_pb2") for name in ("batch", "records")]


def signed(number, bits=64):
    """Sums and differences wrap around at 64 bits."""
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def civil(kind, number):
    """A date or a time of the meter, in the meter's own zone."""
    try:
        return civil_text(kind, number)
    except OverflowError:  # a year above 9999 is none of Python's
        return f"{number} since 1970"


def civil_text(kind, number):
    if kind == records_pb2.VALUE_KIND_DATE:
        return str(datetime.date(1970, 1, 1) + datetime.timedelta(days=number))
    if kind in (records_pb2.VALUE_KIND_DATE_TIME, records_pb2.VALUE_KIND_DATE_TIME_MINUTES):
        time = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=number)
        minutes = kind == records_pb2.VALUE_KIND_DATE_TIME_MINUTES
        return time.isoformat(timespec="minutes" if minutes else "seconds")
    if kind == records_pb2.VALUE_KIND_DATE_FIELDS:
        return f"{number >> 16:04}-{number >> 8 & 255:02}-{number & 255:02}"
    seconds = number & 511
    text = civil(records_pb2.VALUE_KIND_DATE_FIELDS, number >> 25)
    text += f"T{number >> 17 & 255:02}:{number >> 9 & 255:02}"
    return text + (f":{seconds - 1:02}" if seconds else "")


def meters(message):
    """The meters of the message, as text."""
    for model, identification in zip(message.model, message.identification):
        kind = message.models[model]
        letters = "".join(chr(64 + (kind.manufacturer >> shift & 31)) for shift in (10, 5, 0))
        yield f"{letters}-{identification:08x}-{kind.version:02x}-{kind.device_type:02x}"
    for title in message.system_titles:
        yield title.hex()


def readings(records):
    """The readings of all rows, as records.proto says."""
    kinds = records_pb2
    rows, registers = records.rows, records.registers
    known = list(meters(records.meters))
    columns = {
        name: iter(getattr(rows, name))
        for name in ("meter_time", "meter_utc_offset", "access_octets", "access_counters", "rssi_dbm", "lqi",
                     "interval_end", "evidence")
    }
    values = [{name: iter(getattr(register, name)) for name in ("numbers", "texts", "octets")} for register in registers]
    same, alike, column = {}, {}, {}
    octets, counters = {}, {}
    meter = boot_ms = offset = meter_time = meter_utc_offset = interval_end = 0

    def value(meter, index):
        register = registers[index]
        kind = register.kind
        if kind == kinds.VALUE_KIND_NONE:
            return None
        if kind == kinds.VALUE_KIND_TEXT:
            return next(values[index]["texts"])
        if kind == kinds.VALUE_KIND_OCTETS:
            return next(values[index]["octets"]).hex()
        place, like = (meter, index), (meter, register.unit, register.scaler)
        difference = next(values[index]["numbers"])
        if kind == kinds.VALUE_KIND_DECIMAL:
            number = signed(same.get(place, alike.get(like, 0)) + difference)
            same[place] = alike[like] = number
            return f"{number}e{register.scaler}"
        if kind in (kinds.VALUE_KIND_FLOAT32, kinds.VALUE_KIND_FLOAT64):
            number = same[place] = signed(same.get(place, 0) + difference)
            bits = 32 if kind == kinds.VALUE_KIND_FLOAT32 else 64
            return f"0x{number & (1 << bits) - 1:0{bits // 4}x}e{register.scaler}"
        number = column[index] = signed(column.get(index, 0) + difference)
        return civil(kind, number)

    for n, step in enumerate(rows.meter):
        meter += step
        shape, layout = records.shapes[rows.shape[n]], records.layouts[rows.layout[n]]
        boot_ms = signed(boot_ms + rows.boot_ms[n])
        offset = signed(offset + rows.utc_offset_ms[n])
        source = {
            "meter": known[meter],
            "boot_ms": boot_ms & (1 << 64) - 1,
            "utc_ms": signed(boot_ms + offset),
            "status": shape.status.hex(),
            "links": [
                [
                    records.receivers[link.receiver],
                    next(columns["rssi_dbm"]) - 75 if link.has_rssi else None,
                    next(columns["lqi"]) if link.has_lqi else None,
                ]
                for link in shape.links
            ],
        }
        if shape.behind:
            source["behind"] = known[shape.behind - 1]
        if shape.access_number == kinds.ACCESS_NUMBER_OCTET:
            octets[meter] = (octets.get(meter, 0) + next(columns["access_octets"])) & 255
            source["access_number"] = octets[meter]
        if shape.access_number == kinds.ACCESS_NUMBER_COUNTER:
            counters[meter] = signed(counters.get(meter, 0) + next(columns["access_counters"]))
            source["access_number"] = counters[meter]
        if shape.HasField("meter_clock"):
            meter_time = signed(meter_time + next(columns["meter_time"]))
            source["meter_time"] = civil(shape.meter_clock.kind, meter_time)
            if shape.meter_clock.has_utc:
                meter_utc_offset = signed(meter_utc_offset + next(columns["meter_utc_offset"]))
                source["meter_utc"] = signed(meter_time + meter_utc_offset)
        if shape.has_evidence:
            source["evidence"] = next(columns["evidence"]).hex()
        for i, index in enumerate(layout.register):
            register = registers[index]
            reading = {**source, "quantity": register.quantity, "unit": register.unit, "value": value(meter, index)}
            if register.obis:
                a, b, c, d, e, f = register.obis
                reading["obis"] = f"{a}-{b}:{c}.{d}.{e}*{f}"
            if register.reading_type:
                reading["reading_type"] = register.reading_type
            reading["quality"] = layout.quality[i] if layout.quality else 0
            if layout.interval and layout.interval[i]:
                interval_end = signed(interval_end + next(columns["interval_end"]))
                reading["interval"] = [interval_end, layout.interval[i] - 1]
            yield reading


def print_batch(payload):
    digest = hashlib.sha256(payload).hexdigest()
    batch = batch_pb2.Batch.FromString(zstandard.ZstdDecompressor().decompress(payload))
    records, sequence = batch.records, batch.first
    rows, events, raw = readings(records), iter(records.events), iter(records.raw_telegrams)
    for span in records.spans:
        for _ in range(span.count):
            record = {"dcu": batch.dcu, "epoch": f"{batch.epoch:016x}", "lane": batch.lane, "sequence": sequence}
            if span.kind == records_pb2.Records.KIND_READING:
                record |= next(rows)
            elif span.kind == records_pb2.Records.KIND_EVENT:
                record["event"] = next(events).WhichOneof("kind")
            else:
                record["raw"] = next(raw).octets.hex()
            print(json.dumps(record, ensure_ascii=False))
            sequence += 1
    assert sequence == batch.first + batch.count, "a batch has as many records as it says"
    print(f"batch {digest}: {batch.count} records", file=sys.stderr)


with tempfile.TemporaryDirectory() as generated:
    batch_pb2, records_pb2 = generate(generated)
    for payload in [pathlib.Path(name).read_bytes() for name in sys.argv[1:]] or [sys.stdin.buffer.read()]:
        print_batch(payload)
