"""The kernel engine: each verdict with its rule, and that nothing is lost, mixed up or left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

import pytest

from edged.config.gateway import PoolName
from edged.errors import KernelError, Refused
from edged.kernel.namespace import NAMESPACES
from edged.policies import Blocklist, Caps, Ip53b, Op25b, Policy, Site, Spoof
from edged.replay.arrival import Arrival, Side
from edged.replay.kernel import KernelEngine
from edged.replay.sides import Sides
from edged.replay.verdict import Judged
from edged.ruleset.nodes import ConntrackState, Drop, StateIn
from edged.ruleset.tree import Chain, Hook, Rule, Table
from tests.gateway import BOTH, IPV4, IPV6, NOW, SERVERS, SITE, Addresses, make, prefixes, table_of
from tests.netns.replay.captures import arrivals, corpus, down, read, together, up
from tests.netns.replay.packets import ACK, RST, SYN, cut, ping, tcp, udp, unreachable

SIOCSIFFLAGS = 0x8914
FAR = {4: ip_address("198.18.0.9"), 6: ip_address("2001:db8:f::9")}  # in no pool and on no list
POLICIES = (make(Op25b, exempt={"destinations": list(SERVERS)}), make(Ip53b), make(Spoof), make(Blocklist), make(Caps))


def engine_for(*policies: Policy, site: Site = SITE) -> KernelEngine:
    return KernelEngine(table_of(policies, site), site, clock=lambda: NOW)


@pytest.fixture(scope="module")
def engine() -> Iterator[KernelEngine]:
    with engine_for(*POLICIES) as entered:
        yield entered


def told(engine: KernelEngine, capture: list[Arrival]) -> list[str]:
    """Each verdict, with the policy and the rule that gave it."""
    judged = list(engine.judge(capture))
    assert [each.arrival for each in judged] == capture
    return [said(each) for each in judged]


def said(judged: Judged) -> str:
    verdict, policy, rule, _ = judged.judgement
    return " ".join(word for word in (verdict.value, policy, rule) if word)


both = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)


@both
def test_each_policy_stops_what_it_is_for_and_its_rule_is_named(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    capture = together(
        up(
            tcp(at.dynamic, far, 25),
            tcp(at.dynamic, at.server, 25),
            tcp(at.static, far, 25),
            tcp(at.dynamic, far, 443),
            tcp(at.dynamic, at.outside, 443),
            udp(at.outside, far, 53),
        ),
        down(
            tcp(far, at.dynamic, 40000, sport=25, flags=SYN | ACK),
            udp(far, at.dynamic, 53),
            udp(far, at.static, 53),
            udp(at.static, at.dynamic, 123),
            ping(at.outside, at.static),
        ),
    )
    assert told(engine, capture) == [
        "reject op25b op25b.action:1",
        "accept",
        "accept",
        "accept",
        "drop blocklist blocklist.action:1",
        "drop spoof spoof.policy:1",
        "drop op25b op25b.replies:1",
        "drop ip53b ip53b.policy:1",
        "accept",
        "drop spoof spoof.policy:1",
        "drop blocklist blocklist.action:1",
    ]


@both
def test_a_policy_that_drops_gives_no_reject(at: Addresses) -> None:
    with engine_for(make(Op25b, action="drop")) as engine:
        assert told(engine, up(tcp(at.dynamic, FAR[at.dynamic.version], 25))) == ["drop op25b op25b.action:1"]


@both
def test_what_policies_only_observe_passes_and_they_are_named(at: Addresses) -> None:
    far = at.outside
    with engine_for(make(Op25b, mode="observe"), make(Blocklist, mode="observe")) as engine:
        capture = up(tcp(at.dynamic, far, 25), tcp(at.dynamic, far, 443), tcp(at.static, far, 25))
        judged = list(engine.judge(capture))
    assert [said(each) for each in judged] == ["accept"] * 3
    assert [each.judgement.observed for each in judged] == [("blocklist", "op25b"), ("blocklist",), ("blocklist",)]


@both
def test_every_way_of_answering_is_a_reject(at: Addresses) -> None:
    """And what cannot be answered is one too: RFC 9293 has no reset for a reset, and nobody trusts a wrong checksum."""
    far = FAR[at.dynamic.version]
    with engine_for(make(Op25b), make(Blocklist, action="reject")) as engine:
        capture = up(
            tcp(at.dynamic, far, 25, flags=ACK),
            tcp(at.dynamic, far, 25, flags=RST),
            tcp(at.dynamic, far, 25, wrong_sum=True),
            udp(at.dynamic, at.outside, 40000),
        )
        assert told(engine, capture)[:3] == ["reject op25b op25b.action:1"] * 3
        assert told(engine, capture)[3] == "reject blocklist blocklist.action:1"


def test_answers_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the rules that refuse for others: the answers are then a contradiction."""
    for at in BOTH:
        with engine_for(make(Op25b), make(Blocklist, action="reject")) as engine:
            assert engine._gateway is not None
            harmless = {handle: Rule(rule.name) for handle, rule in engine._gateway.rules.items()}
            monkeypatch.setattr(engine._gateway, "rules", harmless)
            for one in (tcp(at.dynamic, FAR[at.dynamic.version], 25), udp(at.dynamic, at.outside, 9)):
                with pytest.raises(KernelError, match="packet 1 of made was refused, but the rules that it met are: "):
                    list(engine.judge(up(one)))
                monkeypatch.setattr(engine, "_left_behind", False)


