"""The bits of marks: fields side by side from the mask's lowest bit, and none outside of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.marks import Marks
from edged.marks import FlowClass, MarkFields, from_field, in_field


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (0x00FFFF00, (0x0000FF00, 0x00030000, 0x00040000, 0x00080000)),
        (0x00000FFF, (0x000000FF, 0x00000300, 0x00000400, 0x00000800)),
        (0xFFF00000, (0x0FF00000, 0x30000000, 0x40000000, 0x80000000)),
        (0xFFFFFFFF, (0x000000FF, 0x00000300, 0x00000400, 0x00000800)),
    ],
)
def test_fields_are_allotted_from_the_lowest_bit_up(mask: int, expected: tuple[int, ...]) -> None:
    fields = MarkFields(mask)
    found = (fields.generation, fields.flow_class, fields.heavy, fields.inspected)
    assert found == expected
    assert fields.class_and_weight == fields.flow_class | fields.heavy
    assert Marks(mask=mask).fields == fields
    for one in found:
        assert one & mask == one
        assert not any(one & other for other in found if other != one)


@pytest.mark.parametrize("mask", [0, 0xFF, 0x7FF, 0x00FF0F00, 0xFFF000000, -1])
def test_what_has_no_room_for_the_fields_is_refused(mask: int) -> None:
    with pytest.raises(ValueError, match="neighbouring bits"):
        MarkFields(mask)


@pytest.mark.parametrize("flow_class", FlowClass)
def test_a_class_is_read_back_among_other_bits(flow_class: FlowClass) -> None:
    fields = MarkFields()
    mark = in_field(fields.flow_class, flow_class) | ~fields.flow_class & 0xFFFFFFFF
    assert fields.class_in(mark) is flow_class
    assert from_field(fields.flow_class, mark) == flow_class


@given(st.integers(0, 0xFFFF_FFFF))
def test_an_inspectors_answer_replaces_an_earlier_one_and_nothing_else(mark: int) -> None:
    foreign = mark & 0xFFF0_FFFF
    assert MarkFields().answered(mark, FlowClass.NONE) == foreign | 0x8_0000
    assert MarkFields().answered(mark, FlowClass.P2P) == foreign | 0x9_0000
    assert MarkFields().answered(mark, FlowClass.STREAMING) == foreign | 0xA_0000
    assert MarkFields(0xFFF).answered(0xFFFF_F0FF, FlowClass.STREAMING) == 0xFFFF_FAFF
