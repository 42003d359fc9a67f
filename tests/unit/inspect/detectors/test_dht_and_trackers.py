"""The DHT and trackers: what they are recognised by, and the peers that they name."""

from __future__ import annotations

import gzip
import struct

import pytest

from edged.inspect.detectors.compact import ipv4_peers, ipv6_peers
from edged.inspect.sight import Endpoint
from edged.ruleset.nodes import Transport
from tests.unit.inspect.detectors.p2p_flows import (
    BENCODED_PEERS,
    CLIENT,
    DHT_ANNOUNCE,
    DHT_ERROR,
    DHT_PEERS,
    DHT_PING,
    DNS,
    DNS_ANSWER,
    HTTP_ANNOUNCE,
    HTTP_PEERS,
    NTP,
    PEER,
    PEER_PACKED,
    SIX,
    STUN,
    TRACKER_ANNOUNCE,
    TRACKER_CONNECT,
    TRACKER_CONNECTED,
    TRACKER_PEERS,
    answered,
    asked,
    found,
)

SIX_PACKED = SIX.address.to_bytes(16, "big") + struct.pack("!H", SIX.port)


def test_a_reply_names_its_peers_of_both_families() -> None:
    assert found(Transport.UDP, answered(DHT_PEERS, DHT_PING))[0].peers[0] == PEER
    reply = DHT_PEERS.replace(b"6:" + PEER_PACKED, b"18:" + SIX_PACKED, 1)
    assert found(Transport.UDP, answered(reply, DHT_PING))[0].peers[0] == SIX


def test_values_that_are_cut_end_there() -> None:
    at = DHT_PEERS.index(b"valuesl") + len(b"valuesl")
    for end in range(at, len(DHT_PEERS)):
        assert found(Transport.UDP, asked(DHT_PEERS[:end]))[0].peers in (
            (),
            (PEER,),
            found(Transport.UDP, asked(DHT_PEERS))[0].peers,
        )


def test_an_announce_says_where_its_sender_listens_or_implies_it() -> None:
    address = CLIENT.address
    assert found(Transport.UDP, asked(DHT_ANNOUNCE % 0))[0].peers == (Endpoint(is_ipv6=False, address=address, port=7001),)
    assert found(Transport.UDP, asked(DHT_ANNOUNCE % 1))[0].peers == (Endpoint(is_ipv6=False, address=address, port=CLIENT.port),)


def test_who_is_asked_for_peers_is_listened_to_further() -> None:
    for transport, question in ((Transport.UDP, DHT_PING), (Transport.UDP, TRACKER_CONNECT), (Transport.TCP, HTTP_ANNOUNCE)):
        assert [each.names_more for each in found(transport, asked(question))] == [True]


@pytest.mark.parametrize(
    "payload",
    [
        b"d1:ad2:id20:" + b"short",
        b"d1:ad2:id19:" + DHT_PING[12:],
        b"d1:ad3:key20:" + DHT_PING[12:],
        b"d4:spam4:eggse",
        DHT_ERROR + b"x",
        DHT_ERROR.replace(b"li201e", b"li404e"),
        DNS,
        STUN,
        NTP,
    ],
)
def test_other_bencoding_is_no_dht(payload: bytes) -> None:
    assert found(Transport.UDP, asked(payload)) == []


def test_a_tracker_names_peers_of_the_family_that_it_is_asked_over() -> None:
    assert found(Transport.UDP, answered(TRACKER_PEERS, TRACKER_ANNOUNCE))[0].peers == (PEER,)
    over_six = answered(TRACKER_PEERS[:20] + SIX_PACKED, TRACKER_ANNOUNCE)._replace(source=SIX, destination=SIX)
    assert found(Transport.UDP, over_six)[0].peers == (SIX,)


@pytest.mark.parametrize(
    ("payload", "other"),
    [
        (TRACKER_CONNECT[:15], b""),
        (TRACKER_CONNECT[:11] + b"\1" + TRACKER_CONNECT[12:], b""),
        (TRACKER_CONNECTED, b""),
        (TRACKER_CONNECTED, TRACKER_CONNECT[:12] + b"abcd"),
        (TRACKER_CONNECTED + b"x", TRACKER_CONNECT),
        (TRACKER_PEERS, b""),
        (TRACKER_PEERS, TRACKER_ANNOUNCE[:97]),
        (TRACKER_PEERS[:19], TRACKER_ANNOUNCE),
        (TRACKER_PEERS[:4] + b"abcd" + TRACKER_PEERS[8:], TRACKER_ANNOUNCE),
        (DNS_ANSWER, DNS),
        (STUN, TRACKER_ANNOUNCE),
    ],
)
def test_nothing_less_is_a_tracker(payload: bytes, other: bytes) -> None:
    assert found(Transport.UDP, answered(payload, other)) == []


@pytest.mark.parametrize("body", [BENCODED_PEERS, gzip.compress(BENCODED_PEERS)], ids=["plain", "gzipped"])
def test_an_http_tracker_names_peers(body: bytes) -> None:
    assert found(Transport.TCP, answered(HTTP_PEERS + body, HTTP_ANNOUNCE))[0].peers == (PEER,)


def test_an_http_tracker_names_peers_of_ipv6_and_breaks_off_safely() -> None:
    body = BENCODED_PEERS[:-1] + b"6:peers618:" + SIX_PACKED + b"e"
    assert found(Transport.TCP, answered(HTTP_PEERS + body, HTTP_ANNOUNCE))[0].peers == (PEER, SIX)
    packed = gzip.compress(body)
    for answer in (HTTP_PEERS, HTTP_PEERS + packed[:4], HTTP_PEERS + packed[:12] + b"\xff" * 9):
        assert found(Transport.TCP, answered(answer, HTTP_ANNOUNCE))[0].peers == ()


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /announce?peer_id=x HTTP/1.1\r\n\r\n",
        b"GET /announce?info_hash=tooshort&peer_id=x HTTP/1.1\r\n\r\n",
        b"GET /search?q=info_hash=aaaaaaaaaaaaaaaaaaaa& HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nReferer: http://x/?info_hash=aaaaaaaaaaaaaaaaaaaa&\r\n\r\n",
    ],
)
def test_other_requests_are_no_announce(request_line: bytes) -> None:
    assert found(Transport.TCP, asked(request_line)) == []
    assert found(Transport.TCP, answered(HTTP_PEERS + BENCODED_PEERS, request_line)) == []


@pytest.mark.parametrize("address", ["00000001", "7f000001", "e0000001", "ffffffff"])
def test_no_peer_listens_where_nobody_can(address: str) -> None:
    assert ipv4_peers(bytes.fromhex(address + "c8d5")) == ()


def test_other_services_ports_are_not_learnt_and_a_rest_is_left_aside() -> None:
    assert ipv4_peers(PEER_PACKED[:4] + b"\x01\xbb" + PEER_PACKED + b"abc") == (PEER,)
    assert ipv6_peers(bytes(15) + b"\1\x1a\xe1" + b"\xff\2" + bytes(14) + b"\x1a\xe1" + SIX_PACKED) == (SIX,)
    assert len(ipv4_peers(PEER_PACKED * 10_000)) == 256
