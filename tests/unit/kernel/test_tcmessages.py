"""A class's statistics, read in place out of whatever a kernel sends."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from edged.kernel.attrs import attribute, nest, text
from edged.kernel.tcmessages import TCMSG, decode_class, decode_use
from edged.queueing.observed import ClassUse
from edged.queueing.tree import ClassId

HEAD = TCMSG.pack(0, 7, 0x00ED0002, 0x00ED0001, 0)
BASIC = attribute(1, struct.pack("=QI4x", 1 << 40, 3))
QUEUE = attribute(3, struct.pack("=IIIII", 4, 5, 6, 7, 8))
USE = ClassUse(ClassId(0xED, 2), 1 << 40, 3, 6, 5)


def test_statistics_wherever_they_stand() -> None:
    kind, legacy = text(1, "htb"), attribute(3, bytes(40))
    for attributes in (kind + nest(7, BASIC, QUEUE) + legacy, kind + legacy + nest(7, QUEUE, BASIC), nest(7, BASIC, QUEUE)):
        assert decode_use(memoryview(HEAD + attributes)) == USE


def test_without_statistics_all_is_nothing() -> None:
    # these have the numbers that the statistics have one level further in
    for attributes in (b"", text(1, "h" * 20), attribute(3, bytes(40)), nest(7), nest(7, attribute(1, b"short"))):
        assert decode_use(memoryview(HEAD + attributes)) == ClassUse(USE.classid, 0, 0, 0, 0)


@given(st.binary(max_size=80), st.integers(0, 80), st.integers(0, 0xFFFF))
def test_nothing_raises(garbage: bytes, cut: int, length: int) -> None:
    whole = text(1, "htb") + nest(7, BASIC, QUEUE)
    lying = struct.pack("=HH", length, 0x8007) + whole
    for body in (garbage, whole[:cut], lying, nest(7, garbage[:40]), nest(2, attribute(1, garbage))):
        assert decode_use(memoryview(HEAD + body)).classid == USE.classid
        decode_class(memoryview(HEAD + body))
