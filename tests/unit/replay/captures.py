"""Capture files written by hand, byte for byte."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from edged.replay.readers import Capture, Damage, Record

MICROSECONDS, NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
SECTION, INTERFACE, OBSOLETE, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
ORDERS = ("<", ">")


def pcap(*frames: bytes, order: str = "<", magic: int = MICROSECONDS, link: int = 1) -> bytes:
    """Frame n is of n seconds and n fractions; each was 7 bytes longer on the wire."""
    made = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(frames, 1):
        made += struct.pack(f"{order}IIII", number, number, len(frame), len(frame) + 7) + frame
    return made


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<", version: int = 1) -> bytes:
    return block(SECTION, struct.pack(f"{order}IHHq", 0x1A2B3C4D, version, 0, -1), order)


def interface(link: int = 1, snapshot: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    return block(INTERFACE, struct.pack(f"{order}HHI", link, 0, snapshot) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def enhanced(
    frame: bytes, units: int = 0, identity: int = 0, original: int | None = None, options: bytes = b"", order: str = "<"
) -> bytes:
    original = len(frame) if original is None else original
    head = struct.pack(f"{order}IIIII", identity, units >> 32, units & 0xFFFFFFFF, len(frame), original)
    return block(ENHANCED, head + frame + bytes(-len(frame) % 4) + options, order)


def simple(frame: bytes, original: int | None = None, order: str = "<") -> bytes:
    return block(SIMPLE, struct.pack(f"{order}I", len(frame) if original is None else original) + frame, order)


def obsolete(frame: bytes, units: int = 0, identity: int = 0, order: str = "<") -> bytes:
    head = struct.pack(f"{order}HHIIII", identity, 9, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame) + 1)
    return block(OBSOLETE, head + frame, order)


def read(raw: bytes | io.BytesIO) -> tuple[list[Record], Damage | None]:
    """Every record of a file with this content, and its damage."""
    with Capture(Path("memory"), raw if isinstance(raw, io.BytesIO) else io.BytesIO(raw)) as capture:
        records = list(capture)
        return records, capture.damage


def sound(raw: bytes | io.BytesIO) -> list[Record]:
    records, damage = read(raw)
    assert damage is None
    return records
