"""pcapng files, byte for byte: block types, sections, interfaces, times, and every way to be broken."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from edged.replay.readers import Record
from edged.replay.readers.record import LONGEST_RECORD
from edged.replay.readers.stream import CHUNK
from tests.unit.replay.captures import (
    ENHANCED,
    INTERFACE,
    ORDERS,
    SIMPLE,
    block,
    enhanced,
    interface,
    obsolete,
    option,
    read,
    section,
    simple,
    sound,
)

TIME = 1_700_000_000_123_456  # microseconds


@pytest.mark.parametrize("order", ORDERS)
def test_every_kind_of_packet_block_is_read(order: str) -> None:
    raw = section(order) + interface(113, order=order) + interface(1, order=order)
    raw += enhanced(b"one", TIME, 1, 99, option(1, b"a comment", order), order)
    raw += simple(b"three", order=order) + obsolete(b"obsolete", TIME + 1, 1, order)
    assert sound(raw) == [
        Record(1, TIME * 1000, 1, 1, b"one", 99),
        Record(2, 0, 113, 0, b"three", 5),
        Record(3, TIME * 1000 + 1000, 1, 1, b"obsolete", 9),
    ]


def test_sections_have_their_own_byte_order_and_interfaces() -> None:
    raw = section("<") + interface(1) + enhanced(b"little")
    raw += section(">") + interface(101, order=">") + interface(276, order=">") + enhanced(b"big", identity=1, order=">")
    raw += section("<") + interface(228) + simple(b"last")
    assert [(each.number, each.link, each.interface, each.data) for each in sound(raw)] == [
        (1, 1, 0, b"little"),
        (2, 276, 2, b"big"),
        (3, 228, 3, b"last"),
    ]


def test_an_interface_of_another_section_is_not_known() -> None:
    raw = section() + interface() + enhanced(b"x")
    records, damage = read(raw + section() + enhanced(b"y"))
    assert len(records) == 1
    assert damage is not None
    assert damage.offset == len(raw) + len(section())
    assert damage.message == "record 2 is of interface 0, which its section does not describe"


@pytest.mark.parametrize(
    ("resolution", "units", "nanoseconds"),
    [
        (6, 5, 5000),
        (9, 5, 5),
        (0, 5, 5_000_000_000),
        (3, 5, 5_000_000),
        (12, 5999, 5),
        (127, 2**64 - 1, 0),
        (0x80, 5, 5_000_000_000),
        (0x80 | 1, 3, 1_500_000_000),
        (0x80 | 32, 1 << 31, 500_000_000),
        (0xFF, 2**64 - 1, 0),
    ],
)
def test_the_resolution_is_a_power_of_ten_or_of_two(resolution: int, units: int, nanoseconds: int) -> None:
    raw = section() + interface(options=option(9, bytes([resolution]))) + enhanced(b"x", units)
    assert sound(raw)[0].nanoseconds == nanoseconds


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("offset", [3600, -3600])
def test_the_offset_is_added_in_seconds(order: str, offset: int) -> None:
    options = option(9, b"\x09", order) + option(14, struct.pack(f"{order}q", offset), order) + option(0, b"", order)
    raw = section(order) + interface(options=options, order=order) + enhanced(b"x", 10**13, order=order)
    assert sound(raw)[0].nanoseconds == 10**13 + offset * 10**9


def test_options_behind_their_end_or_of_a_wrong_size_count_for_nothing() -> None:
    for options in (
        option(0, b"") + option(9, b"\x09"),
        option(9, b"\x09\x09"),
        option(14, b"\x01"),
        b"\x09\0\xff\xff\x09\0\0\0",
    ):
        assert sound(section() + interface(options=options) + enhanced(b"x", 1))[0].nanoseconds == 1000


def test_options_are_looked_at_within_a_bound() -> None:
    comments = option(1, bytes(60_000)) * 2
    raw = section() + interface(options=comments + option(9, b"\x09")) + enhanced(b"x", 1)
    assert sound(raw)[0].nanoseconds == 1000
    raw = section() + interface(options=option(1, bytes(60_000)) + option(9, b"\x09")) + enhanced(b"x", 1)
    assert sound(raw)[0].nanoseconds == 1


def test_unknown_blocks_are_gone_over_however_long_they_are() -> None:
    raw = section() + block(0x0BAD, bytes(3 * CHUNK)) + interface() + block(4, b"names") + block(5, bytes(8)) + enhanced(b"x")
    assert [record.data for record in sound(raw)] == [b"x"]


@pytest.mark.parametrize(
    ("snapshot", "original", "data"), [(0, 6, b"abcdef"), (4, 6, b"abcd"), (4, 3, b"abc"), (64, 99, b"abcdef\0\0")]
)
def test_a_simple_packet_is_as_long_as_the_least_of_frame_snapshot_and_block(snapshot: int, original: int, data: bytes) -> None:
    record = sound(section() + interface(snapshot=snapshot) + simple(b"abcdef", original))[0]
    assert (record.data, record.original_length) == (data, original)


def test_a_file_cut_anywhere_gives_each_record_in_front_of_the_cut_and_tells_where_it_broke() -> None:
    head = section() + interface()
    blocks = [enhanced(b"one"), block(77, b"unknown"), obsolete(b"two"), simple(b"three")]
    raw = head + b"".join(blocks)
    begins = [0, len(section()), len(head)]
    for each in blocks:
        begins.append(begins[-1] + len(each))
    # a record is there once its bytes are, whatever became of the block's end
    there = {b"one": begins[2] + 28 + 3, b"two": begins[4] + 28 + 3, b"three": begins[5] + 12 + 5}
    for cut in range(24, len(raw)):
        records, damage = read(raw[:cut])
        assert [record.data for record in records] == [data for data, end in there.items() if end <= cut]
        if cut in begins:
            assert damage is None
        else:
            assert damage is not None
            assert damage.offset == max(begin for begin in begins if begin <= cut)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (struct.pack("<III", 7, 8, 8), "a block claims a length of 8"),
        (struct.pack("<III", 7, 13, 13) + bytes(8), "a block claims a length of 13"),
        (struct.pack("<III", 7, 0xFFFFFFFC, 0), "the file ends within a block of 4294967292 bytes"),
        (struct.pack("<III", 7, 16, 5) + struct.pack("<I", 12), "a block of 16 bytes ends with a length of 12"),
        (section(version=2), "pcapng version 2.0, of which edged knows 1 alone"),
        (struct.pack("<III", 0x0A0D0D0A, 28, 5) + bytes(16), "a section header of no known byte order"),
        (block(ENHANCED, bytes(12)), "a packet in a block of 24 bytes"),
        (block(SIMPLE, b""), "a packet in a block of 12 bytes"),
        (block(INTERFACE, bytes(4)), "an interface in a block of 16 bytes"),
        (block(ENHANCED, struct.pack("<IIIII", 0, 0, 0, 5, 5) + b"abcd"), "a packet of 5 bytes in a block of 36 bytes"),
        (
            block(ENHANCED, struct.pack("<IIIII", 1, 0, 0, 0, 0)),
            "record 2 is of interface 1, which its section does not describe",
        ),
    ],
)
def test_what_is_broken_is_told_in_its_place(broken: bytes, message: str) -> None:
    good = section() + interface() + enhanced(b"good")
    records, damage = read(good + broken + bytes(16))
    assert [record.data for record in records] == [b"good"]
    assert damage is not None
    assert (damage.message, damage.offset) == (message, len(good))


def test_absurd_lengths_reserve_no_memory() -> None:
    bomb = struct.pack("<IIIIIII", ENHANCED, 0xFFFFFFF0, 0, 0, 0, 0xFFFFFFC0, 0xFFFFFFC0)
    longer = enhanced(bytes(LONGEST_RECORD + 4))
    tracemalloc.start()
    try:
        for broken in (bomb, longer, struct.pack("<III", INTERFACE, 0xFFFFFFF0, 1) + bytes(20)):
            records, damage = read(section() + interface() + broken)
            assert not records
            assert damage is not None
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_interfaces_are_counted_within_a_bound() -> None:
    records, damage = read(section() + interface() * 65537 + enhanced(b"x"))
    assert not records
    assert damage is not None
    assert damage.message == "more than 65536 interfaces"


def test_records_across_the_edges_of_the_window_are_read() -> None:
    frames = [bytes([n % 256]) * (n * 37 % 1500) for n in range(2000)]
    raw = section() + interface() + b"".join(map(enhanced, frames))
    assert len(raw) > 4 * CHUNK
    assert [record.data for record in sound(raw)] == frames
