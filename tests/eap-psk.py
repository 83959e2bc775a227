#!/usr/bin/env python3
"""EAP-PSK, RFC 4764, a second time, and from nothing that the product uses.

Without arguments it prints the transcript that stands in plc/tests/data/eap-psk.txt. `keys PSK RAND_P` prints AK, KDK
and TEK, `mac AK TEXT` a CMAC.
"""
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC


def block(key, octets):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(octets)


def cmac(key, octets):
    mac = CMAC(algorithms.AES(key))
    mac.update(octets)
    return mac.finalize()


def xor(*all_octets):
    out = bytes(16)
    for octets in all_octets:
        out = bytes(a ^ b for a, b in zip(out, octets))
    return out


def expand(key, start, numbers):
    middle = block(key, start)
    return [block(key, xor(middle, number.to_bytes(16, "big"))) for number in numbers]


def eax(key, nonce, header, text):
    n, h = (cmac(key, bytes(15) + bytes([tweak]) + octets) for tweak, octets in ((0, nonce), (1, header)))
    ciphertext = Cipher(algorithms.AES(key), modes.CTR(n)).encryptor().update(text)
    return xor(n, h, cmac(key, bytes(15) + b"\x02" + ciphertext)) + ciphertext


def keys(psk, rand_p):
    ak, kdk = expand(psk, bytes(16), (1, 2))
    return ak, kdk, expand(kdk, rand_p, (1,))[0]


def eap(code, identifier, flags, content):
    return bytes([code << 2, identifier]) + (6 + len(content)).to_bytes(2, "big") + bytes([47, flags]) + content


def channel(tek, code, identifier, flags, before, nonce, text):
    """Messages 3 and 4: what stands before the channel, then nonce, tag and ciphertext."""
    length = (6 + len(before) + 20 + len(text)).to_bytes(2, "big")
    header = bytes([code, identifier]) + length + bytes([47, flags]) + before[:16]
    sealed = eax(tek, bytes(12) + nonce.to_bytes(4, "big"), header, text)
    return header, eap(code, identifier, flags, before + nonce.to_bytes(4, "big") + sealed)


def transcript():
    psk, gmk = bytes(range(0x30, 0x40)), bytes(range(0xC0, 0xD0))
    rand_s, rand_p = bytes(range(0x40, 0x50)), bytes(range(0x80, 0x90))
    id_s, id_p = bytes.fromhex("02aabbccddeeff00"), bytes.fromhex("0a0b0c0d0e0f1011")
    ak, kdk, tek = keys(psk, rand_p)
    mac_p, mac_s = cmac(ak, id_p + id_s + rand_s + rand_p), cmac(ak, id_s + rand_p)
    given = bytes.fromhex("a0021d0200012711" "00") + gmk + bytes.fromhex("2b0100")
    header, third = channel(tek, 1, 1, 0x80, rand_s + mac_s, 0, given)
    _, fourth = channel(tek, 2, 1, 0xC0, rand_s, 1, bytes.fromhex("a0023103001d00"))

    def lbp(code, data=b""):
        return bytes([code << 4, 0]) + id_p + data

    for name, octets in (
        ("PSK", psk), ("AK", ak), ("KDK", kdk), ("RAND_S", rand_s), ("RAND_P", rand_p), ("TEK", tek),
        ("ID_S", id_s), ("ID_P", id_p), ("GMK", gmk), ("MAC_P", mac_p), ("MAC_S", mac_s), ("EAX header", header),
        ("LBP JOINING #1", lbp(1)),
        ("LBP CHALLENGE msg1", lbp(0xA, eap(1, 0, 0x00, rand_s + id_s))),
        ("LBP JOINING msg2", lbp(1, eap(2, 0, 0x40, rand_s + rand_p + mac_p + id_p))),
        ("LBP CHALLENGE msg3", lbp(0xA, third)),
        ("LBP JOINING msg4", lbp(1, fourth)),
        ("LBP ACCEPTED", lbp(9, bytes.fromhex("0c020004"))),
        ("LBP DECLINE", lbp(0xB, bytes.fromhex("10020004"))),
        ("LBP KICK to LBD", lbp(0xC)),
        ("LBP KICK from LBD", lbp(4)),
        ("LBP ACCEPTED GMK-activation idx1", lbp(9, bytes.fromhex("2b0101"))),
    ):
        print(name, octets.hex())


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            transcript()
        case ["keys", psk, rand_p]:
            print(*(key.hex() for key in keys(bytes.fromhex(psk), bytes.fromhex(rand_p))))
        case ["mac", ak, text]:
            print(cmac(bytes.fromhex(ak), bytes.fromhex(text)).hex())
        case _:
            sys.exit(__doc__)
