"""Attributes and messages: what is packed comes back, and nothing that a kernel might send makes reading raise."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.kernel import attrs, uapi
from edged.kernel.batch import Batch, Message
from edged.kernel.messages import Refusal, nft, pack, refusal, unpack

KINDS = st.integers(1, 0x3FFF)


@given(st.lists(st.tuples(KINDS, st.binary(max_size=40))))
def test_attributes_come_back_in_order(given_attributes: list[tuple[int, bytes]]) -> None:
    packed = b"".join(attrs.attribute(kind, payload) for kind, payload in given_attributes)
    assert len(packed) % 4 == 0
    assert list(attrs.each(packed)) == given_attributes


@given(st.binary(max_size=200))
def test_reading_attributes_is_total(garbage: bytes) -> None:
    for _, payload in attrs.each(garbage):
        assert payload in garbage
        attrs.string(payload)
        attrs.number(payload)


@given(st.binary(max_size=200))
def test_unpacking_is_total(garbage: bytes) -> None:
    for reply in unpack(memoryview(garbage)):
        assert reply.attributes is not None


def test_nests_and_numbers() -> None:
    packed = attrs.nest(4, attrs.be32(1, 2), attrs.be32(2, -5), attrs.be16(3, 25), attrs.be64(4, 1 << 40), attrs.text(5, "lan0"))
    assert packed[:4] == struct.pack("=HH", len(packed), 0x8004)
    inner = attrs.parse(attrs.parse(packed)[4])
    assert attrs.number(inner[1]) == 2
    assert attrs.signed(inner[2]) == -5
    assert attrs.number(inner[3]) == 25
    assert attrs.number(inner[4]) == 1 << 40
    assert attrs.string(inner[5]) == "lan0"
    assert (attrs.number(None), attrs.signed(None), attrs.string(None)) == (0, 0, "")


def test_an_attribute_that_is_too_long_is_an_error() -> None:
    with pytest.raises(struct.error):
        attrs.attribute(1, bytes(65532))


def test_a_batch_is_bracketed_and_numbered() -> None:
    batch = Batch((Message(uapi.Msg.NEWTABLE, uapi.NLM_F_CREATE, b"", "one"), Message(uapi.Msg.DELTABLE, 0, b"", "two")), 7)
    replies = list(unpack(memoryview(batch.encode(100))))
    assert [reply.kind for reply in replies] == [0x10, nft(0), nft(2), 0x11]
    assert [reply.sequence for reply in replies] == [100, 101, 102, 103]
    assert attrs.number(replies[0].attributes[uapi.NFNL_BATCH_GENID]) == 7
    assert [batch.label(reply.sequence - 100) for reply in replies] == ["", "one", "two", ""]
    assert batch.encode(100).startswith(batch.encode_dry(100))
    assert [reply.kind for reply in unpack(memoryview(batch.encode_dry(100)))] == [0x10, nft(0), nft(2)]
    assert not next(unpack(memoryview(Batch(()).encode(1)))).attributes


def _error(number: int, explanation: str | None) -> memoryview:
    request = pack(nft(6), 1, 42, b"")[:16]
    flags = uapi.NLM_F_CAPPED
    body = struct.pack("=i", number) + request
    if explanation is not None:
        flags |= uapi.NLM_F_ACK_TLVS
        body += attrs.text(uapi.NLMSGERR_ATTR_MSG, explanation)
    return memoryview(struct.pack("=IHHII", 16 + len(body), uapi.NLMSG_ERROR, flags, 42, 0) + body)


@pytest.mark.parametrize(
    ("number", "explanation", "expected"),
    [(-2, None, Refusal(2, 42, "")), (-1, "not yours", Refusal(1, 42, "not yours")), (0, None, None)],
)
def test_errors_are_read_with_their_explanation(number: int, explanation: str | None, expected: Refusal | None) -> None:
    (reply,) = unpack(_error(number, explanation))
    assert refusal(reply) == expected
