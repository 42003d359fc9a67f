"""Netlink attributes: bytes out of values, values out of bytes.

    u16 length (header included), u16 type (0x8000: nested), payload, padding to 4

Headers are in the machine's byte order; nf_tables' numbers inside them are big-endian. Reading is total: what does not fit is
left out, nothing raises, for a dump may come from a newer kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

NESTED = 0x8000
_TYPE_MASK = 0x3FFF  # above it: nested, and "network byte order", which nobody sets
_PADDING = (b"", bytes(3), bytes(2), bytes(1))  # by what the payload's length is above a multiple of 4
_HEAD = struct.Struct("=HH")
_BE16 = struct.Struct("!H")
_BE32 = struct.Struct("!I")
_BE64 = struct.Struct("!Q")


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded. Raises struct.error where the payload is longer than 65531 bytes."""
    return _HEAD.pack(len(payload) + 4, kind) + payload + _PADDING[len(payload) & 3]


def nest(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """A string, ended by NUL."""
    return attribute(kind, value.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    """One byte."""
    return attribute(kind, bytes((value,)))


def be16(kind: int, value: int) -> bytes:
    """An unsigned number of 16 bits."""
    return attribute(kind, _BE16.pack(value))


def be32(kind: int, value: int) -> bytes:
    """A number of 32 bits; negative ones (priorities, verdicts) in two's complement."""
    return attribute(kind, _BE32.pack(value & 0xFFFFFFFF))


def be64(kind: int, value: int) -> bytes:
    """An unsigned number of 64 bits."""
    return attribute(kind, _BE64.pack(value))


def each(buffer: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
    """The attributes in order, as (type, payload); a torn one ends the walk."""
    offset, end = 0, len(buffer)
    while offset + 4 <= end:
        length, kind = _HEAD.unpack_from(buffer, offset)
        if length < 4 or offset + length > end:
            return
        yield kind & _TYPE_MASK, bytes(buffer[offset + 4 : offset + length])
        offset += (length + 3) & ~3


def parse(buffer: bytes | memoryview) -> dict[int, bytes]:
    """The attributes by type; of equal types the last."""
    return dict(each(buffer))


def number(payload: bytes | None) -> int:
    """A big-endian number of any width; 0 where the attribute is missing."""
    return int.from_bytes(payload or b"", "big")


def signed(payload: bytes | None) -> int:
    """The same for a signed number."""
    return int.from_bytes(payload or b"", "big", signed=True)


def string(payload: bytes | None) -> str:
    """A string up to its NUL; "" where the attribute is missing."""
    return (payload or b"").split(b"\0", 1)[0].decode(errors="replace")
