"""The inspector, conversation by conversation."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.inspect.decision import UNDECIDED, Decision
from edged.inspect.engine import UDP_IDLE, Inspector
from edged.inspect.judge import BUDGET, HELLO_TIMEOUT, LONG_BUDGET, SECOND
from edged.inspect.sight import TrafficClass
from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded
from edged.sources.hosts import Hosts
from tests.unit.inspect.detectors.p2p_flows import DHT_PEERS, DHT_PING, DNS, HANDSHAKE, HTTP_ANNOUNCE
from tests.unit.inspect.detectors.p2p_flows import PEER as PEER_ENDPOINT
from tests.unit.inspect.names.hellos import big, named, records
from tests.unit.inspect.names.initials import crypto, initial
from tests.unit.inspect.wire import ACK, CLIENT, SYN, Wire, opened
from tests.unit.packet.frames import ipv4, udp

P2P, STREAMING = TrafficClass.P2P, TrafficClass.STREAMING
HOSTS = Hosts(frozenset({"video.example"}))
VIDEO, OTHER = b"cdn.Video.example", b"www.other.example"
PEER = ("203.0.113.9", 51413)  # whom DHT_PEERS names
NOISE = bytes((37 * number + 11) & 0xFF for number in range(300))
NOTHING = Decision(None, "", None, final=True)


def inspector() -> Inspector:
    return Inspector(HOSTS)


def get(host: bytes, target: bytes = b"/") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def response(media_type: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: %b\r\n\r\n" % (len(body), media_type) + body


# --- names ---


def test_a_tls_name_on_the_list_is_streaming_and_another_is_not() -> None:
    assert opened(inspector()).say(records(named(VIDEO))) == Decision(STREAMING, "tls", "cdn.video.example", final=True)
    assert opened(inspector()).say(records(named(OTHER))) == Decision(None, "tls", "www.other.example", final=True)


def test_a_decision_is_repeated_with_each_packet_of_the_flow_and_holds_no_payload() -> None:
    wire = opened(inspector())
    decision = wire.say(records(named(VIDEO)))
    assert [wire.tcp(ACK, side=1), wire.say(NOISE, 1), wire.say(NOISE)] == [decision] * 3
    assert wire.inspector.held == 0
    assert wire.inspector.counts.decided == {P2P: 0, STREAMING: 1}
    assert wire.inspector.decided == 1


@given(st.lists(st.integers(1, len(records(big(VIDEO))) - 1), max_size=10, unique=True), st.data())
def test_a_hello_in_whatever_pieces_order_and_copies_has_the_same_name(cuts: list[int], data: st.DataObject) -> None:
    hello = records(big(VIDEO), 700)
    bounds = [0, *sorted(cuts), len(hello)]
    pieces = [(begin, hello[begin:end]) for begin, end in pairwise(bounds)]
    pieces = data.draw(st.permutations(pieces))
    copies = data.draw(st.lists(st.sampled_from(pieces), max_size=3))
    wire = opened(inspector())
    decision = None
    for offset, piece in [*pieces[:1], *copies, *pieces[1:]]:
        decision = wire.tcp(ACK, piece, sequence=wire.next[0] + offset)
    assert decision == Decision(STREAMING, "tls", "cdn.video.example", final=True)


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_hello_that_lacks_a_piece_has_no_name_or_the_right_one(begin: int, size: int) -> None:
    hello = records(named(VIDEO))
    wire = opened(inspector())
    decisions = [wire.tcp(ACK, hello[:begin]), wire.tcp(ACK, hello[begin + size :] or b"x", sequence=wire.next[0] + begin + size)]
    assert {decision.host for decision in decisions if decision} <= {"cdn.video.example", None}


def test_the_first_copy_of_a_hello_counts() -> None:
    one, other = records(named(b"cdn.video.example")), records(named(b"www.other.example"))
    wire = opened(inspector())
    wire.tcp(ACK, one[40:], sequence=wire.next[0] + 40)
    assert wire.say(other) == Decision(STREAMING, "tls", "cdn.video.example", final=True)


def test_a_hello_that_takes_too_long_is_given_up() -> None:
    wire = opened(inspector())
    hello = records(named(VIDEO))
    assert wire.say(hello[:50]) is None
    wire.now += HELLO_TIMEOUT
    assert wire.say(hello[50:60]) == UNDECIDED
    assert (wire.inspector.counts.over_cap, wire.inspector.held) == (1, 0)


def test_a_message_that_never_ends_is_given_up_at_the_bound_of_bytes() -> None:
    wire = opened(inspector())
    assert wire.say(b"GET / HTTP/1.1\r\n") is None
    decisions = [wire.say(b"X: %b\r\n" % (b"x" * 3000)) for _ in range(6)]
    assert decisions[-1] is not None
    assert decisions[-1].host is None
    assert wire.inspector.held <= 16 << 10
    tls = opened(inspector())
    assert [tls.say(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(8000)), tls.say(bytes(9000))] == [None, UNDECIDED]
    assert (tls.inspector.counts.over_cap, tls.inspector.held) == (1, 0)


def test_the_name_in_dns_classifies_nothing() -> None:
    wire = Wire(inspector(), CLIENT, ("198.51.100.53", 53))
    query = DNS[:12] + b"\x05video\x07example\0\0\1\0\1"
    assert wire.udp(query) == Decision(None, "dns", "video.example", final=True)
    assert wire.inspector.held == 0
    over_tcp = opened(inspector(), CLIENT, ("198.51.100.53", 53))
    assert over_tcp.say(len(query).to_bytes(2, "big") + query[:9]) is None
    assert over_tcp.say(query[9:]) == Decision(None, "dns", "video.example", final=True)


def test_a_quic_name_from_two_datagrams_is_told_when_it_is_whole() -> None:
    hello = big(VIDEO)
    wire = Wire(inspector())
    assert wire.udp(initial(crypto(900, hello[900:]), number=1, size=1200)) == Decision(None, "quic", None, final=False)
    wire.udp(NOISE, side=1)
    assert wire.udp(initial(crypto(0, hello[:900]), size=1200)) == Decision(STREAMING, "quic", "cdn.video.example", final=True)


def test_beyond_so_many_decryptions_a_second_quic_is_let_by_and_counted() -> None:
    capped = Inspector(HOSTS, most_decryptions=3)
    datagram = initial(crypto(0, named(VIDEO)), size=1200)
    wires = [Wire(capped, ("192.0.2.1", port)) for port in range(50_000, 50_005)]
    told = [wire.udp(datagram) for wire in wires]
    assert [bool(each and each.final) for each in told] == [True] * 3 + [False] * 2
    assert capped.counts.refused_decryptions == 2
    wires[4].now += 2_000_000_000
    assert wires[4].udp(datagram) == Decision(STREAMING, "quic", "cdn.video.example", final=True)


# --- HTTP ---


def test_a_host_on_the_list_is_streaming_and_another_is_known_until_more_is_seen() -> None:
    assert opened(inspector()).say(get(VIDEO)) == Decision(STREAMING, "http", "cdn.video.example", final=True)
    wire = opened(inspector())
    assert wire.say(get(OTHER)) == Decision(None, "http", "www.other.example", final=False)
    assert wire.say(response(b"text/html", b"a page"), 1) == Decision(None, "http", "www.other.example", final=False)


def test_a_later_request_or_response_of_the_connection_may_be_media() -> None:
    by_type = opened(inspector())
    for _ in range(3):
        by_type.say(get(OTHER))
        by_type.say(response(b"text/html", b"a page"), 1)
    by_type.say(get(OTHER, b"/a.mp4"))
    assert by_type.say(response(b"video/mp4"), 1) == Decision(STREAMING, "http-media", "www.other.example", final=True)
    by_host = opened(inspector())
    by_host.say(get(OTHER))
    assert by_host.say(get(VIDEO)) == Decision(STREAMING, "http", "cdn.video.example", final=True)
    by_target = opened(inspector())
    by_target.say(get(OTHER))
    assert by_target.say(get(OTHER, b"/a.m3u8")) == Decision(STREAMING, "http-media", "www.other.example", final=True)


def test_a_media_type_counts_in_whatever_segments_the_head_comes_and_behind_a_hole() -> None:
    head = response(b"video/mp4", b"x" * 50)
    split = opened(inspector())
    split.say(get(OTHER))
    decisions = [split.say(head[at : at + 11], 1) for at in range(0, 99, 11)]
    assert decisions[-1] == Decision(STREAMING, "http-media", "www.other.example", final=True)
    holed = opened(inspector())
    holed.say(get(OTHER))
    holed.say(response(b"text/html"), 1)
    holed.lose(1400, 1)
    assert holed.say(head, 1) == Decision(STREAMING, "http-media", "www.other.example", final=True)


def test_a_connection_that_was_open_before_is_recognised_by_its_next_request() -> None:
    wire = Wire(inspector())
    wire.say(NOISE, 1)
    assert wire.say(get(OTHER, b"/1.m4s")) == Decision(STREAMING, "http-media", "www.other.example", final=True)


def test_at_the_end_of_its_budget_a_connection_of_pages_is_no_more_looked_at() -> None:
    wire = opened(inspector())
    decisions = [
        wire.say(get(OTHER) if number % 2 == 0 else response(b"text/html"), number % 2) for number in range(LONG_BUDGET + 1)
    ]
    assert [bool(decision and decision.final) for decision in decisions] == [False] * (LONG_BUDGET - 1) + [True] * 2
    assert wire.say(response(b"video/mp4"), 1) == Decision(None, "http", "www.other.example", final=True)
    assert (wire.inspector.counts.named, wire.inspector.counts.undecided) == (1, 0)


# --- detectors, learnt endpoints, the budget ---


@pytest.mark.parametrize("ends", [(CLIENT, ("198.51.100.2", 6881)), (("2001:db8::1", 50_000), ("2001:db8::2", 6881))])
def test_a_detector_decides_at_once_in_either_family_and_direction(ends: tuple[tuple[str, int], tuple[str, int]]) -> None:
    for side in (0, 1):
        wire = opened(inspector(), *ends)
        assert wire.say(HANDSHAKE, side) == Decision(P2P, "bittorrent", None, final=True)


def test_an_encrypted_flow_to_a_peer_that_was_named_is_peer_to_peer_and_to_others_is_not() -> None:
    one = inspector()
    dht = Wire(one, CLIENT, ("198.51.100.9", 6881))
    assert dht.udp(DHT_PING) == Decision(P2P, "bittorrent-dht", None, final=False)
    assert dht.udp(DHT_PEERS, side=1) == Decision(P2P, "bittorrent-dht", None, final=False)
    assert opened(one, ("192.0.2.1", 40_000), PEER).say(NOISE[:100]) == Decision(P2P, "bittorrent-encrypted", None, final=True)
    assert opened(one, ("192.0.2.1", 40_000), ("203.0.113.9", 443)).say(NOISE[:100]) is None
    assert opened(inspector(), ("192.0.2.1", 40_000), PEER).say(NOISE[:100]) is None
    assert opened(one, ("192.0.2.1", 40_001), PEER).say(records(named(OTHER))) == Decision(
        None, "tls", "www.other.example", final=True
    )


def test_what_one_inspector_learns_another_can_be_told() -> None:
    one, other = inspector(), inspector()
    dht = Wire(one, CLIENT, ("198.51.100.9", 6881))
    dht.udp(DHT_PING)
    dht.udp(DHT_PEERS, side=1)
    learnt = one.learnt()
    assert PEER_ENDPOINT in learnt
    assert one.learnt() == ()
    other.learn(SECOND, learnt)
    assert opened(other, CLIENT, PEER).say(NOISE[:100]) == Decision(P2P, "bittorrent-encrypted", None, final=True)


def test_what_names_peers_is_looked_at_to_the_end_of_its_budget_and_counted_once() -> None:
    wire = Wire(inspector(), CLIENT, ("198.51.100.9", 6881))
    decisions = [wire.udp(DHT_PING) for _ in range(BUDGET)]
    assert {decision.traffic_class for decision in decisions if decision} == {P2P}
    assert [bool(decision and decision.final) for decision in decisions] == [False] * (BUDGET - 1) + [True]
    assert wire.inspector.counts.decided[P2P] == 1


def test_a_tracker_over_http_is_peer_to_peer_with_its_name() -> None:
    decision = opened(inspector()).say(HTTP_ANNOUNCE)
    assert decision is not None
    assert (decision.traffic_class, decision.host) == (P2P, "t")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_at_the_end_of_its_budget_what_nobody_knows_is_undecided_and_counted(transport: str) -> None:
    wire = opened(inspector())
    say = wire.say if transport == "tcp" else wire.udp
    assert [say(NOISE) for _ in range(BUDGET)] == [None] * (BUDGET - 1) + [NOTHING]
    assert (wire.inspector.counts.undecided, wire.inspector.held) == (1, 0)


def test_what_is_sent_again_costs_no_budget() -> None:
    wire = opened(inspector())
    begin = wire.next[0]
    wire.say(NOISE)
    assert [wire.tcp(ACK, NOISE, sequence=begin) for _ in range(2 * BUDGET)] == [None] * (2 * BUDGET)
    assert wire.say(HANDSHAKE, 1) == Decision(P2P, "bittorrent", None, final=True)


# --- flows ---


def test_a_new_connection_between_the_same_ends_is_another_flow_and_a_repeated_syn_is_none() -> None:
    wire = opened(inspector())
    first = wire.next[0] - 1
    decision = wire.say(records(named(VIDEO)))
    assert wire.tcp(SYN, sequence=first) == decision
    assert wire.tcp(SYN, sequence=first + 90_000) is None
    wire.next[0] = first + 90_001
    assert wire.say(records(named(OTHER))) == Decision(None, "tls", "www.other.example", final=True)
    assert wire.inspector.counts.flows == 2


def test_datagrams_after_a_long_silence_are_another_flow() -> None:
    wire = Wire(inspector(), CLIENT, ("198.51.100.9", 6881))
    for _ in range(BUDGET):
        wire.udp(NOISE)
    wire.now += UDP_IDLE
    assert wire.udp(DHT_PING) == Decision(P2P, "bittorrent-dht", None, final=False)


def test_pieces_of_packets_and_other_protocols_are_flows_of_nothing() -> None:
    one = inspector()
    for data in (ipv4(udp(DHT_PING, 50_000, 6881), 17, cut=0x2000), ipv4(NOISE, 17, cut=5), ipv4(NOISE, 132), ipv4(b"", 17)):
        packet = decode(data, RAW)
        assert isinstance(packet, Decoded)
        assert one.feed(1, packet, data) is None
    assert (one.counts.flows, one.counts.fragments) == (0, 2)


def test_where_there_are_too_many_flows_the_least_used_goes_and_is_counted_if_it_was_undecided() -> None:
    one = Inspector(HOSTS, most_flows=3)
    wires = [opened(one, ("192.0.2.1", port)) for port in (1, 2, 3)]
    for wire in wires[:2]:
        wire.now += SECOND
    decided = wires[0].say(records(named(VIDEO)))
    wires[1].say(NOISE)
    opened(one, ("192.0.2.1", 4))  # in place of the third, which has said nothing since it was opened
    assert (len(one), one.counts.overflow) == (3, 1)
    assert wires[0].say(NOISE) == decided


def test_where_too_many_bytes_are_held_flows_go_until_they_fit() -> None:
    one = Inspector(HOSTS, most_bytes=10_000)
    for port in range(1, 30):
        wire = opened(one, ("192.0.2.1", port))
        wire.say(NOISE * 4)
        assert one.held <= 10_000
    assert one.counts.overflow == 29 - 10_000 // 1200


# --- whatever comes ---

TRAFFIC = [records(named(VIDEO)), initial(crypto(0, named(VIDEO)), size=1200), get(OTHER), DHT_PEERS, DNS, HANDSHAKE, NOISE]


@given(st.data())
def test_whatever_the_packets_are_nothing_is_raised_and_the_bounds_hold(data: st.DataObject) -> None:
    one = Inspector(HOSTS, most_flows=4, most_bytes=20_000)
    for _ in range(data.draw(st.integers(1, 25))):
        payload = bytearray(data.draw(st.sampled_from(TRAFFIC) | st.binary(min_size=1, max_size=60)))
        for _ in range(data.draw(st.integers(0, 2))):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
        port = data.draw(st.sampled_from([53, 443, 6881]))
        wire = Wire(one, ("192.0.2.1", data.draw(st.integers(1, 5))), ("198.51.100.2", port), data.draw(st.integers(0, 1 << 40)))
        side = data.draw(st.integers(0, 1))
        if data.draw(st.booleans()):
            wire.udp(bytes(payload), side)
        else:
            wire.tcp(data.draw(st.integers(0, 511)), bytes(payload), side, data.draw(st.integers(0, 3000)))
        assert len(one) <= 4
        assert one.held <= 20_000 or len(one) == 1


@given(st.binary(min_size=20, max_size=200))
def test_whatever_the_bytes_of_a_packet_are_nothing_is_raised(data: bytes) -> None:
    packet = decode(b"\x45\0" + len(data).to_bytes(2, "big") + bytes(4) + b"\x40" + data[9:], RAW)
    if isinstance(packet, Decoded):
        inspector().feed(0, packet, b"\x45\0" + len(data).to_bytes(2, "big") + bytes(4) + b"\x40" + data[9:])


def test_who_answers_a_syn_that_was_not_seen_is_the_server() -> None:
    inspector = Inspector(Hosts())
    server = "198.51.100.2", 6881
    wire = Wire(inspector, server=server)
    wire.tcp(SYN | ACK, side=1)
    wire.next[1] += 1
    wire.tcp(ACK)
    wire.say(HANDSHAKE)
    [learnt] = inspector.learnt()
    assert learnt.port == server[1]
