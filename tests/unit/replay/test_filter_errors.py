"""What the filter language refuses: the message, the place, and how both are shown."""

from __future__ import annotations

import pytest

from edged.replay.filter_predicate import predicate
from edged.replay.filter_syntax import DEEPEST, parse
from edged.replay.filter_tokens import FilterError
from tests.unit.replay.judging import NAMES, SYN, packet, rejected

MAIL = rejected(packet(flags=SYN))


def refused(text: str) -> tuple[str, int]:
    with pytest.raises(FilterError) as caught:
        parse(text, NAMES)
    return caught.value.message, caught.value.offset


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "expected a test such as tcp.dport == 25, 'not' or '(', got the end", 0),
        ("tcp and", "expected a test such as tcp.dport == 25, 'not' or '(', got the end", 7),
        ("tcp udp", "expected 'and', 'or' or the end, got 'udp'", 4),
        ("tcp adn udp", "expected 'and', 'or' or the end, got 'adn' (did you mean 'and'?)", 4),
        ("(tcp AND udp)", "expected 'and', 'or' or ')', got 'AND' (did you mean 'and'?)", 5),
        ("tcp)", "expected 'and', 'or' or the end, got ')'", 3),
        ("tcp.dprot == 25", "unknown field 'tcp.dprot' (did you mean 'tcp.dport'?)", 0),
        ("ip.src == 192.0.2.1", "unknown field 'ip.src' (did you mean 'src'?)", 0),
        ("tcp.dport = 25", "'=' is no operator; write '=='", 10),
        ("tcp & udp", "'&' is no operator; write 'and'", 4),
        ("capture == 'a", "the quote is never closed", 11),
        ("tcp.dport", "tcp.dport: expected an operator: == != < <= > >= in, got the end", 9),
        ("tcp.dport 25", "tcp.dport: expected an operator: == != < <= > >= in, got '25'", 10),
        ("tcp == 6", "'tcp' stands by itself; what is compared is a field such as tcp.dport or ip.proto", 4),
        ("src not 192.0.2.1", "expected 'in' after 'not', got '192.0.2.1'", 8),
        ("tcp.dport ==", "expected a value, got the end", 12),
        ("tcp.dport in {}", "expected a value, got '}'", 14),
        ("tcp.dport in {25 26}", "expected ',' or '}', got '26'", 17),
        # a value of another kind
        ("tcp.dport == 70000", "tcp.dport: expected a port from 0 to 65535, got '70000'", 13),
        (
            "tcp.dport == 192.0.2.1",
            "tcp.dport: expected a port from 0 to 65535, got '192.0.2.1' (addresses are those of src and dst)",
            13,
        ),
        ('tcp.dport == "25"', "tcp.dport: expected a port from 0 to 65535, got the text '25' (numbers stand without quotes)", 13),
        ("tcp.dport == 25-30", "tcp.dport: expected a port from 0 to 65535, got '25-30' (a range stands behind 'in')", 13),
        ("tcp.dport in 30-25", "the range 30-25 goes down; write 25-30", 13),
        ("tcp.dport in 30-70000", "tcp.dport: expected a port from 0 to 65535, got '30-70000'", 13),
        ("icmp.type == 256", "icmp.type: expected a number from 0 to 255, got '256'", 13),
        ("n == 0", "n: expected a number from 1 to 18446744073709551615, got '0'", 5),
        ("len == ٣", "len: expected a number from 0 to 4294967295, got '٣'", 7),
        (
            "ip.proto == tpc",
            "ip.proto: expected icmp, tcp, udp, gre, esp, icmpv6, sctp or a number from 0 to 255, got 'tpc' "
            "(did you mean 'tcp'?)",
            12,
        ),
        (
            "src == 25",
            "src: expected an address such as 192.0.2.1 or 2001:db8::1, got '25' "
            "(ports are those of tcp.dport, udp.dport and the like)",
            7,
        ),
        ("src == dynamic", "src: expected an address, got 'dynamic' (write: src in dynamic)", 7),
        ("src == 192.0.2.0/24", "src: expected an address, got '192.0.2.0/24' (write: src in 192.0.2.0/24)", 7),
        (
            "src in dynmic",
            "src: expected dynamic, static, pools, never_block, an address or a prefix such as 192.0.2.0/24, got 'dynmic' "
            "(did you mean 'dynamic'?)",
            7,
        ),
        (
            "src in 192.0.2.1/24",
            "src: the host bits are set in '192.0.2.1/24'; write 192.0.2.0/24 (or 192.0.2.1 for that one address)",
            7,
        ),
        ("src < 192.0.2.1", "src: only numbers are greater or less; expected == != in, got '<'", 4),
        ("verdict == rejct", "verdict: expected 'accept', 'drop' or 'reject', got 'rejct' (did you mean 'reject'?)", 11),
        ("side == acess", "side: expected 'access' or 'upstream', got 'acess' (did you mean 'access'?)", 8),
        (
            "policy == op25",
            "policy: expected 'spoof', 'blocklist', 'op25b', 'ip53b' or 'caps', got 'op25' (did you mean 'op25b'?)",
            10,
        ),
        ("class == p2", "class: expected 'p2p' or 'streaming', got 'p2' (did you mean 'p2p'?)", 9),
        ("clas == p2p", "unknown field 'clas' (did you mean 'class'?)", 0),
        ("class > p2p", "class: only numbers are greater or less; expected == != in, got '>'", 6),
        ("class in {p2p, bulk}", "class: expected 'p2p' or 'streaming', got 'bulk'", 15),
        ("rule == op25b", "rule: expected a rule's place such as \"rules.d/20-op25b.yaml:4\", got 'op25b'", 8),
        ("tcp.flags.syn == yes", "tcp.flags.syn: expected 0 or 1, got 'yes'", 17),
        # what no packet can match
        ("tcp.dport > 65535", "tcp.dport: nothing is > 65535; no packet can match this", 10),
        ("len < 0", "len: nothing is < 0; no packet can match this", 4),
        ("ip.version == 5", "ip.version: no packet can match this", 0),
        ("ip6 and src == 192.0.2.1", "this asks for IPv4, and what stands before it for IPv6; no packet can match both", 8),
        (
            "(src in 2001:db8::/32 or ip6) and frag and dst in {192.0.2.0/24}",
            "this asks for IPv4, and what stands before it for IPv6; no packet can match both",
            43,
        ),
        ("udp and tcp.flags.syn", "this asks for TCP, and what stands before it for UDP; no packet can match both", 8),
        (
            "tcp.dport == 25 and icmp.type == 3",
            "this asks for ICMP or ICMPv6, and what stands before it for TCP; no packet can match both",
            20,
        ),
        (
            "ip.proto not in {6, 17} and tcp",
            "this asks for TCP, and what stands before it for all but TCP or UDP; no packet can match both",
            28,
        ),
    ],
)
def test_what_is_refused_and_where(text: str, message: str, offset: int) -> None:
    assert refused(text) == (message, offset)


