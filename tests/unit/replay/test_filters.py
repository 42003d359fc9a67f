"""The filter language: what matches, what is refused and where, and that no text makes it raise anything else."""

from __future__ import annotations

import operator
from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.gateway import PoolName
from edged.inspect.sight import TrafficClass
from edged.packet.layers import Fragment
from edged.policies import Site
from edged.replay.arrival import Side
from edged.replay.filter_predicate import predicate
from edged.replay.filter_syntax import parse
from edged.replay.filter_tokens import FilterError
from edged.replay.filter_values import site_names
from edged.replay.filters import Filter, Wording, asks
from tests.unit.replay.judging import ACK, ICMP, ICMPV6, NAMES, SYN, UDP, judged, packet, rejected

MAIL = rejected(packet(flags=SYN, length=60))
DNS = judged(packet("192.0.2.53", "203.0.113.70", UDP, 53, 40000, length=512), number=7, side=Side.UPSTREAM)
PING = judged(packet("2001:db8:d::1", "2001:db8::9", ICMPV6, None, None, icmp=(128, 0)), capture="b.pcap", number=2)
PIECE = judged(packet(protocol=UDP, sport=None, dport=None, fragment=Fragment(1, 1480, more=False)))
PACKETS = {"mail": MAIL, "dns": DNS, "ping": PING, "piece": PIECE}


def matching(text: str) -> str:
    """The packets that a filter matches, in words."""
    matches = predicate(parse(text, NAMES))
    return " ".join(name for name, each in PACKETS.items() if matches(each))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tcp.dport == 25 and src in dynamic", "mail"),
        ("tcp.dport == 0x19", "mail"),
        ("tcp.sport == 25", ""),
        ("udp.sport == 53", "dns"),
        ("udp.dport in 40000", "dns"),
        ("port == 40000", "mail dns"),
        ("port in {25, 53, 1000-2000}", "mail dns"),
        ("port in 20-60", "mail dns"),
        # a field that is not there makes the test false, whatever the operator; `not` of that test is true
        ("tcp.dport != 25", ""),
        ("not tcp.dport == 25", "dns ping piece"),
        ("udp.sport != 25", "dns"),
        ("port != 25", "dns"),
        ("port not in {53, 40000-40001}", ""),
        ("port not in {53}", "mail"),
        ("icmp.type == 128 && icmp.code < 1", "ping"),
        ("icmp.type != 128", ""),
        ("tcp", "mail"),
        ("udp", "dns piece"),
        ("icmp", "ping"),
        ("ip", "mail dns piece"),
        ("ip6", "ping"),
        ("frag", "piece"),
        ("frag == 0", "mail dns ping"),
        ("udp and !frag", "dns"),
        ("frag != 0", "piece"),
        ("ip.version == 6", "ping"),
        ("ip.version <= 4", "mail dns piece"),
        ("ip.proto == tcp", "mail"),
        ("ip.proto in {icmpv6, 17}", "dns ping piece"),
        ("ip.proto != udp", "mail ping"),
        ("len >= 100", "dns"),
        ("len in 0-99", "mail ping piece"),
        ("n in {2, 7-9}", "dns ping"),
        ("n > 2", "dns"),
        ("tcp.flags.syn", "mail"),
        ("tcp.flags.ack", ""),
        ("tcp.flags.ack == 0", "mail"),
        ("tcp.flags.syn and not tcp.flags.ack and not tcp.flags.rst and tcp.flags.fin != 1", "mail"),
        ("src == 203.0.113.7", "mail piece"),
        ("dst == 2001:db8::9", "ping"),
        ("dst != 2001:db8:0:0::9", "mail dns piece"),
        ("src in {203.0.113.0/28, 192.0.2.53}", "mail dns piece"),
        ("src not in {203.0.113.0/28, 192.0.2.53}", "ping"),
        ("src in dynamic", "mail ping piece"),
        ("dst in static", "dns"),
        ("dst in pools or src in pools", "mail dns ping piece"),
        ("src in never_block", ""),
        ("src not in never_block", "mail dns ping piece"),
        ("src in 2001:db8::/32", "ping"),
        ("verdict == reject", "mail"),
        ("verdict in {drop, reject}", "mail"),
        ("verdict != accept", "mail"),
        ("policy == op25b", "mail"),
        ('policy == "op25b"', "mail"),
        ("policy != op25b", ""),
        ("not policy == op25b", "dns ping piece"),
        ("rule == rules.d/20-op25b.yaml:4", "mail"),
        ("rule == 'rules.d/20-op25b.yaml:5'", ""),
        ("side == upstream", "dns"),
        ("capture == b.pcap", "ping"),
        ('capture in {"b.pcap", "c d.pcap"}', "ping"),
        # `and` binds closer than `or`, `not` closest
        ("ip6 or udp and frag", "ping piece"),
        ("(ip6 or udp) and frag", "piece"),
        ("not udp and ip", "mail"),
        ("not (udp and ip)", "mail ping"),
        ("!!tcp", "mail"),
        ("tcp\n  or\tudp.sport==53||icmp", "mail dns ping"),
    ],
)
def test_what_a_filter_matches(text: str, names: str) -> None:
    assert matching(text) == names


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("class == p2p", "p2p"),
        ("class != p2p", "streaming"),
        ("not class == p2p", "streaming none"),
        ("class in {p2p, streaming}", "p2p streaming"),
        ("not class in {p2p, streaming} and tcp", "none"),
    ],
)
def test_a_class_is_that_of_the_packets_flow_and_most_have_none(text: str, classes: str) -> None:
    packets = {"p2p": judged(class_=TrafficClass.P2P), "streaming": judged(class_=TrafficClass.STREAMING), "none": judged()}
    matches = predicate(parse(text, NAMES))
    assert " ".join(name for name, each in packets.items() if matches(each)) == classes