@both
def test_pieces_have_the_verdict_of_the_whole_packet(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    mail, web = (tcp(at.dynamic, far, port) for port in (25, 443))
    stopped, passing = cut(mail, 24, 48), cut(web, 24, 48, identification=8)
    between = udp(at.dynamic, far)
    capture = up(stopped[0], passing[2], between, stopped[1], passing[1], stopped[2], passing[0], between)
    refused = "reject op25b op25b.action:1"
    assert told(engine, capture) == [refused, "accept", "accept", refused, "accept", refused, "accept", "accept"]
    backwards = together(up(*reversed(stopped)), up(*stopped))
    assert told(engine, backwards) == [refused] * 6


@both
def test_pieces_that_meet_no_rule_pass(at: Addresses) -> None:
    with engine_for() as engine:
        pieces = cut(udp(at.dynamic, at.outside), 24)
        assert told(engine, up(*pieces)) == ["accept", "accept"]


@both
def test_pieces_of_no_whole_packet_are_dropped_by_no_policy(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    first, second, third = cut(tcp(at.dynamic, far, 25), 24, 48)
    behind = udp(at.dynamic, far)
    assert told(engine, up(first, behind, third)) == ["drop", "accept", "drop"]
    # of another capture, though it would fit
    assert told(engine, up(second)) == ["drop"]


@both
def test_a_piece_that_comes_twice_counts_once(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    first, second, third = cut(tcp(at.dynamic, far, 25), 24, 48)
    refused = "reject op25b op25b.action:1"
    assert told(engine, up(first, first, second, third)) == [refused, "drop", refused, refused]


@both
def test_pieces_that_overlap_undo_each_other(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    whole = tcp(at.dynamic, far, 25)
    first, second, third = cut(whole, 24, 48)
    across = cut(whole, 16, 40)[1]
    refused = "reject op25b op25b.action:1"
    assert told(engine, up(first, across, first, second, third)) == ["drop", "drop", refused, refused, refused]


def test_a_first_piece_that_ends_in_its_header_goes_alone_whatever_waits(engine: KernelEngine) -> None:
    """Linux hands it to the rules as it is (ipv6frag_thdr_truncated)."""
    short, second, third = cut(tcp(IPV6.dynamic, FAR[6], 25), 8, 48)
    assert told(engine, up(third, second, short)) == ["drop", "drop", "reject op25b op25b.action:1"]


@both
def test_many_pieces_wait_over_many_batches(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    first, second = cut(tcp(at.dynamic, far, 25), 24)
    others = [udp(at.dynamic, far)] * 1000
    expected = ["reject op25b op25b.action:1", *["accept"] * 1000, "reject op25b op25b.action:1"]
    assert told(engine, up(first, *others, second)) == expected


@both
def test_icmp_errors_are_judged_by_their_own_addresses(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    probe = udp(at.dynamic, far, 33434)
    capture = together(
        up(probe),
        down(unreachable(far, probe, at.dynamic), unreachable(at.outside, probe, at.dynamic)),
    )
    assert told(engine, capture) == ["accept", "accept", "drop blocklist blocklist.action:1"]


@both
def test_equal_packets_each_have_their_verdict(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    mail, web = tcp(at.dynamic, far, 25), tcp(at.dynamic, far, 443)
    capture = up(*[mail, web, web, mail] * 100)
    refused = "reject op25b op25b.action:1"
    assert told(engine, capture) == [refused, "accept", "accept", refused] * 100


@both
def test_a_packet_from_an_address_to_itself_is_no_answer(engine: KernelEngine, at: Addresses) -> None:
    assert told(engine, up(tcp(at.dynamic, at.dynamic, 25, sport=25, flags=RST))) == ["accept"]


@both
def test_the_hop_limit_of_the_capture_ends_nothing(engine: KernelEngine, at: Addresses) -> None:
    far = FAR[at.dynamic.version]
    packets = [udp(at.dynamic, far, hops=hops) for hops in range(256)]
    assert told(engine, up(*packets)) == ["accept"] * 256


def test_a_wrong_header_checksum_stays_wrong(engine: KernelEngine) -> None:
    for hops in (1, 64, 255):
        packet = bytearray(udp(IPV4.dynamic, FAR[4], hops=hops))
        packet[10] ^= 0x11
        assert told(engine, up(bytes(packet))) == ["drop"]


@both
def test_a_packet_that_is_shorter_than_it_says_is_dropped_and_one_that_was_snapped_is_not(
    engine: KernelEngine, at: Addresses
) -> None:
    whole = tcp(at.dynamic, FAR[at.dynamic.version], 25)
    snapped = whole[:-40]
    assert told(engine, up(snapped)) == ["drop"]
    assert told(engine, arrivals(Side.ACCESS, snapped, on_wire=len(whole))) == ["reject op25b op25b.action:1"]


@both
def test_the_longest_packet_passes(engine: KernelEngine, at: Addresses) -> None:
    header = 20 if at is IPV4 else 40
    longest = udp(at.dynamic, FAR[at.dynamic.version], size=65535 - header - 8)
    assert len(longest) == 65535
    assert told(engine, up(longest)) == ["accept"]


def test_flows_of_one_capture_are_unknown_to_the_next() -> None:
    known = Rule("known", (StateIn((ConntrackState.ESTABLISHED,)),), Drop(), policy="known")
    there, back = udp(IPV4.dynamic, FAR[4], 8, sport=7), udp(FAR[4], IPV4.dynamic, 7, sport=8)
    with KernelEngine(Table(chains=(Chain("forward", (known,), Hook()),)), SITE) as engine:
        assert told(engine, together(up(there), down(back))) == ["accept", "drop known"]
        assert told(engine, down(back)) == ["accept"]


def test_interfaces_may_be_many_and_wildcards_and_pools_may_nest() -> None:
    pools = {
        PoolName.DYNAMIC: prefixes("0.0.0.0/0", "2001:db8::/32"),
        PoolName.STATIC: prefixes("203.0.113.0/25", "2001:db8::/32"),
    }
    site = Site(access=("ppp*", "lan0.100"), upstream=("wan0", "wan*"), pools=pools)
    with engine_for(make(Op25b, pools=["dynamic", "static"]), make(Spoof), site=site) as engine:
        mail = tcp(IPV4.dynamic, FAR[4], 25)
        # all of IPv4 is the access side, so mail from there leaves to there
        assert told(engine, together(up(mail), down(mail))) == ["accept", "drop spoof spoof.policy:1"]
        mail = tcp(IPV6.dynamic, ip_address("2600::1"), 25)
        assert told(engine, together(up(mail), down(mail))) == ["reject op25b op25b.action:1", "drop spoof spoof.policy:1"]


def test_no_rate_is_exceeded_because_the_replay_is_fast() -> None:
    with engine_for(make(Op25b)) as engine:
        since = time.monotonic()
        capture = up(*[tcp(IPV4.dynamic, FAR[4], 25)] * 2500)
        assert Counter(told(engine, capture)) == {"reject op25b op25b.action:1": 2500}
        assert time.monotonic() - since > 1, "the limit is 1000 a second, after the first 1000"


@pytest.mark.parametrize("name", ["_traces", "_heard"])
def test_lost_news_end_the_replay(name: str) -> None:
    with engine_for(make(Op25b)) as engine:
        listening = getattr(engine._gateway, name)
        if isinstance(listening, socket.socket):
            listening.settimeout(0.5)
        getattr(listening, "_socket", listening).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with pytest.raises(KernelError, match=r"some were lost|[1-9]\d* after it"):
            list(engine.judge(up(*[udp(IPV4.dynamic, FAR[4])] * 200)))
        assert told(engine, up(tcp(IPV4.dynamic, FAR[4], 25))) == ["reject op25b op25b.action:1"], "begun anew"


def test_frames_that_do_not_come_in_end_the_replay() -> None:
    with engine_for() as engine:
        assert engine._gateway is not None
        listening = engine._gateway._heard
        listening.settimeout(0.5)
        down_now = struct.pack("16sH22x", b"lan0", 0)
        fcntl.ioctl(listening, SIOCSIFFLAGS, down_now)
        # the kernel says so at once (ENOBUFS), or the packets are missed afterwards: that depends on when it sees the link go
        with pytest.raises(KernelError, match=r"[1-9]\d* packets were lost before the gateway|cannot be sent into the gateway"):
            list(engine.judge(up(*[udp(IPV4.dynamic, FAR[4])] * 20)))


def test_a_replay_that_was_left_does_not_mix_with_the_next(engine: KernelEngine) -> None:
    pieces = cut(tcp(IPV4.dynamic, FAR[4], 25), 24)
    started = engine.judge(up(udp(IPV4.dynamic, FAR[4]), pieces[0]))
    assert next(iter(started)).arrival.number == 1
    del started
    assert told(engine, up(pieces[1])) == ["drop"]


def test_a_piece_is_given_up_when_the_kernel_does(engine: KernelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.replay.kernel.pieces._PATIENCE", -1)
    piece = cut(tcp(IPV4.dynamic, FAR[4], 25), 24)[0]
    consumed = 0

    def capture() -> Iterator[Arrival]:
        nonlocal consumed
        for arrival in up(piece, *[udp(IPV4.dynamic, FAR[4])] * 1000):
            consumed += 1
            yield arrival

    assert said(next(engine.judge(capture()))) == "drop"
    assert consumed < 600, "its verdict is told before the capture ends"


def test_without_room_in_conntrack_the_replay_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_for(make(Op25b)) as engine:
        monkeypatch.setattr(engine._gateway, "_limit", 300)
        capture = up(*(udp(IPV4.dynamic, FAR[4], sport=port) for port in range(1, 600)))
        judged = engine.judge(capture)
        with pytest.raises(KernelError, match="conntrack has no room for more connections"):
            list(judged)


def test_without_root_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="sudo, or use --engine model"), engine_for():
        pass


def test_nothing_is_lost_of_five_thousand_packets_of_the_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    sides = Sides(SITE)
    packets = list(islice((arrival for path in corpus() for arrival in read(path, sides)), 5000))
    assert len(packets) == 5000
    with engine_for(*POLICIES) as engine:
        since = time.monotonic()
        judged = list(engine.judge(packets))
        took = time.monotonic() - since
    assert [each.arrival for each in judged] == packets
    verdicts = Counter(each.judgement.verdict.value for each in judged)
    assert verdicts["accept"] > 4000
    with capsys.disabled():
        print(f"\n  {len(judged)} packets of the corpus in {took:.2f} s, {len(judged) / took:.0f} a second: {dict(verdicts)}")


def namespaces() -> set[str]:
    return {path.name for path in NAMESPACES.glob("edged-replay-*")}


def test_no_namespace_has_a_name_once_the_gateway_stands_and_none_is_left() -> None:
    before = namespaces()
    with engine_for() as engine:
        assert namespaces() == before
        assert told(engine, up(tcp(IPV4.dynamic, FAR[4], 25))) == ["accept"], "it stands nevertheless"
    assert namespaces() == before


def test_a_gateway_that_cannot_be_made_leaves_nothing() -> None:
    before = namespaces()
    broken = replace(SITE, upstream=("a-name-too-long-for-an-interface",))
    with pytest.raises(Exception, match="could not be built"), engine_for(site=broken):
        pass
    assert namespaces() == before


def test_what_a_killed_process_left_is_removed_by_the_next() -> None:
    code = (
        "import os, signal; from edged.replay.kernel import network; from tests.gateway import SITE;"
        "network.build(SITE); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -signal.SIGKILL
    left = {name for name in namespaces() if not Path("/proc", name.split("-")[2].split(".")[0]).exists()}
    assert len(left) == 2
    with engine_for():
        assert not left & namespaces()
