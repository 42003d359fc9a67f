"""The pcap format (draft-ietf-opsawg-pcap): a header of the file, then records of one link layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct

from edged.replay.readers.record import LONGEST_RECORD, Damage, Record
from edged.replay.readers.stream import Stream

HEADER = 24
MAGICS = {  # byte order and nanoseconds a unit (section 4)
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
# A patch by A. Kuznetzov, in the 1990s, put more into each record's header, how much depends on who wrote it.
MODIFIED = (b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1")

_SECOND = 1_000_000_000
_new = tuple.__new__


def refusal(header: bytes) -> str:
    """Why a file with this header, whose magic number is known, cannot be read; empty where it can."""
    order, _ = MAGICS[header[:4]]
    if len(header) < HEADER:
        return "the file ends within the pcap header"
    major, minor = Struct(f"{order}HH").unpack_from(header, 4)
    return "" if major == 2 else f"pcap version {major}.{minor}, of which edged knows 2.4 alone"


def records(stream: Stream, tell: Callable[[Damage], None]) -> Iterator[Record]:
    """The records of a file, whose header lies in front of the stream; where the file is broken, `tell` hears it at the end."""
    order, unit = MAGICS[stream.buffer[stream.at : stream.at + 4]]
    # the upper half says how many bytes of a frame check sequence end a frame (section 4); IP's own length ends a packet
    link = Struct(f"{order}I").unpack_from(stream.buffer, stream.at + 20)[0] & 0xFFFF
    unpack = Struct(f"{order}IIII").unpack_from
    number = 0
    stream.at += HEADER
    buffer, at = stream.buffer, stream.at
    have = len(buffer)
    while True:
        if have - at < 16:
            stream.at = at
            if not stream.fill(16):
                break
            buffer, at, have = stream.buffer, 0, len(stream.buffer)
        seconds, fraction, size, original = unpack(buffer, at)
        start = at + 16
        end = start + size
        number += 1
        if end > have or size > LONGEST_RECORD:
            stream.at = at
            if size > LONGEST_RECORD:
                return tell(Damage(f"record {number} claims {size} bytes", stream.offset))
            if not stream.fill(16 + size):
                return tell(Damage(stream.trouble or f"the file ends within record {number}", stream.offset))
            buffer, start, end, have = stream.buffer, 16, 16 + size, len(stream.buffer)
        yield _new(Record, (number, seconds * _SECOND + fraction * unit, link, 0, buffer[start:end], original))
        at = end
    if stream.trouble or stream.buffer:
        tell(Damage(stream.trouble or f"the file ends within the header of record {number + 1}", stream.offset))
    return None
