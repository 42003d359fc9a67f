"""The pcapng format (draft-ietf-opsawg-pcapng): blocks in sections, each section with its own byte order and interfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import NamedTuple

from edged.replay.readers.record import LONGEST_RECORD, Broken, Damage, Record
from edged.replay.readers.stream import Stream

SECTION_HEADER = b"\x0a\x0d\x0d\x0a"
ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

_SECTION, _INTERFACE, _OBSOLETE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_END_OF_OPTIONS, _RESOLUTION, _OFFSET = 0, 9, 14
_MOST_INTERFACES = 1 << 16
_LONGEST_OPTIONS = 64 << 10  # of an interface's options no more is looked at
_SECOND = 1_000_000_000
_MICROSECONDS = (1000, 0)
_new = tuple.__new__


class _Interface(NamedTuple):
    """`scale` makes nanoseconds of units: a factor and a number of bits to shift right by, or a divisor where that is below 0."""

    number: int
    link: int
    snapshot_length: int
    scale: tuple[int, int]
    offset: int

    def nanoseconds(self, units: int) -> int:
        """The time since the epoch."""
        factor, shift = self.scale
        return (units * factor >> shift if shift >= 0 else units * factor // -shift) + self.offset


class _Section:
    """A section's byte order and interfaces."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.interfaces: list[_Interface] = []
        self.block = Struct(f"{order}II").unpack_from
        self.word = Struct(f"{order}I").unpack_from
        self.enhanced = Struct(f"{order}IIIII").unpack_from
        self.obsolete = Struct(f"{order}HHIIII").unpack_from
        self.packet = Struct(f"{order}IIIIIII").unpack_from

    def quick(self, stream: Stream, number: int) -> Record | None:
        """The record of a sound enhanced packet block that is whole in the window, and gone by; None for all else."""
        buffer, at = stream.buffer, stream.at
        if len(buffer) - at < 32:
            return None
        kind, length, identity, high, low, size, original = self.packet(buffer, at)
        end = at + length
        if kind != _ENHANCED or identity >= len(self.interfaces) or length & 3 or size > LONGEST_RECORD:
            return None
        if end > len(buffer) or length < size + 32 or self.word(buffer, end - 4) != (length,):
            return None
        stream.at = end
        interface = self.interfaces[identity]
        time = interface.nanoseconds(high << 32 | low)
        return _new(Record, (number, time, interface.link, interface.number, buffer[at + 28 : at + 28 + size], original))


def records(stream: Stream, tell: Callable[[Damage], None]) -> Iterator[Record]:
    """The records of a file that begins with a section header; where the file is broken, `tell` hears it at the end."""
    section = _Section("<")
    seen = number = 0
    try:
        while len(stream.buffer) - stream.at >= 12 or stream.fill(12):
            if (record := section.quick(stream, number + 1)) is not None:
                number += 1
                yield record
                continue
            if stream.buffer.startswith(SECTION_HEADER, stream.at):
                section = _begin_section(stream)
            kind, length = _begin_block(stream, section)
            if kind in (_ENHANCED, _SIMPLE, _OBSOLETE):
                number += 1
                yield _record(stream, section, number, kind, length)
            elif kind == _INTERFACE:
                section.interfaces.append(_interface(stream, section, seen, length))
                seen += 1
            _end_block(stream, section, length)
    except Broken as broken:
        tell(broken.damage)
    else:
        if stream.trouble or stream.buffer:
            tell(Damage(stream.trouble or "the file ends within a block's header", stream.offset))


def _begin_block(stream: Stream, section: _Section) -> tuple[int, int]:
    kind, length = section.block(stream.buffer, stream.at)
    if length < 12 or length % 4:
        raise Broken(f"a block claims a length of {length}", stream.offset)
    return kind, length


def _begin_section(stream: Stream) -> _Section:
    order = ORDERS.get(stream.buffer[stream.at + 8 : stream.at + 12])
    if order is None:
        raise Broken("a section header of no known byte order", stream.offset)
    if not stream.fill(28):
        raise Broken(stream.trouble or "the file ends within a section header", stream.offset)
    major, minor = Struct(f"{order}HH").unpack_from(stream.buffer, stream.at + 12)
    if major != 1:
        raise Broken(f"pcapng version {major}.{minor}, of which edged knows 1 alone", stream.offset)
    return _Section(order)


