#!/usr/bin/env python3
"""The README's consumer: reads one published batch from standard input and prints a line per reading.

    mosquitto_sub ... -t 'dcu/v1/+/+/batch/#' -C 1 -N > batch.bin
    python3 -m grpc_tools.protoc -Iproto --python_out=gen proto/dcu/v1/*.proto
    PYTHONPATH=gen python3 tests/consumer/consume.py < batch.bin

Needs protobuf and zstandard. The rules are those of proto/dcu/v1/records.proto, and nothing else is used.
"""

import hashlib
import json
import sys

import zstandard
from dcu.v1 import batch_pb2, lane_pb2, records_pb2 as r


def meters(records):
    m = records.meters
    for i, model in enumerate(m.model):
        shared = m.models[model]
        letters = "".join(chr(64 + (shared.manufacturer >> s & 31)) for s in (10, 5, 0))
        yield f"{letters}-{m.identification[i]:08x}-{shared.version:02x}-{shared.device_type:02x}"
    for title in m.system_titles:
        yield title.hex()


def wrap(number):
    """Sums wrap around at 64 bits, signed."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def decimal(number, scaler):
    """The integer times ten to the power of the scaler, exactly."""
    if scaler >= 0:
        return str(number * 10**scaler)
    digits = str(abs(number)).rjust(1 - scaler, "0")
    return ("-" if number < 0 else "") + digits[:scaler] + "." + digits[scaler:]


def readings(records):
    """Row by row, register by register, as records.proto describes it."""
    names = list(meters(records))
    numbers = [iter(register.numbers) for register in records.registers]
    texts = [iter(register.texts) for register in records.registers]
    octets = [iter(register.octets) for register in records.registers]
    by_register, by_unit, by_column = {}, {}, {}
    meter = boot_ms = offset = 0
    rows = records.rows
    for n in range(len(rows.meter)):
        meter += rows.meter[n]
        boot_ms = wrap(boot_ms + rows.boot_ms[n])
        offset = wrap(offset + rows.utc_offset_ms[n])
        for index in records.layouts[rows.layout[n]].register:
            register = records.registers[index]
            kind = register.kind
            value = None
            if kind == r.VALUE_KIND_TEXT:
                value = next(texts[index])
            elif kind == r.VALUE_KIND_OCTETS:
                value = next(octets[index]).hex()
            elif kind != r.VALUE_KIND_NONE:
                unit = (meter, register.unit, register.scaler)
                if kind == r.VALUE_KIND_DECIMAL:
                    prediction = by_register.get((meter, index), by_unit.get(unit, 0))
                elif kind in (r.VALUE_KIND_FLOAT32, r.VALUE_KIND_FLOAT64):
                    prediction = by_register.get((meter, index), 0)
                else:
                    prediction = by_column.get(index, 0)
                number = wrap(next(numbers[index]) + prediction)
                by_register[meter, index] = by_column[index] = number
                if kind == r.VALUE_KIND_DECIMAL:
                    by_unit[unit] = number
                value = decimal(number, register.scaler) if kind == r.VALUE_KIND_DECIMAL else number
            yield {
                "meter": names[meter],
                "quantity": register.quantity,
                "obis": register.obis.hex() or None,
                "value": value,
                "unit": register.unit,
                "utc_ms": wrap(boot_ms + offset),
            }
    for column in numbers + texts + octets:
        assert next(column, None) is None, "a column goes on after the last row"


def main():
    payload = sys.stdin.buffer.read()
    octets = zstandard.ZstdDecompressor().decompress(payload, max_output_size=512 << 10)
    batch = batch_pb2.Batch.FromString(octets)
    name = {"dcu": batch.dcu, "epoch": f"{batch.epoch:016x}", "lane": lane_pb2.Lane.Name(batch.lane)}
    found = readings(batch.records)
    sequence = batch.first
    for span in batch.records.spans:
        for _ in range(span.count):
            if span.kind == r.Records.KIND_READING:
                print(json.dumps({**name, "sequence": sequence, **next(found)}))
            sequence += 1
    assert next(found, None) is None, "more readings than the spans say"
    assert sequence == batch.first + batch.count, "another number of records than the batch says"
    print(hashlib.sha256(payload).hexdigest(), file=sys.stderr)


if __name__ == "__main__":
    main()
