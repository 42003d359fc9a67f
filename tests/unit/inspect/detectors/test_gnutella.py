"""Gnutella over TCP and UDP: what makes a message one, field by field."""

from __future__ import annotations

import pytest

from edged.inspect.detectors.ggep import is_ggep
from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import (
    G2_ACK,
    G2_PACKET,
    GET_HASH,
    GET_INDEX,
    GGEP_SCP,
    GIV,
    GNUTELLA_BARE_PING,
    GNUTELLA_DEFLATED,
    GNUTELLA_DHT,
    GNUTELLA_OOB,
    GNUTELLA_PING,
    GNUTELLA_PONG,
    GTA_EXTENDED_ACK,
    GUID,
    HTTP_GNUTELLA,
    PONG_BODY,
    asked,
    found,
    gnutella_message,
)


@pytest.mark.parametrize(
    "datagram",
    [
        GNUTELLA_PING + b"x",
        GNUTELLA_PING[:-1],
        GNUTELLA_BARE_PING[:22],
        gnutella_message(0x03, GGEP_SCP),  # no such type
        gnutella_message(0x00, GGEP_SCP, ttl=5, hops=5),
        gnutella_message(0x00, GGEP_SCP, ttl=0x40),
        gnutella_message(0x00, GGEP_SCP, guid=bytes(16)),
        gnutella_message(0x00, b"", guid=GUID[:8] + b"\0" + GUID[9:]),  # nothing says a servent sent it
        gnutella_message(0x00, b"ping"),
        gnutella_message(0x01, PONG_BODY[:-1]),
        gnutella_message(0x01, PONG_BODY + b"rest"),
        gnutella_message(0x01, PONG_BODY, ttl=0x81),  # says that it is deflated
        gnutella_message(0x80, b"\xf9\0no end"),
        gnutella_message(0x80, b"\xf9\0\x01\x02\0"),
        gnutella_message(0x80, b"\0\0\0"),
        gnutella_message(0x81, b"\0" + bytes(40)),
        gnutella_message(0x40, bytes(25)),
        gnutella_message(0x31, b"lime\x0c\0\2\0"),
        gnutella_message(0x31, b"LIME\x0c\x7f\2\0"),
        GNUTELLA_DHT[:23] + b"\x0b" + GNUTELLA_DHT[24:],
        GNUTELLA_DHT[:50] + b"\x05" + GNUTELLA_DHT[51:],
        gnutella_message(0x41, b"data", guid=b"\x07\x10" + GUID[2:]),  # an ACK carries none
        gnutella_message(0x41, b"", guid=b"\x07\x50" + GUID[2:]),
    ],
)
def test_what_does_not_fit_is_no_message(datagram: bytes) -> None:
    assert found(Transport.UDP, asked(datagram)) == []


def test_a_request_may_say_that_its_sender_inflates() -> None:
    assert found(Transport.UDP, asked(GNUTELLA_OOB[:17] + b"\x09" + GNUTELLA_OOB[18:])) != []


def test_a_deflated_payload_is_looked_into() -> None:
    assert found(Transport.UDP, asked(GNUTELLA_DEFLATED)) != []
    damaged = gnutella_message(0x01, GNUTELLA_DEFLATED[23:26] + b"\xff" * 20, ttl=0x81)
    assert found(Transport.UDP, asked(damaged)) == []


@pytest.mark.parametrize(
    "datagram",
    [
        b"GND",
        G2_PACKET[:8],
        G2_PACKET[:6] + b"\2\1" + G2_PACKET[8:],  # part 2 of 1
        G2_PACKET[:6] + b"\0\1" + G2_PACKET[8:],
        b"GND\x0c" + G2_PACKET[4:],
        G2_ACK + b"x",
        GTA_EXTENDED_ACK[:-1],
        b"GNX" + G2_PACKET[3:],
        G2_PACKET[:8] + b"T\x0bqkr" + G2_PACKET[13:],
        b"GND\x03" + G2_PACKET[4:],  # not deflated as it says
        b"GTA\x02" + G2_PACKET[4:],  # too short for a message
    ],
)
def test_what_does_not_fit_is_no_fragment(datagram: bytes) -> None:
    assert found(Transport.UDP, asked(datagram)) == []


def test_a_later_part_and_a_deflated_one_are_fragments() -> None:
    assert found(Transport.UDP, asked(b"GND\x03\x10\x3e\x01\x02\x78\x9c\xeb")) != []
    assert found(Transport.UDP, asked(b"GTA\x01\x10\x3e\x02\x02\x12\x34")) != []
    assert found(Transport.UDP, asked(b"GTA\x02\x10\x3e\x01\x01" + GNUTELLA_PONG)) != []


def test_rudp_needs_no_guid_in_its_place() -> None:
    assert found(Transport.UDP, asked(gnutella_message(0x41, b"", guid=b"\x07" + bytes(15)))) != []


@pytest.mark.parametrize(
    "opening",
    [
        b"GNUTELLA is a nutella recipe\r\n",
        b"GNUTELLA CONNECT",
        b"GIVE 36:" + GIV[7:],
        GIV.replace(b"e3dd", b"xxxx"),
        GET_HASH.replace(b"PLST", b"P1ST"),
        GET_INDEX.replace(b"X-Gnutella-", b"X-Anything-"),
        GET_INDEX.replace(b"/36/", b"/all/"),
        b"GET /shop HTTP/1.1\r\nX-Queue: 0.1\r\nX-Gnutella-Content-URN: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Queue: 3\r\n\r\n",  # a shop's waiting room
        HTTP_GNUTELLA.replace(b"X-Gnutella-Content-URN: urn:sha1:PLST\r\n\r\n", b"\r\n\r\nX-Gnutella-Content-URN: x"),
    ],
)
def test_what_only_looks_like_it_is_not(opening: bytes) -> None:
    assert found(Transport.TCP, asked(opening)) == []


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (GGEP_SCP, True),
        (b"\xc3\x82QK\x40", True),
        (b"\xc3\x02DU\x41\x10\x82UP\x40", True),
        (b"\xc3\x81A\x81\x40" + bytes(64), True),  # a length of two bytes
        (b"\xc3\x81A\x81\x40" + bytes(63), False),
        (b"", False),
        (b"\xc3", False),
        (GGEP_SCP[:-1], False),
        (GGEP_SCP + b"\0", False),
        (b"\xc3\x80\x40\x40\x40", False),  # no name
        (b"\xc3\x92QK\x40", False),  # the reserved bit
        (b"\xc3\x82QK\x80\x80\x80\x40", False),  # a length of four bytes
        (b"\xc3\x82QK\x00", False),  # a length that neither ends nor goes on
        (b"\xc3\x82QK\xc0", False),  # one that does both
        (b"\xc3\x02QK\x40", False),  # no last extension
    ],
)
def test_ggep_is_followed_to_its_end(data: bytes, is_one: bool) -> None:
    assert is_ggep(data) is is_one


def test_a_file_is_asked_for_by_index_with_headers_of_its_own_or_a_place_in_the_queue() -> None:
    assert found(Transport.TCP, asked(GET_INDEX.replace(b"X-Gnutella-Content-URN: urn:sha1:PLST", b"X-Queue: 0.1"))) != []
    assert found(Transport.TCP, asked(b"GNUTELLA OK\n\n")) != []


def test_a_pong_may_come_from_hops_away() -> None:
    assert found(Transport.UDP, asked(GNUTELLA_PONG[:17] + b"\x03\x04" + GNUTELLA_PONG[19:])) != []
