"""An independent meter (PyPI: gurux-dlms): server.py LINK AUTHENTICATION prints its port and serves one connection.

Version 1.0.203 calls much that it does not have; what is added here is what it needs to answer at all. Its GMAC and its
SHA-256 end in an exception of its own, and so do blocks of SET.
"""

import datetime
import socket
import struct
import sys
import traceback

from gurux_dlms import GXDateTime, GXServerReply, ValueEventArgs
from gurux_dlms.GXDLMSLNParameters import GXDLMSLNParameters
from gurux_dlms.GXDLMSSettings import GXDLMSSettings
from gurux_dlms.GXDLMSLongTransaction import GXDLMSLongTransaction
from gurux_dlms.enums import AccessMode, Authentication, ErrorCode, InterfaceType, MethodAccessMode
from gurux_dlms.enums import SourceDiagnostic, Unit
from gurux_dlms.ConnectionState import ConnectionState
from gurux_dlms.GXSecure import GXSecure
from gurux_dlms.objects.enums import AssociationStatus
from gurux_dlms.objects import (
    GXDLMSAssociationLogicalName,
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
    GXDLMSSecuritySetup,
)
from gurux_dlms.secure import GXDLMSSecureServer

ValueEventArgs.__iter__ = lambda self: iter([self])
GXDLMSLNParameters.isMultipleBlocks = lambda self: self.multipleBlocks
GXDLMSAssociationLogicalName.getAssociationStatus = lambda self: self.associationStatus
GXDLMSSettings.setConnected = lambda self, state: setattr(self, "connected", state)
GXDLMSLongTransaction.setData = lambda self, data: setattr(self, "data", data)

ROWS = 500
BEGIN = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)


def stamp(row):
    time = BEGIN + datetime.timedelta(minutes=15 * row)
    return struct.pack(">HBBBBBBBhB", time.year, time.month, time.day, 255, time.hour, time.minute, time.second, 0, 0, 0)


def rows(selector, parameters):
    """The rows that are wanted, encoded."""
    wanted = range(ROWS)
    if selector == 1:
        # The days of the week do not count.
        first, last = (bytes(parameters[place]) for place in (1, 2))
        key = lambda octets: (octets[:4], octets[5:8])
        wanted = [row for row in wanted if key(first) <= key(stamp(row)) <= key(last)]
    elif selector == 2:
        wanted = wanted[parameters[0] - 1 : parameters[1]]
    length = bytes([len(wanted)]) if len(wanted) < 128 else b"\x82" + struct.pack(">H", len(wanted))
    cells = (b"\x02\x02\x09\x0c" + stamp(row) + b"\x06" + struct.pack(">I", 1000 + row) for row in wanted)
    return b"\x01" + length + b"".join(cells)


class Association(GXDLMSAssociationLogicalName):
    def invoke(self, settings, e):
        """Proofs by the package's own functions: its method takes octets for a number and breaks off."""
        if e.index != 1:
            return super().invoke(settings, e)
        proof = GXSecure.secure(settings, settings.cipher, 0, settings.stoCChallenge, self.secret)
        if bytes(proof) != bytes(e.parameters):
            e.error = ErrorCode.READ_WRITE_DENIED
            return None
        self.associationStatus = AssociationStatus.ASSOCIATED
        e.byteArray = True
        answer = bytes(GXSecure.secure(settings, settings.cipher, 0, settings.ctoSChallenge, self.secret))
        return b"\x09" + bytes([len(answer)]) + answer


