"""Capture files, as anybody may send them in."""

from __future__ import annotations

from edged.replay.readers import CaptureUnreadable
from edged.replay.readers.record import LONGEST_RECORD
from tests.fuzz.target import Target, captures
from tests.unit.replay.captures import read
from tests.unit.replay.test_fuzz import SEEDS


def run(data: bytes) -> None:
    """Records, damage, or a refusal."""
    try:
        records, _ = read(data)
    except CaptureUnreadable:
        return
    assert all(len(record.data) <= LONGEST_RECORD for record in records)


TARGET = Target(10, run, (*SEEDS, *captures()))
