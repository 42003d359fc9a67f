"""Packets' numbers in the kernel engine: all different, and nothing that the policy reads out of a packet's mark."""

from __future__ import annotations

import pytest

from edged.marks import MarkFields
from edged.replay.kernel.numbers import Numbers

FIELDS = [MarkFields(mask) for mask in (0x00FFFF00, 0xFFF, 0xFFF00000, 0xFFFFFFFF)]


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: f"{fields.mask:#x}")
def test_no_number_says_that_an_inspector_has_answered(fields: MarkFields) -> None:
    numbers = Numbers(fields)
    given = [numbers.next() for _ in range(5000)]
    assert len(set(given)) == len(given)
    assert min(given) > 0
    assert not [number for number in given if (number | numbers.piece) & fields.inspected or number & numbers.piece]


@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: f"{fields.mask:#x}")
def test_they_begin_anew_behind_the_last_one(fields: MarkFields) -> None:
    numbers = Numbers(fields)
    first = numbers.next()
    numbers._last = 0xFFFFFFFF & ~(fields.inspected | numbers.piece) - 1
    given = [numbers.next() for _ in range(3)]
    assert first in given
    assert 0 not in given
