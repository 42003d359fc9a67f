"""What stands in marks, messages, datagrams and orders."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.sight import Endpoint
from edged.inspectors import peers
from edged.inspectors.order import Order, order_of
from edged.inspectors.queue import Queue
from edged.inspectors.verdicts import Verdicts
from edged.inspectors.wire import Reader, Waiting, waiting_in
from edged.kernel.messages import unpack
from edged.marks import MarkFields

FIELDS = MarkFields()
REFUSAL = struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -2) + bytes(16)
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
    told = message(0x300, *(written(number, mark, data)[kind] for kind in order))
    waiting = waiting_in(told)
    assert waiting is not None
    assert waiting[:2] == (number, mark)
    assert told[waiting.at : waiting.end] == data


def written(number: int, mark: int, data: bytes) -> dict[int, bytes]:
    return {
        1: attribute(1, struct.pack("!IHB", number, 0x0800, 2)),  # struct nfqnl_msg_packet_hdr
        3: attribute(3, struct.pack("!I", mark)),
        5: attribute(5, struct.pack("!I", 4)),  # the interface
        9: attribute(9, bytes(12)),  # the hardware's address
        10: attribute(10, data),
    }


def test_without_a_mark_it_is_0() -> None:
    assert waiting_in(message(0x300, attribute(1, struct.pack("!IHB", 5, 0x86DD, 2)))) == Waiting(5, 0, 0, 0)


def test_the_refusal_of_a_verdict_is_no_packet() -> None:
    assert waiting_in(REFUSAL) is None


FORMS = st.sampled_from(((1, 10), (1, 5, 10), (1, 5, 9, 10), (1, 3, 5, 9, 10), (1, 5, 3, 10), (1, 3), (5, 1, 10), (10, 1)))


@given(st.lists(st.tuples(FORMS, WORDS, WORDS, st.binary(max_size=60)) | st.none(), max_size=12))
def test_a_reader_that_knows_the_last_form_reads_the_same(said: list[tuple[tuple[int, ...], int, int, bytes] | None]) -> None:
    reader = Reader()
    for each in said:
        told = REFUSAL
        if each is not None:
            form, number, mark, data = each
            told = message(0x300, *(written(number, mark, data)[kind] for kind in form))
        assert reader.waiting_in(told) == waiting_in(told)


class Told:
    """A queue's socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        return len(data)


VERDICTS = st.tuples(st.just("plain") | st.just("tell"), st.just(0)) | st.tuples(st.just("marked"), WORDS)


@given(st.integers(1, 2**32 - 40), st.lists(VERDICTS, max_size=30))
def test_verdicts_let_every_packet_go_in_its_order(first: int, said: list[tuple[str, int]]) -> None:
    """As the kernel does, which goes through the messages: one accepts all that wait up to a number, one a single packet."""
    outlet = Told()
    verdicts = Verdicts(Queue(7, outlet))  # type: ignore[arg-type]
    waiting = [(number, mark) for number, (kind, mark) in enumerate(said, first) if kind != "tell"]
    for number, (kind, mark) in enumerate(said, first):
        match kind:
            case "plain":
                verdicts.accept(number)
            case "marked":
                verdicts.accept_marked(number, mark)
            case _:
                verdicts.tell()
    verdicts.tell()
    gone: list[tuple[int, int]] = []
    queued = [number for number, _ in waiting]
    for each in (reply for datagram in outlet.sent for reply in unpack(memoryview(datagram))):
        verdict, number = struct.unpack("!II", each.attributes[2])
        assert verdict == 1
        mark = struct.unpack("!I", each.attributes[3])[0] if 3 in each.attributes else 0
        up_to = [wait for wait in queued if wait <= number] if each.kind == 0x303 else [number]
        gone += [(wait, mark) for wait in up_to]
        queued = [wait for wait in queued if wait not in up_to]
    assert gone == waiting


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
