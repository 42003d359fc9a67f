"""pcap files, byte for byte: units, byte orders, and every way to be cut short."""

from __future__ import annotations

import pytest

from edged.replay.readers import Record
from edged.replay.readers.record import LONGEST_RECORD
from edged.replay.readers.stream import CHUNK
from tests.unit.replay.captures import MICROSECONDS, NANOSECONDS, ORDERS, pcap, read, sound

FRAMES = (b"first frame", b"", b"the third")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("magic", "unit"), [(MICROSECONDS, 1000), (NANOSECONDS, 1)])
def test_records_are_what_was_written(order: str, magic: int, unit: int) -> None:
    assert sound(pcap(*FRAMES, order=order, magic=magic, link=113)) == [
        Record(1, 1_000_000_000 + unit, 113, 0, b"first frame", 18),
        Record(2, 2_000_000_000 + 2 * unit, 113, 0, b"", 7),
        Record(3, 3_000_000_000 + 3 * unit, 113, 0, b"the third", 16),
    ]


def test_the_last_second_of_the_32_bits_is_read() -> None:
    raw = bytearray(pcap(b"x"))
    raw[24:28] = b"\xff\xff\xff\xff"
    assert sound(bytes(raw))[0].nanoseconds == 0xFFFFFFFF * 10**9 + 1000


@pytest.mark.parametrize("order", ORDERS)
def test_the_length_of_a_frame_check_sequence_is_no_part_of_the_link_type(order: str) -> None:
    assert sound(pcap(b"x", order=order, link=0x4400_0001))[0].link == 1


def test_a_file_without_records_is_whole() -> None:
    assert sound(pcap()) == []


def test_a_file_cut_anywhere_gives_each_record_in_front_of_the_cut_and_tells_where_it_broke() -> None:
    raw = pcap(*FRAMES)
    begins = [24, 24 + 16 + 11, 24 + 32 + 11, len(raw)]
    for cut in range(24, len(raw)):
        records, damage = read(raw[:cut])
        whole = sum(begin <= cut for begin in begins[1:])
        assert [record.data for record in records] == list(FRAMES[:whole])
        if cut in begins:
            assert damage is None
        else:
            assert damage is not None
            assert damage.offset == begins[whole]
            assert "the file ends within" in damage.message
            assert f"record {whole + 1}" in damage.message


@pytest.mark.parametrize("size", [LONGEST_RECORD + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_absurd_length_is_told_and_not_reserved(size: int) -> None:
    raw = pcap(b"good") + bytes(8) + size.to_bytes(4, "little") + bytes(4) + bytes(64)
    records, damage = read(raw)
    assert [record.data for record in records] == [b"good"]
    assert damage is not None
    assert damage.offset == 24 + 16 + 4
    assert damage.message == f"record 2 claims {size} bytes"


def test_an_absurd_length_is_told_where_its_bytes_are_there() -> None:
    records, damage = read(pcap(bytes(LONGEST_RECORD + 1)))
    assert not records
    assert damage is not None
    assert damage.offset == 24


def test_the_longest_record_is_read() -> None:
    assert len(sound(pcap(bytes(LONGEST_RECORD)))[0].data) == LONGEST_RECORD


def test_records_across_the_edges_of_the_window_are_read() -> None:
    frames = [bytes([n % 256]) * (n * 37 % 1500) for n in range(2000)]
    raw = pcap(*frames)
    assert len(raw) > 4 * CHUNK
    assert [record.data for record in sound(raw)] == frames
