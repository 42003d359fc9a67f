"""eDonkey and eMule over TCP: protocol byte, length of 32 bits, opcode.

One direction is enough where it introduces itself, since an introduction has a structure; of anything else both directions must
be framed so. Source: The eMule Protocol Specification (Kulbak, Bickson, 2005), section 6. What eMule obfuscates is not
recognised.
"""

from __future__ import annotations

from edged.inspect.detectors.edonkey_tags import is_tag_list
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.transport import Transport

_EDONKEY, _EMULE, _PACKED = 0xE3, 0xC5, 0xD4
_FRAME = 6
_LONGEST = 2_000_000  # eMule discards longer ones
_ZLIB = b"\x78"

_LOGIN, _HELLO_ANSWER = 0x01, 0x4C  # 0x01 is a client's login to a server and its greeting to a client
_TO_SERVERS = (0x01, 0x14, 0x15, 0x16, 0x19, 0x1C)
_FROM_SERVERS = (0x05, *range(0x32, 0x36), 0x38, *range(0x40, 0x45))
_BETWEEN_CLIENTS = (0x01, *range(0x46, 0x53), *range(0x54, 0x5A), 0x5C)
_EXTENDED = (0x01, 0x02, 0x40, 0x60, 0x61, *range(0x81, 0x88), *range(0x90, 0xA9))
_OPCODES = {
    _EDONKEY: frozenset(_TO_SERVERS + _FROM_SERVERS + _BETWEEN_CLIENTS),
    _EMULE: frozenset(_EXTENDED),
    _PACKED: frozenset(_TO_SERVERS + _FROM_SERVERS + _BETWEEN_CLIENTS + _EXTENDED),
}

_FOUND = Found("edonkey", TrafficClass.P2P)


def _edonkey(sight: Sight) -> Found | None:
    payload = sight.payload
    if not _is_framed(payload):
        return None
    return _FOUND if _introduces(payload) or _is_framed(sight.other) else None


def _is_framed(stream: bytes) -> bool:
    """Whether a message begins the stream and, where it ends in it, another one follows."""
    if len(stream) < _FRAME or stream[5] not in _OPCODES.get(stream[0], ()):
        return False
    length = int.from_bytes(stream[1:5], "little")
    if not 0 < length <= _LONGEST:
        return False
    following = stream[5 + length : 6 + length]
    if following and following[0] not in _OPCODES:
        return False
    return stream[0] != _PACKED or stream[6:7] == _ZLIB


def _introduces(stream: bytes) -> bool:
    """A client's hash, identifier, port and tags, to a server or a client; of eMule's own greeting its versions and tags."""
    protocol, opcode = stream[0], stream[5]
    if protocol == _EMULE:
        return opcode in (0x01, 0x02) and stream[7:8] == b"\x01" and is_tag_list(stream, 8)
    if protocol != _EDONKEY:
        return False
    if opcode == _HELLO_ANSWER:
        return is_tag_list(stream, 28)
    if opcode != _LOGIN:
        return False
    return is_tag_list(stream, 28) or (stream[6:7] == b"\x10" and is_tag_list(stream, 29))


DETECTORS: tuple[Detector, ...] = (Detector("edonkey", Transport.TCP, bytes(_OPCODES), _edonkey),)