def _end_block(stream: Stream, section: _Section, length: int) -> None:
    """Go behind a block, which repeats its length at its end (section 3.1)."""
    begin = stream.offset
    if not stream.skip(length - 4) or (len(stream.buffer) - stream.at < 4 and not stream.fill(4)):
        raise Broken(stream.trouble or f"the file ends within a block of {length} bytes", begin)
    (repeated,) = section.word(stream.buffer, stream.at)
    if repeated != length:
        raise Broken(f"a block of {length} bytes ends with a length of {repeated}", begin)
    stream.at += 4


def _need(stream: Stream, length: int, size: int, what: str) -> None:
    """See that the block of that length holds `size` bytes in front of its end, and have them in the window."""
    if length < size + 4:
        raise Broken(f"{what} in a block of {length} bytes", stream.offset)
    if len(stream.buffer) - stream.at < size and not stream.fill(size):
        raise Broken(stream.trouble or f"the file ends within a block of {length} bytes", stream.offset)


def _interface(stream: Stream, section: _Section, index: int, length: int) -> _Interface:
    """An interface description block (section 4.2); only its link type, snapshot length, resolution and offset matter here."""
    if index == _MOST_INTERFACES:
        raise Broken(f"more than {_MOST_INTERFACES} interfaces", stream.offset)
    _need(stream, length, 16, "an interface")
    stop = min(length - 4, 16 + _LONGEST_OPTIONS)
    _need(stream, length, stop, "options")
    buffer, at = stream.buffer, stream.at
    link, _, snapshot_length = Struct(f"{section.order}HHI").unpack_from(buffer, at + 8)
    scale, offset = _MICROSECONDS, 0
    option, place, end = Struct(f"{section.order}HH"), at + 16, at + stop
    while end - place >= 4:
        code, size = option.unpack_from(buffer, place)
        value = buffer[place + 4 : min(place + 4 + size, end)]
        if code == _END_OF_OPTIONS:
            break
        if code == _RESOLUTION and len(value) == 1:
            scale = _scale(value[0])
        elif code == _OFFSET and len(value) == 8:
            offset = Struct(f"{section.order}q").unpack(value)[0] * _SECOND
        place += 4 + (size + 3 & ~3)
    return _Interface(index, link, snapshot_length, scale, offset)


def _scale(resolution: int) -> tuple[int, int]:
    """What if_tsresol says: a negative power of ten, or of two where its highest bit is set."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return _SECOND, exponent
    return (10 ** (9 - exponent), 0) if exponent <= 9 else (1, -(10 ** (exponent - 9)))


def _record(stream: Stream, section: _Section, number: int, kind: int, length: int) -> Record:
    """The record of a packet block, which is left in the window."""
    high = low = identity = 0
    try:
        if kind == _ENHANCED:
            header = 28
            _need(stream, length, header, "a packet")
            identity, high, low, size, original = section.enhanced(stream.buffer, stream.at + 8)
        elif kind == _OBSOLETE:
            header = 28
            _need(stream, length, header, "a packet")
            identity, _, high, low, size, original = section.obsolete(stream.buffer, stream.at + 8)
        else:
            header = 12
            _need(stream, length, header, "a packet")
            (original,) = section.word(stream.buffer, stream.at + 8)
            size = min(original, length - 16)
        interface = section.interfaces[identity]
    except IndexError:
        raise Broken(f"record {number} is of interface {identity}, which its section does not describe", stream.offset) from None
    if kind == _SIMPLE and interface.snapshot_length:
        size = min(size, interface.snapshot_length)
    if size > LONGEST_RECORD:
        raise Broken(f"record {number} claims {size} bytes", stream.offset)
    _need(stream, length, header + size, f"a packet of {size} bytes")
    start = stream.at + header
    time = 0 if kind == _SIMPLE else interface.nanoseconds(high << 32 | low)
    return _new(Record, (number, time, interface.link, interface.number, stream.buffer[start : start + size], original))
