"""eDonkey, eMule and Kad: what is enough, and what is not."""

from __future__ import annotations

import zlib

import pytest

from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import (
    ED2K_HELLO,
    ED2K_LOGIN,
    ED2K_SET_FILE,
    ED2K_STATUS,
    ED2K_STATUS_ANSWER,
    EMULE_QUEUE_FULL,
    EMULE_RANK,
    EMULE_REASK,
    KAD_ANSWER,
    KAD_BOOTSTRAP,
    KAD_FOUND,
    KAD_HELLO,
    KAD_PACKED,
    KAD_PING,
    KAD_PONG,
    KAD_PUBLISH,
    KAD_REQUEST,
    KAD_SOURCES,
    RDP,
    TLS,
    USER,
    answered,
    asked,
    edonkey_message,
    found,
)


@pytest.mark.parametrize(
    ("payload", "other"),
    [
        (ED2K_SET_FILE, b""),  # framed, but that says nothing by itself
        (EMULE_RANK, TLS),
        (EMULE_RANK, RDP),
        (ED2K_LOGIN[:28], b""),
        (b"\xe3\0\0\0\0\x01" + ED2K_HELLO[6:], b""),
        (b"\xe3\xff\xff\xff\xff\x01" + ED2K_HELLO[6:], b""),
        (ED2K_HELLO[:30] + b"\x00\x00\x00\x00" + ED2K_HELLO[34:], b""),  # no tags
        (ED2K_HELLO[:31] + b"\x00\x7f\x00" + ED2K_HELLO[34:], b""),  # millions
        (ED2K_HELLO + b"GET", b""),  # no message follows
        (edonkey_message(0xE3, 0x99, USER), EMULE_RANK),  # no such opcode
        (edonkey_message(0xD4, 0x40, b"plain"), EMULE_RANK),
    ],
)
def test_less_is_no_edonkey(payload: bytes, other: bytes) -> None:
    assert found(Transport.TCP, asked(payload, other)) == []


def test_a_message_may_follow_the_introduction_and_be_packed() -> None:
    packed = edonkey_message(0xD4, 0x40, zlib.compress(USER * 4))
    assert found(Transport.TCP, asked(ED2K_HELLO + packed)) != []
    assert found(Transport.TCP, answered(packed, ED2K_SET_FILE)) != []


@pytest.mark.parametrize(
    ("payload", "other"),
    [
        (ED2K_STATUS[:5], b""),
        (ED2K_STATUS[:4] + b"\0\0", b""),
        (ED2K_STATUS_ANSWER, b""),
        (ED2K_STATUS_ANSWER, ED2K_STATUS[:2] + b"\x99\x99\xaa\x55"),
        (EMULE_REASK, b""),
        (EMULE_QUEUE_FULL, b""),
        (EMULE_QUEUE_FULL + b"x", EMULE_REASK),
        (EMULE_QUEUE_FULL, EMULE_REASK[:10]),
    ],
)
def test_less_is_no_edonkey_over_udp(payload: bytes, other: bytes) -> None:
    assert found(Transport.UDP, answered(payload, other)) == []


@pytest.mark.parametrize(
    "datagram",
    [
        KAD_PING,
        KAD_PONG,
        KAD_REQUEST[:-1],
        KAD_REQUEST[:2] + b"\x05" + KAD_REQUEST[3:],
        KAD_HELLO[:20] + b"\x40" + KAD_HELLO[21:],
        KAD_HELLO[:22] + b"\xee" + KAD_HELLO[23:],
        KAD_ANSWER[:-1],
        KAD_ANSWER[:18] + b"\0",
        KAD_BOOTSTRAP + b"x",
        KAD_SOURCES[:-1] + b"\x01",
        KAD_FOUND[:34] + b"\0\0" + KAD_FOUND[36:],
        KAD_PUBLISH[:34] + b"\0" + KAD_PUBLISH[35:],
        KAD_PACKED[:-9] + bytes(9),
        b"\xe5\x09" + KAD_BOOTSTRAP[2:],
        b"\xe4\x7f" + KAD_BOOTSTRAP[2:],
    ],
)
def test_less_is_no_kad(datagram: bytes) -> None:
    assert found(Transport.UDP, asked(datagram)) == []


def test_a_short_message_of_kad_counts_beside_another() -> None:
    for before in (KAD_PING, KAD_REQUEST, KAD_HELLO):
        assert found(Transport.UDP, answered(KAD_PONG, before)) != []
    assert found(Transport.UDP, answered(KAD_PONG, b"\xe4\x60\0")) == []
