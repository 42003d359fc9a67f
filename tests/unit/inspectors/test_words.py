"""What stands in marks, messages, datagrams and orders."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.sight import Endpoint, TrafficClass
from edged.inspectors import peers
from edged.inspectors.marks import MarkFields
from edged.inspectors.order import Order, order_of
from edged.inspectors.queue import Waiting, waiting_in

FIELDS = MarkFields(inspected=0x0008_0000, traffic_class=0x0007_0000)
WORDS = st.integers(0, 2**32 - 1)
ENDPOINTS = st.builds(
    Endpoint,
    st.booleans(),
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**16 - 1),
)


@given(WORDS)
def test_an_answer_replaces_an_earlier_one_and_nothing_else(mark: int) -> None:
    foreign = mark & 0xFFF0_FFFF
    assert FIELDS.answered(mark, None) == foreign | 0x8_0000
    assert FIELDS.answered(mark, TrafficClass.P2P) == foreign | 0x9_0000
    assert FIELDS.answered(mark, TrafficClass.STREAMING) == foreign | 0xA_0000


def test_the_fields_may_lie_anywhere() -> None:
    assert MarkFields(1, 0xE).answered(0xFFFF_FFF0, TrafficClass.STREAMING) == 0xFFFF_FFF5
    assert MarkFields(1 << 28, 0xE000_0000).answered(0, TrafficClass.P2P) == 0x3000_0000


@pytest.mark.parametrize(
    ("inspected", "traffic_class"),
    [(0, 7), (3, 0x70), (1, 0), (8, 3), (8, 0xF0), (8, 0x50), (4, 7), (1 << 32, 7), (1, 7 << 30)],
)
def test_fields_that_are_none(inspected: int, traffic_class: int) -> None:
    with pytest.raises(ValueError, match=r"neighbours|32 bits"):
        MarkFields(inspected, traffic_class)


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def message(kind: int, *attributes: bytes) -> bytes:
    body = struct.pack("!BBH", 2, 0, 7) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


@given(WORDS, WORDS, st.binary(max_size=100), st.permutations((1, 3, 5, 9, 10)))
def test_a_packet_is_read_from_the_kernels_message_in_whatever_order(
    number: int, mark: int, data: bytes, order: list[int]
) -> None:
    written = {
        1: attribute(1, struct.pack("!IHB", number, 0x0800, 2)),  # struct nfqnl_msg_packet_hdr
        3: attribute(3, struct.pack("!I", mark)),
        5: attribute(5, struct.pack("!I", 4)),  # the interface
        9: attribute(9, bytes(12)),  # the hardware's address
        10: attribute(10, data),
    }
    assert waiting_in(message(0x300, *(written[kind] for kind in order))) == Waiting(number, mark, data)


def test_without_a_mark_it_is_0() -> None:
    assert waiting_in(message(0x300, attribute(1, struct.pack("!IHB", 5, 0x86DD, 2)))) == Waiting(5, 0, b"")


def test_the_refusal_of_a_verdict_is_no_packet() -> None:
    assert waiting_in(struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -2) + bytes(16)) is None


@given(st.lists(ENDPOINTS, max_size=150))
def test_endpoints_come_as_they_were_sent(sent: list[Endpoint]) -> None:
    datagrams = list(peers.datagrams(sent))
    assert [each for datagram in datagrams for each in peers.endpoints(datagram)] == sent
    assert all(0 < len(datagram) <= peers.LARGEST for datagram in datagrams)


@given(st.binary(max_size=200))
def test_what_is_no_datagram_of_endpoints_has_none_or_some(said: bytes) -> None:
    assert len(peers.endpoints(said)) == (0 if len(said) % 19 else len(said) // 19)


def test_an_order_is_read_as_it_was_written() -> None:
    order = Order(queue=3, socket=4, board=5, control=6, settings=7, marks=FIELDS, memory=1 << 29)
    assert order_of(order.argument()) == order
