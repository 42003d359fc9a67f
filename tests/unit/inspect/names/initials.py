"""QUIC Initial packets, protected with another derivation than the one under test; and Google's before TLS."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

CONNECTION_ID = bytes.fromhex("8394c8f03e515708")
V1, V2, DRAFT_29 = 0x0000_0001, 0x6B33_43CF, 0xFF00_001D
SALTS = {
    "38762cf7f55934b34d179ae6a4c80cadccbb7f0a": (V1, 0xFF00_0021, 0xFF00_0022),
    "0dede3def700a6db819381be6e269dcbf9bd2ed9": (V2,),
    "afbfec289993d24c9e9786f19c6111e04390a899": range(DRAFT_29, DRAFT_29 + 4),
    "c3eef712c72ebb5a11a7d2432bb46365bef9f502": (*range(0xFF00_0017, 0xFF00_001D), 0xFACE_B002, 0xFACE_B00E),
    "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a": (0xFACE_B001,),
}
VERSIONS = {version: bytes.fromhex(salt) for salt, versions in SALTS.items() for version in versions}


def varint(value: int) -> bytes:
    for bits, prefix in ((6, 0), (14, 1), (30, 2), (62, 3)):
        if value < 1 << bits:
            return (value | prefix << bits).to_bytes((bits + 2) // 8, "big")
    raise AssertionError(value)


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def _expand(secret: bytes, label: str, length: int) -> bytes:
    name = f"tls13 {label}".encode()
    return HKDFExpand(SHA256(), length, struct.pack("!HB", length, len(name)) + name + b"\0").derive(secret)


def _client_secret(version: int, connection_id: bytes) -> bytes:
    extract = HMAC(VERSIONS[version], SHA256())
    extract.update(connection_id)
    return _expand(extract.finalize(), "client in", 32)


def initial(
    frames: bytes,
    *,
    version: int = V1,
    number: int = 0,
    number_bytes: int = 4,
    destination: bytes = CONNECTION_ID,
    keys_of: bytes | None = None,
    token: bytes = b"",
    size: int = 0,
) -> bytes:
    """A protected Initial packet, its frames padded so that it has `size` bytes; `keys_of` is the id that its keys come from."""
    secret = _client_secret(version, destination if keys_of is None else keys_of)
    labels = "quicv2" if version == V2 else "quic"
    kind = 1 if version == V2 else 0
    head = bytes([0xC0 | kind << 4 | number_bytes - 1]) + struct.pack("!IB", version, len(destination)) + destination
    head += b"\0" + varint(len(token)) + token
    frames = frames.ljust(max(size - len(head) - 2 - number_bytes - 16, 4), b"\0")
    length = number_bytes + len(frames) + 16
    head += (length | 0x4000).to_bytes(2, "big") if length < 0x4000 else varint(length)
    low = (number & (1 << 8 * number_bytes) - 1).to_bytes(number_bytes, "big")
    nonce = int.from_bytes(_expand(secret, f"{labels} iv", 12), "big") ^ number
    sealed = AESGCM(_expand(secret, f"{labels} key", 16)).encrypt(nonce.to_bytes(12, "big"), frames, head + low)
    sample = sealed[4 - number_bytes : 20 - number_bytes]
    mask = Cipher(AES(_expand(secret, f"{labels} hp", 16)), ECB()).encryptor().update(sample)
    hidden = bytes(one ^ other for one, other in zip(low, mask[1:], strict=False))
    return bytes([head[0] ^ mask[0] & 0x0F]) + head[1:] + hidden + sealed


def long_header(kind: int, content: bytes, version: int = V1, destination: bytes = CONNECTION_ID) -> bytes:
    """A packet that is no Initial, with a length, such as 0-RTT."""
    head = bytes([0xC0 | kind << 4]) + struct.pack("!IB", version, len(destination)) + destination + b"\0"
    return head + varint(len(content)) + content


def chlo(*values: tuple[bytes, bytes]) -> bytes:
    """A client hello of Google's QUIC Crypto."""
    entries, body = b"", b""
    for tag, value in values:
        body += value
        entries += tag + struct.pack("<I", len(body))
    return b"CHLO" + struct.pack("<HH", len(values), 0) + entries + body


def google(message: bytes, version: bytes = b"Q043", flags: int = 0x09, before: bytes = b"") -> bytes:
    """A client's first packet of Google's QUIC: public header, a hash that nobody checks, a STREAM frame, padding."""
    number = bytes((1, 2, 4, 6)[flags >> 4 & 3] - 1) + b"\1"
    private = b"\1" if version <= b"Q033" else b""
    frame = stream_frame(message, order=">" if version >= b"Q039" else "<")
    return bytes([flags]) + bytes(range(8)) + version + number + bytes(12) + private + before + frame + bytes(100)


def stream_frame(data: bytes, stream: int = 1, offset: bytes = b"", order: str = ">") -> bytes:
    """A STREAM frame with a length; the offset's bytes, of which there may be none or from 2 to 8, as they stand."""
    kind = 0xA0 | (len(offset) - 1 << 2 if offset else 0)
    return bytes([kind, stream]) + offset + struct.pack(f"{order}H", len(data)) + data
