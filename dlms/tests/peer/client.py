"""An independent client (PyPI: gurux-dlms) reads an emulated meter: client.py PORT LINK AUTHENTICATION, one line per fact."""

import socket
import sys

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, ObjectType, Security
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureClient


class Meter:
    def __init__(self, port, link, authentication):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        interface = InterfaceType.HDLC if link == "hdlc" else InterfaceType.WRAPPER
        server = GXDLMSSecureClient.getServerAddress(1, 17) if link == "hdlc" else 1
        modes = {
            "none": Authentication.NONE,
            "lls": Authentication.LOW,
            "md5": Authentication.HIGH_MD5,
            "sha1": Authentication.HIGH_SHA1,
            "sha256": Authentication.HIGH_SHA256,
            "gmac": Authentication.HIGH_GMAC,
            "gmac-plain": Authentication.HIGH_GMAC,
        }
        password = b"12345678" if authentication in ("lls", "md5", "sha1", "sha256") else None
        self.client = GXDLMSSecureClient(True, 1, server, modes[authentication], password, interface)
        ciphering = self.client.ciphering
        ciphering.systemTitle = b"GRX\0\0\0\0\x07"
        ciphering.blockCipherKey = bytes([1] * 16)
        ciphering.authenticationKey = bytes([4] * 16)
        ciphering.invocationCounter = 1
        if authentication == "gmac":
            ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        self.client.maxReceivePDUSize = 1024

    def exchange(self, data, reply):
        """Sends one frame, waits for one."""
        if not data and not reply.isStreaming():
            return
        if data:
            self.socket.sendall(bytes(data))
        buffer = GXByteBuffer()
        notify = GXReplyData()
        while True:
            octets = self.socket.recv(65536)
            if not octets:
                raise EOFError("the meter closed the connection")
            buffer.set(octets)
            if self.client.getData(buffer, reply, notify):
                break
        if reply.error:
            raise RuntimeError(f"error {reply.error}")

    def ask(self, requests, reply):
        """Sends requests, and asks for more as long as there is."""
        for request in requests if isinstance(requests, list) else [requests]:
            reply.clear()
            self.exchange(request, reply)
            while reply.isMoreData():
                more = None if reply.isStreaming() else self.client.receiverReady(reply)
                self.exchange(more, reply)

    def open(self):
        reply = GXReplyData()
        request = self.client.snrmRequest()
        if request:
            self.ask(request, reply)
            self.client.parseUAResponse(reply.data)
        reply.clear()
        self.ask(self.client.aarqRequest(), reply)
        self.client.parseAareResponse(reply.data)
        if self.client.authentication > Authentication.LOW:
            reply.clear()
            self.ask(self.client.getApplicationAssociationRequest(), reply)
            self.client.parseApplicationAssociationResponse(reply.data)

    def read(self, item, attribute):
        reply = GXReplyData()
        self.ask(self.client.read(item, attribute), reply)
        return self.client.updateValue(item, attribute, reply.value)

    def rows(self, requests, profile):
        reply = GXReplyData()
        self.ask(requests, reply)
        return self.client.updateValue(profile, 2, reply.value)

    def close(self):
        reply = GXReplyData()
        self.ask(self.client.releaseRequest(), reply)
        reply.clear()
        self.ask(self.client.disconnectRequest(), reply)
        self.socket.close()


def fact(*words):
    """What the test compares: the package prints lines of its own."""
    print("=", *words)


def main():
    port, link, authentication = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    meter = Meter(port, link, authentication)
    meter.open()
    fact("associated")
    name = GXDLMSData("0.0.42.0.0.255")
    fact("name", bytes(meter.read(name, 2)).decode())
    clock = GXDLMSClock("0.0.1.0.0.255")
    fact("clock", meter.read(clock, 2))
    register = GXDLMSRegister("1.0.1.8.0.255")
    meter.read(register, 3)
    fact("energy", int(meter.read(register, 2)), register.scaler, int(register.unit))
    text = GXDLMSData("0.0.96.13.0.255")
    text.setDataType(2, 9)
    text.value = bytes(range(256)) * 8
    reply = GXReplyData()
    meter.ask(meter.client.write(text, 2), reply)
    fact("text", bytes(meter.read(text, 2)) == bytes(range(256)) * 8)
    relay = GXDLMSDisconnectControl("0.0.96.3.10.255")
    reply.clear()
    meter.ask(relay.remoteDisconnect(meter.client), reply)
    fact("relay", meter.read(relay, 2), int(meter.read(relay, 3)))
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    meter.read(profile, 3)
    fact("columns", len(profile.captureObjects))
    fact("in use", meter.read(profile, 7))
    entries = meter.rows(meter.client.readRowsByEntry(profile, 1, 200), profile)
    fact("entries", len(entries), entries[0][2], entries[199][2])
    meter.read(clock, 2)
    end = clock.time.value
    import datetime

    begin = end - datetime.timedelta(hours=6)
    ranged = meter.rows(meter.client.readRowsByRange(profile, begin, end), profile)
    fact("range", len(ranged), ranged[-1][2])
    reply.clear()
    meter.ask(meter.client.getObjectsRequest(), reply)
    fact("objects", len(meter.client.parseObjects(reply.data, True)))
    meter.close()
    fact("closed")


if __name__ == "__main__":
    main()
