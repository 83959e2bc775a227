"""An independent meter (PyPI: gurux-dlms): server.py LINK AUTHENTICATION prints its port and serves one connection.

Versions up to 1.0.203 call much that they do not have, so that no published server answers by itself; what is added here
is what it needs to answer at all, each with its reason. Keys, GCM, GMAC, hashes, A-XDR, blocks of GET, wrapper and HDLC
are the package's. Its SHA-256 leaves out the system titles, and is not the standard's.
"""

import datetime
import socket
import struct
import sys
import traceback

from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData, GXServerReply, ValueEventArgs
from gurux_dlms.AesGcmParameter import AesGcmParameter
from gurux_dlms.GXCiphering import GXCiphering
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.GXDLMSLNCommandHandler import GXDLMSLNCommandHandler
from gurux_dlms.GXDLMSLNParameters import GXDLMSLNParameters
from gurux_dlms.GXDLMSSettings import GXDLMSSettings
from gurux_dlms.GXDLMSLongTransaction import GXDLMSLongTransaction
from gurux_dlms.enums import AccessMode, Authentication, Command, ErrorCode, InterfaceType, MethodAccessMode
from gurux_dlms.enums import Security, SourceDiagnostic, Unit
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

GXReplyData.getCipherIndex = lambda self: self.cipherIndex
ValueEventArgs.__iter__ = lambda self: iter([self])
GXDLMSLNParameters.isMultipleBlocks = lambda self: self.multipleBlocks
GXDLMSAssociationLogicalName.getAssociationStatus = lambda self: self.associationStatus
GXDLMSSettings.setConnected = lambda self, state: setattr(self, "connected", state)
GXDLMSLongTransaction.setData = lambda self, data: setattr(self, "data", data)
# What it deciphers a request with is made without the tag, which comes first.
sys.modules["gurux_dlms.GXDLMS"].AesGcmParameter = lambda *them: AesGcmParameter(*(0,)[: 4 - len(them)], *them)

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
        cipher, given, is_gmac = settings.cipher, bytes(e.parameters), settings.authentication == Authentication.HIGH_GMAC
        # Of a GMAC: the security control octet, the counter, the tag.
        theirs, counter = (settings.sourceSystemTitle, int.from_bytes(given[1:5], "big")) if is_gmac else (self.secret, 0)
        if bytes(GXSecure.secure(settings, cipher, counter, settings.stoCChallenge, theirs)) != given:
            e.error = ErrorCode.READ_WRITE_DENIED
            return None
        self.associationStatus = AssociationStatus.ASSOCIATED
        e.byteArray = True
        own, counter = (cipher.systemTitle, cipher.invocationCounter) if is_gmac else (self.secret, 0)
        answer = bytes(GXSecure.secure(settings, cipher, counter, settings.ctoSChallenge, own))
        # The next APDU would have the same counter.
        cipher.invocationCounter += 1
        return b"\x09" + bytes([len(answer)]) + answer


class Aare(GXByteBuffer):
    """Where the AARE is written: the package forgets to say how long the system title is."""

    def setUInt8(self, item=None, index=None):
        if item is not None:
            return super().setUInt8(item, index)
        # That of the octet string; that of the element around it counts the title only.
        super().setUInt8(8)
        super().setUInt8(10, self.size - 3)


class Cipher(GXCiphering):
    """Each association has higher counters than those before: the package begins anew, under the same key."""

    def reset(self):
        self.security = Security.NONE


class Meter(GXDLMSSecureServer):
    def __init__(self, interface, authentication):
        association = Association()
        association.authenticationMechanismName.mechanismId = authentication
        association.secret = b"12345678"
        super().__init__(True, interface)
        self.mode = authentication
        self.replyData = Aare()
        # The class above it looks for `cipher`, and is given another.
        self.settings.cipher = Cipher(b"GRXSERVR")
        self.settings.cipher.blockCipherKey = bytes([1] * 16)
        self.settings.cipher.authenticationKey = bytes([4] * 16)
        self.blocks = b""
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

    def handleAarqRequest(self, *arguments):
        super().handleAarqRequest(*arguments)
        # It ciphers its part of the AARE and does not count that.
        self.settings.cipher.invocationCounter += 1

    def handleSetBlock(self, data):
        """Its own handler calls what is missing, and its answer to a block is no answer of the standard."""
        kind, invoke = data.getUInt8(), data.getUInt8()
        octets = bytes(data.array())[data.position :]
        if kind == 2:
            # The attribute's descriptor stands before the first block.
            self.blocks, octets = bytes([1, invoke]) + octets[:10], octets[10:]
        is_last, number, octets = octets[0], octets[1:5], octets[5:]
        skipped = 1 if octets[0] < 0x80 else 1 + (octets[0] & 0x7F)
        self.blocks += octets[skipped:]
        if not is_last:
            answer = bytes([Command.SET_RESPONSE, 2, invoke]) + number
        else:
            # Whole, it is the package's again.
            whole = GXByteBuffer()
            security, self.settings.cipher.security = self.settings.cipher.security, Security.NONE
            interface, self.settings.interfaceType = self.settings.interfaceType, InterfaceType.WRAPPER
            GXDLMSLNCommandHandler.handleSetRequest(self.settings, self, GXByteBuffer(self.blocks), whole, None)
            self.settings.cipher.security, self.settings.interfaceType = security, interface
            result = bytes(whole.array())[-1]
            answer = bytes([Command.SET_RESPONSE, 3, invoke, result]) + number
        if self.settings.cipher.isCiphered():
            parameters = GXDLMSLNParameters(self.settings, invoke, Command.SET_RESPONSE, kind, None, None, 0)
            answer = GXDLMS.cipher0(parameters, GXByteBuffer(answer))
        self.replyData.set(answer)
        if self.settings.interfaceType == InterfaceType.WRAPPER:
            return GXDLMS.getWrapperFrame(self.settings, Command.SET_REQUEST, self.replyData)
        GXDLMS.addLLCBytes(self.settings, self.replyData)
        return GXDLMS.getHdlcFrame(self.settings, 0, self.replyData)

    def handleSnrmRequest(self, data):
        """Its own answer breaks off; one without parameters means the defaults."""
        self.reset(True)
        self.settings.connected = ConnectionState.HDLC

    def handleCommand(self, command, data, reply):
        """It hides what goes wrong within."""
        try:
            if command == Command.SET_REQUEST and data.getUInt8(data.position) in (2, 3):
                return self.handleSetBlock(data)
            return super().handleCommand(command, data, reply)
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
        "gmac": Authentication.HIGH_GMAC,
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