class Meter(GXDLMSSecureServer):
    def __init__(self, interface, authentication):
        association = Association()
        association.authenticationMechanismName.mechanismId = authentication
        association.secret = b"12345678"
        super().__init__(True, interface)
        self.mode = authentication
        self.settings.maxServerPDUSize = 400
        self.settings.gbtWndowSize = 1
        clock = GXDLMSClock("0.0.1.0.0.255")
        clock.time = GXDateTime(BEGIN)
        register = GXDLMSRegister("1.0.1.8.0.255")
        register.value, register.scaler, register.unit = 123456, 1, Unit.ACTIVE_ENERGY
        register.setDataType(2, 6)
        text = GXDLMSData("0.0.96.13.0.255")
        text.value = b""
        text.setDataType(2, 9)
        relay = GXDLMSDisconnectControl("0.0.96.3.10.255")
        relay.outputState = True
        profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        profile.capturePeriod = 900
        profile.captureObjects.append((clock, GXDLMSCaptureObject(2, 0)))
        profile.captureObjects.append((register, GXDLMSCaptureObject(2, 0)))
        profile.sortObject = clock
        profile.entriesInUse = profile.profileEntries = ROWS
        setup = GXDLMSSecuritySetup("0.0.43.0.0.255")
        for item in (association, clock, register, text, relay, profile, setup):
            self.items.append(item)
            # Where the list is empty, initialize() breaks off.
            association.objectList.append(item)
        self.initialize()

    def isTarget(self, serverAddress, clientAddress):
        return clientAddress == 1

    def onValidateAuthentication(self, authentication, password):
        if authentication != self.mode:
            return SourceDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED
        if authentication == Authentication.LOW and bytes(password) != b"12345678":
            return SourceDiagnostic.AUTHENTICATION_FAILURE
        return SourceDiagnostic.NONE

    def onGetAttributeAccess(self, arg):
        if isinstance(arg.target, GXDLMSProfileGeneric) and arg.index == 2:
            # Its own rows come out damaged: selection and encoding are done here, blocks and ciphering there.
            arg.value = rows(arg.selector, arg.parameters)
            arg.handled = arg.byteArray = True
        return AccessMode.READ_WRITE

    def onGetMethodAccess(self, arg):
        return MethodAccessMode.ACCESS

    def onFindObject(self, objectType, sn, ln):
        return None

    def onPreAction(self, args):
        for arg in args:
            if isinstance(arg.target, GXDLMSDisconnectControl):
                arg.target.outputState = arg.index == 2
                arg.value, arg.handled = 0, True

    def handleSnrmRequest(self, data):
        """Its own answer breaks off; one without parameters means the defaults."""
        self.reset(True)
        self.settings.connected = ConnectionState.HDLC

    def handleCommand(self, *arguments):
        """It hides what goes wrong within."""
        try:
            return super().handleCommand(*arguments)
        except Exception:
            traceback.print_exc()
            raise

    # What its handlers call, and version 1.0.203 lacks.
    def setTransaction(self, transaction):
        self.transaction = transaction

    def getTransaction(self):
        return self.transaction

    def ignore(self, *_):
        pass

    notifyRead = notifyConnected = generateDisconnectRequest = ignore

    onPreGet = onPostGet = onPreRead = onPostRead = onPreWrite = onPostWrite = ignore
    onPostAction = onConnected = onInvalidConnection = onDisconnected = ignore


class Reply(GXServerReply):
    """The server calls what the class of version 1.0.203 lacks."""

    def setReply(self, octets):
        self.reply = octets

    def getConnectionInfo(self):
        return self.connectionInfo


def main():
    link, authentication = sys.argv[1], sys.argv[2]
    modes = {
        "none": Authentication.NONE,
        "lls": Authentication.LOW,
        "md5": Authentication.HIGH_MD5,
        "sha1": Authentication.HIGH_SHA1,
    }
    interface = InterfaceType.HDLC if link == "hdlc" else InterfaceType.WRAPPER
    meter = Meter(interface, modes[authentication])
    listener = socket.create_server(("127.0.0.1", 0))
    print("=", listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    connection.settimeout(30)
    reply = Reply(None)
    while True:
        octets = connection.recv(65536)
        if not octets:
            return
        reply.data = octets
        while True:
            meter.handleRequest(reply)
            if reply.reply:
                connection.sendall(bytes(reply.reply))
                reply.data = None
            if not reply.isStreaming():
                break
            reply.data = b""


main()
