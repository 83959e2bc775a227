"""GETs a second of the independent client: gets.py PORT AUTHENTICATION COUNT."""

import sys
import time

from client import Meter
from gurux_dlms.objects import GXDLMSRegister

port, authentication, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
meter = Meter(port, "wrapper", authentication)
# Above what the client before it used.
meter.client.ciphering.invocationCounter = 10_000_000
meter.open()
register = GXDLMSRegister("1.0.1.8.0.255")
begin = time.perf_counter()
for _ in range(count):
    meter.read(register, 2)
print("=", count / (time.perf_counter() - begin))
meter.close()