@pytest.mark.parametrize(
    "text",
    [
        "ip6 or src == 192.0.2.1",
        "not ip6 and src == 192.0.2.1",
        "src != 192.0.2.1 and ip6",
        "src in dynamic and ip6",
        "src in never_block and ip6",
        "(tcp or udp) and tcp.dport == 25",
        "ip.proto != 17 and tcp",
        "port == 53 and ip.proto == sctp",
    ],
)
def test_what_some_packet_can_match_is_not_refused(text: str) -> None:
    assert callable(predicate(parse(text, NAMES)))


def test_the_error_shows_the_line_with_a_caret_below() -> None:
    with pytest.raises(FilterError) as caught:
        parse("tcp\n  and capture == '日本' and srcc == 1\n  and udp", NAMES)
    message, line, caret = str(caught.value).split("\n")
    assert message == "unknown field 'srcc' (did you mean 'src'?)"
    assert line == "    and capture == '日本' and srcc == 1"
    assert caret == f"{' ' * (line.index('srcc') + 2)}^"  # the two characters are each two columns wide


def test_of_a_long_line_only_what_is_near_is_shown() -> None:
    with pytest.raises(FilterError) as caught:
        parse(f"{'tcp or ' * 50_000}x{' or tcp' * 50_000}", NAMES)
    assert len(str(caught.value)) < 700


def test_the_depth_has_an_end() -> None:
    assert predicate(parse(f"{'(' * (DEEPEST - 1)}tcp{')' * (DEEPEST - 1)}", NAMES))(MAIL)
    for opening in ("(", "not ", "!"):
        message, offset = refused(f"{opening * 100_000}tcp")
        assert (message, offset) == (f"nested more than {DEEPEST} levels deep", DEEPEST * len(opening))
