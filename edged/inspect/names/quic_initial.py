"""The protection of QUIC Initial packets, which anybody who sees them can take off: RFC 9001 section 5, RFC 9369 section 3."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from edged.inspect.names.quic_versions import Version, expansion

_CLIENT = expansion(b"client in", 32)
_SAMPLE = 16
_BLOCK = 64  # of SHA-256
_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))


class _Hmac:
    """HMAC-SHA256 (RFC 2104) under one key, for several messages: what is the key's alone is done once, half of the work."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


@cache
def _salted(salt: bytes) -> _Hmac:
    return _Hmac(salt)


class ClientKeys:
    """What opens the Initial packets of a client, made from the destination connection id of its first one."""

    __slots__ = ("_aead", "_header", "_iv", "_largest")

    def __init__(self, version: Version, connection_id: bytes) -> None:
        initial = _Hmac(_salted(version.salt).digest(connection_id))
        expand = _Hmac(initial.digest(_CLIENT)).digest
        self._aead = AESGCM(expand(version.key)[:16])
        self._iv = int.from_bytes(expand(version.iv)[:12], "big")
        header = expand(version.header)[:16]
        self._header = Cipher(AES(header), ECB()).encryptor()  # noqa: S305  section 5.4.3 of RFC 9001 has it so
        self._largest = -1

    def open(self, packet: bytes, number_at: int) -> bytes | None:
        """The frames of a packet, whose packet number begins there; None where these keys do not open it."""
        sample = packet[number_at + 4 : number_at + 4 + _SAMPLE]
        if len(sample) < _SAMPLE:
            return None
        mask = self._header.update(sample)
        first = packet[0] ^ mask[0] & 0x0F
        length = (first & 3) + 1
        cut = int.from_bytes(packet[number_at : number_at + length], "big") ^ int.from_bytes(mask[1 : 1 + length], "big")
        number = self._number(cut, 8 * length)
        header = b"".join((bytes((first,)), packet[1:number_at], cut.to_bytes(length, "big")))
        try:
            frames = self._aead.decrypt((self._iv ^ number).to_bytes(12, "big"), packet[number_at + length :], header)
        except InvalidTag:
            return None
        self._largest = max(self._largest, number)
        return frames

    def _number(self, cut: int, bits: int) -> int:
        """The packet number with these low bits that is nearest to the next expected (RFC 9000 appendix A.3)."""
        expected, window = self._largest + 1, 1 << bits
        number = expected & -window | cut
        if number <= expected - window // 2 and number < (1 << 62) - window:
            return number + window
        return number - window if number > expected + window // 2 and number >= window else number
