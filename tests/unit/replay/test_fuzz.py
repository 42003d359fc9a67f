"""Whatever a file holds, reading it ends: with records, with damage, or with a refusal when it is opened."""

from __future__ import annotations

import gzip
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.replay.readers import CaptureUnreadable
from edged.replay.readers.record import LONGEST_RECORD
from tests.promises import Measured
from tests.unit.replay.captures import enhanced, interface, obsolete, option, pcap, read, section, simple

PARTS = 8
FILES = 10_000 if os.environ.get("EDGED_PROFILE") == "long" else 100

BODY = enhanced(b"one", 5) + simple(b"two") + obsolete(b"three") + enhanced(bytes(60), 7, options=option(1, b"why"))
FILES_OF = (
    pcap(b"one", b"", bytes(60)),
    pcap(b"one", b"two", order=">", magic=0xA1B23C4D),
    section() + interface(options=option(9, b"\x09") + option(14, bytes(8))) + BODY,
    section(">") + interface(order=">") + enhanced(b"x", order=">") + section() + interface() + BODY,
)
SEEDS = (*FILES_OF, *map(gzip.compress, FILES_OF))
ODD = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xfc\xff\xff\xff", b"\x0a\x0d\x0d\x0a", b"\x06\0\0\0", b"\x01\0\0\0", b"\0\0\4\0")


def ends(raw: bytes) -> int:
    """The number of records; each of them is what it says."""
    try:
        records, damage = read(raw)
    except CaptureUnreadable:
        return 0
    for number, record in enumerate(records, 1):
        assert record.number == number
        assert len(record.data) <= LONGEST_RECORD
        assert 0 <= record.link <= 0xFFFF
    assert damage is None or (damage.message and damage.offset >= 0)
    return len(records)


@pytest.mark.promise(10)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_changed_files_are_read_to_an_end(part: int, measured: Measured) -> None:
    chance = random.Random(part)
    found = 0
    for _ in range(FILES):
        raw = bytearray(chance.choice(SEEDS))
        for _ in range(chance.randrange(5)):
            at = chance.randrange(len(raw) + 1)
            match chance.randrange(4):
                case 0 if at < len(raw):
                    raw[at] ^= 1 << chance.randrange(8)
                case 1:
                    raw[at & ~3 : (at & ~3) + 4] = chance.choice(ODD)
                case 2:
                    del raw[at : at + chance.randrange(20)]
                case _:
                    raw[at:at] = raw[at : at + chance.randrange(80)]
        found += ends(bytes(raw))
    assert found > FILES
    measured(f"captures: read to their ends in {PARTS} times {FILES:,} files")


@given(st.binary(max_size=200), st.sampled_from([b"", pcap(), section(), section() + interface()]))
def test_any_bytes_behind_a_header_are_read_to_an_end(raw: bytes, head: bytes) -> None:
    assert ends(head + raw) <= len(raw)