@pytest.mark.parametrize("text", ["class == p2p", "tcp and not class in {p2p, streaming}", "(udp or class != p2p) and ip"])
def test_whether_a_filter_asks_for_a_class(text: str) -> None:
    assert asks(parse(text, NAMES), Wording.CLASS)
    assert not asks(parse(text, NAMES), Wording.POLICY)
    assert not asks(parse("src in dynamic and tcp.dport == 25 and not frag", NAMES), Wording.CLASS)


def test_what_stands_side_by_side_is_not_nested() -> None:
    matches = predicate(parse(" and ".join(["(not udp)"] * 1_000), NAMES))
    assert matches(MAIL)
    assert not matches(DNS)


COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@given(st.sampled_from(sorted(COMPARISONS)), st.integers(1, 65534), st.integers(-1, 1) | st.integers(-65535, 65535))
def test_comparisons_are_those_of_numbers(sign: str, value: int, away: int) -> None:
    port = min(max(value + away, 0), 65535)
    matches = predicate(parse(f"tcp.dport {sign} {value}", NAMES))
    assert matches(judged(packet(dport=port))) is COMPARISONS[sign](port, value)


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 3000)), min_size=1, max_size=6),
    st.integers(0, 65535),
)
def test_a_set_holds_what_one_of_its_members_holds(members: list[tuple[int, int]], port: int) -> None:
    rows = [(first, min(first + more, 65535)) for first, more in members]
    text = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in rows)
    inside, outside = (predicate(parse(f"udp.sport {word} {{{text}}}", NAMES)) for word in ("in", "not in"))
    for each in (port, *(end + away for row in rows for end in row for away in (-1, 0, 1))):
        wanted = any(first <= each <= last for first, last in rows)
        its = judged(packet(protocol=UDP, sport=each))
        assert (inside(its), outside(its)) == (wanted, not wanted)


WORDS = (
    "tcp udp ip6 frag not and or in src dst port tcp.dport verdict n == != < <= ( ) { } , ! 25 0x1f 1-2 dynamic 192.0.2.0/24 ::1"
)
PIECES = st.sampled_from([*WORDS.split(), '"text"', "reject", "9" * 5000]) | st.text(max_size=6)


def parsed(text: str) -> Filter | FilterError:
    try:
        return parse(text, NAMES)
    except FilterError as error:
        return error


@given(st.lists(PIECES, max_size=14).map(" ".join) | st.text())
def test_every_text_is_a_filter_or_a_filter_error(text: str) -> None:
    found = parsed(text)
    if isinstance(found, FilterError):
        assert 0 <= found.offset <= len(text)
        assert str(found).startswith(found.message)
        assert all(line.isprintable() for line in str(found).split("\n"))
        return
    matches, opposite = predicate(found), predicate(parse(f"not ({text})", NAMES))
    for each in PACKETS.values():
        assert matches(each) is not opposite(each)


def test_pools_are_named_as_the_policies_see_them() -> None:
    site = Site(
        ("lan0",),
        ("wan0",),
        {
            PoolName.DYNAMIC: (ip_network("203.0.113.0/25"), ip_network("2001:db8:d::/48")),
            PoolName.STATIC: (ip_network("203.0.113.64/28"),),
        },
        never_block=(ip_network("192.0.2.0/28"),),
    )
    names = site_names(site)
    assert {name: {str(each) for each in prefixes} for name, prefixes in names.items()} == {
        "dynamic": {"203.0.113.0/26", "203.0.113.80/28", "203.0.113.96/27", "2001:db8:d::/48"},
        "static": {"203.0.113.64/28"},
        "pools": {"203.0.113.0/25", "2001:db8:d::/48"},
        "never_block": {"192.0.2.0/28"},
    }


def test_icmp_of_both_families_and_flags_of_tcp_alone() -> None:
    fours = judged(packet(protocol=ICMP, sport=None, dport=None, icmp=(3, 1)))
    assert predicate(parse("icmp and icmp.type == 3 and ip", NAMES))(fours)
    assert not predicate(parse("tcp.flags.ack == 0", NAMES))(fours)
    assert predicate(parse("tcp.flags.ack and tcp.flags.syn", NAMES))(judged(packet(flags=SYN | ACK)))
