"""What stands in marks, messages, datagrams and orders."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.sight import Endpoint
from edged.inspectors import peers
from edged.inspectors.order import Order, order_of
from edged.inspectors.queue import Waiting, waiting_in
from edged.marks import MarkFields

FIELDS = MarkFields()
WORDS = st.integers(0, 2**32 - 1)
ENDPOINTS = st.builds(
    Endpoint,
    st.booleans(),
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**16 - 1),
)


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
