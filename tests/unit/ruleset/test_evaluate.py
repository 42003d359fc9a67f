"""The simulator walks chains as nft does: jump comes back, goto does not, and what it cannot judge it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from edged.addresses import Family, Range
from edged.packed import Keys
from edged.packet.packet import FlowState, Packet
from edged.ruleset.evaluate import CannotJudge, Decision, Outcome, evaluate
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    ConntrackDirection,
    ConntrackState,
    Continue,
    DirectionIs,
    Drop,
    FlowBytesAbove,
    FlowPacketsBelow,
    GenerationIs,
    GoesOut,
    Goto,
    HasLease,
    IsFamily,
    Jump,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    PortIs,
    PrefixIn,
    Prohibit,
    Queue,
    RateAbove,
    ResetTcp,
    Return,
    SetGeneration,
    SetMark,
    Side,
    StateIn,
    Transport,
    TransportIs,
    Verdict,
)
from edged.ruleset.sets import AddressSet, Element, Holds, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Hook, Rule, Table
from tests.gateway import IPV4, IPV6, NOW, UDP, up

PACKET = up(IPV4.dynamic, IPV4.outside)


Chains = tuple[tuple[str, Sequence[Verdict]], ...]


def walk(*chains: tuple[str, Sequence[Verdict]], packet: Packet = PACKET) -> tuple[Outcome, list[str]]:
    """The outcome in the first chain, and the rules that matched, named by chain and number."""
    made = [
        Chain(name, tuple(Rule(f"{name}{place}", then=verdict) for place, verdict in enumerate(verdicts, 1)))
        for name, verdicts in chains
    ]
    decision = evaluate(Table(chains=(replace(made[0], hook=Hook()), *made[1:])), packet, FlowState(), NOW)
    return decision.outcome, [rule.name for rule in decision.matched]


def test_jump_comes_back_to_the_next_rule() -> None:
    assert walk(("a", [Jump("b"), Drop()]), ("b", [Continue()])) == (Outcome.DROP, ["a1", "b1", "a2"])


def test_return_comes_back_to_the_chain_that_jumped() -> None:
    assert walk(("a", [Jump("b"), Drop()]), ("b", [Return(), Accept()])) == (Outcome.DROP, ["a1", "b1", "a2"])


def test_goto_comes_back_to_where_its_chain_was_jumped_to_from() -> None:
    chains: Chains = (("a", [Jump("b"), Drop()]), ("b", [Goto("c"), Accept()]), ("c", [Continue()]))
    assert walk(*chains) == (Outcome.DROP, ["a1", "b1", "c1", "a2"])


def test_return_after_goto_comes_back_as_far() -> None:
    chains: Chains = (("a", [Jump("b"), Drop()]), ("b", [Goto("c"), Accept()]), ("c", [Return(), Accept()]))
    assert walk(*chains) == (Outcome.DROP, ["a1", "b1", "c1", "a2"])


def test_goto_from_the_base_chain_ends_with_its_policy() -> None:
    assert walk(("a", [Goto("b"), Drop()]), ("b", [])) == (Outcome.ACCEPT, ["a1"])


def test_return_in_the_base_chain_ends_with_its_policy() -> None:
    assert walk(("a", [Return(), Drop()])) == (Outcome.ACCEPT, ["a1"])


def test_a_verdict_deep_inside_ends_it_all() -> None:
    for verdict, outcome in (
        (Accept(), Outcome.ACCEPT),
        (Drop(), Outcome.DROP),
        (ResetTcp(), Outcome.REJECT),
        (Prohibit(), Outcome.REJECT),
    ):
        assert walk(("a", [Jump("b"), Drop()]), ("b", [Jump("c")]), ("c", [verdict, Drop()])) == (outcome, ["a1", "b1", "c1"])


def test_a_reset_is_for_tcp_alone() -> None:
    assert walk(("a", [ResetTcp(), Drop()]), packet=replace(PACKET, protocol=UDP)) == (Outcome.DROP, ["a2"])


@pytest.mark.parametrize("protocol", [1, 6, UDP, 50, 58])
def test_an_icmp_error_answers_every_protocol(protocol: int) -> None:
    assert walk(("a", [Prohibit(), Accept()]), packet=replace(PACKET, protocol=protocol)) == (Outcome.REJECT, ["a1"])


def through(*bases: tuple[str, int, Verdict]) -> tuple[Outcome, list[str], str | None]:
    """The outcome of a table of base chains with one rule each, named by the hook; which rules matched, which one accepted."""
    chains = tuple(
        Chain(f"{hook}{level}", (Rule(f"{hook}{level}", then=then),), Hook(hook, level)) for hook, level, then in bases
    )
    decision = evaluate(Table(chains=(*chains, Chain("other", (Rule("never", then=Drop()),)))), PACKET, FlowState(), NOW)
    return decision.outcome, [rule.name for rule in decision.matched], decision.rule.name if decision.rule else None


def test_base_chains_are_met_in_the_order_of_their_hooks_and_priorities() -> None:
    bases = (("postrouting", -150), ("forward", 10), ("prerouting", 300), ("forward", 0), ("forward", -5))
    met = ["prerouting300", "forward-5", "forward0", "forward10", "postrouting-150"]
    assert through(*((hook, level, Continue()) for hook, level in bases)) == (Outcome.ACCEPT, met, None)


@pytest.mark.parametrize("hook", ["input", "output", "ingress"])
def test_a_forwarded_packet_meets_no_chain_of_the_machines_own(hook: str) -> None:
    assert through((hook, 0, Drop()), ("forward", 0, Continue())) == (Outcome.ACCEPT, ["forward0"], None)


def test_an_accept_ends_its_own_base_chain_and_a_drop_all() -> None:
    first, last = ("forward", 0, Accept()), ("postrouting", 0, Accept())
    assert through(first, ("forward", 10, Continue()), last) == (
        Outcome.ACCEPT, ["forward0", "forward10", "postrouting0"], "forward0"
    )  # fmt: skip
    assert through(first, ("forward", 10, Drop()), last) == (Outcome.DROP, ["forward0", "forward10"], "forward10")


def test_a_queued_packet_leaves_its_base_chain_and_is_accepted_by_nobody() -> None:
    table = Table(
        chains=(
            Chain("a", (Rule("jump", then=Jump("b")), Rule("not met", then=Drop())), Hook()),
            Chain("b", (Rule("queue", then=Queue(1)), Rule("not met either", then=Drop()))),
            Chain("c", (Rule("met", then=Continue()),), Hook("postrouting", 0)),
        )
    )
    decision = evaluate(table, PACKET, FlowState(), NOW)
    assert (decision.outcome, decision.rule) == (Outcome.ACCEPT, None)
    assert [rule.name for rule in decision.matched] == ["jump", "queue", "met"]


FIELD = 0x0000FF00


def keep(*rules: Rule, flow: FlowState) -> Decision:
    return evaluate(Table(chains=(Chain("a", rules, Hook()),)), PACKET, flow, NOW)


def test_a_generation_is_written_and_the_walk_goes_on() -> None:
    decision = keep(
        Rule("write", then=SetGeneration(FIELD, 7, "x")),
        Rule("no", (GenerationIs(FIELD, 1),), Drop()),
        Rule("yes", (GenerationIs(FIELD, 7),), Drop()),
        flow=FlowState(mark=0xA5A5_01A5),
    )
    assert (decision.outcome, decision.mark) == (Outcome.DROP, 0xA5A5_07A5), "what was written stays, whatever comes after"
    assert [rule.name for rule in decision.matched] == ["write", "yes"]


@pytest.mark.parametrize(
    ("mask", "generation", "mark", "holds"),
    [
        (FIELD, 1, 0x0100, True),
        (FIELD, 1, 0xFFFF_01FF, True),
        (FIELD, 1, 0x0300, False),
        (FIELD, 1, 0x0001, False),
        (FIELD, 255, 0xFF00, True),
        (0xFF, 255, 0xFF, True),
        (0x0FF0_0000, 3, 0xF03F_FFFF, True),
        (0x0FF0_0000, 3, 0x0300_0000, False),
        (FIELD, 1, 0, False),
    ],
)
def test_a_generation_is_asked_for_in_its_own_bits(mask: int, generation: int, mark: int, holds: bool) -> None:
    assert judge(GenerationIs(mask, generation), flow=FlowState(mark=mark)) is holds


def test_a_mark_is_written_and_read_in_its_own_bits() -> None:
    decision = keep(
        Rule("write", then=SetMark(0x00070000, 4)),
        Rule("no", (MarkIs(0x00070000, 3),), Drop()),
        Rule("yes", (MarkIs(0x00070000, 4),), Drop()),
        flow=FlowState(mark=0xFFFB_FFFF),
    )
    assert (decision.outcome, decision.mark) == (Outcome.DROP, 0xFFFC_FFFF)
    assert [rule.name for rule in decision.matched] == ["write", "yes"]


@pytest.mark.parametrize(
    ("match", "flow", "holds"),
    [
        (FlowBytesAbove(1000), FlowState(octets=1000), False),
        (FlowBytesAbove(1000), FlowState(octets=1001), True),
        (FlowPacketsBelow(3), FlowState(packets=2), True),
        (FlowPacketsBelow(3), FlowState(packets=3), False),
        (FlowPacketsBelow(3), FlowState(ConntrackState.INVALID, None), False),
        (FlowBytesAbove(0), FlowState(ConntrackState.UNTRACKED, None), False),
        (MarkIs(FIELD, 0), FlowState(ConntrackState.UNTRACKED, None), False),
        (MarkIs(FIELD, 0), FlowState(), True),
    ],
)
def test_what_conntrack_counts_and_keeps(match: Match, flow: FlowState, holds: bool) -> None:
    assert judge(match, flow=flow) is holds


@pytest.mark.parametrize(("mark", "holds"), [(0x0200, True), (0xFFFF_02FF, True), (0x0300, False), (0, False)])
def test_a_packets_own_mark_is_asked_whatever_conntrack_says(mark: int, holds: bool) -> None:
    for flow in (FlowState(mark=0x0100), FlowState(ConntrackState.UNTRACKED, None)):
        assert judge(PacketMarkIs(FIELD, 2), replace(PACKET, mark=mark), flow) is holds


def test_a_transport_is_asked_for_without_a_port() -> None:
    for transport in Transport:
        for protocol in (1, 6, UDP, 58):
            packet = replace(PACKET, protocol=protocol, source_port=None, destination_port=None)
            assert judge(TransportIs(transport), packet) is (protocol == transport.value)


def test_nobody_has_a_lease_or_is_beyond_a_limit() -> None:
    lease, limit = (LiveSet(holds.value, Family.IPV4, holds) for holds in (Holds.CLASS, Holds.LIMIT))
    asking: tuple[Match, ...] = HasLease(Side.SOURCE, Family.IPV4, lease.name), OverLimit(Side.SOURCE, Family.IPV4, limit.name)
    rules = tuple(Rule(f"r{place}", (match,), Drop()) for place, match in enumerate(asking))
    table = Table(sets=(lease, limit), chains=(Chain("a", rules, Hook()),))
    assert evaluate(table, PACKET, FlowState(), NOW).outcome is Outcome.ACCEPT


@pytest.mark.parametrize("state", [ConntrackState.INVALID, ConntrackState.UNTRACKED])
def test_without_a_connection_no_generation_is_read_or_written(state: ConntrackState) -> None:
    decision = keep(
        Rule("write", then=SetGeneration(FIELD, 1, "x")),
        Rule("read", (GenerationIs(FIELD, 1),), Drop()),
        flow=FlowState(state, None),
    )
    assert (decision.outcome, decision.mark) == (Outcome.ACCEPT, 0)
    assert [rule.name for rule in decision.matched] == ["write"]


def test_what_no_rule_writes_is_left_in_the_mark() -> None:
    assert keep(Rule("drop", then=Drop()), flow=FlowState(mark=0x1234_5678)).mark == 0x1234_5678
    with pytest.raises(ValueError, match="has no mark"):
        FlowState(ConntrackState.INVALID, None, 1)


@pytest.mark.parametrize(("value", "inside"), [(0, False), (255, False), (256, True), (300, True), (511, True), (512, False)])
def test_networks_hold_their_first_and_last_address(value: int, inside: bool) -> None:
    for family in Family:
        keys = Keys.of(family, family.bits - 8, [256])
        at, other = family.address(value), family.address(5000)
        for side, ends in ((Side.SOURCE, (at, other)), (Side.DESTINATION, (other, at))):
            match = PrefixIn(side, family, keys.length, "s", keys.digest)
            table = Table(sets=(PrefixSet("s", keys),), chains=(Chain("a", (Rule("r", (match,), Drop()),), Hook()),))
            assert (evaluate(table, Packet("lan0", "wan0", *ends, 6), FlowState(), NOW).outcome is Outcome.DROP) is inside


def test_a_packet_of_the_other_family_is_in_no_network() -> None:
    keys = Keys.of(Family.IPV4, 1, [0, 1 << 31])
    match = PrefixIn(Side.SOURCE, Family.IPV4, 1, "s", keys.digest)
    table = Table(sets=(PrefixSet("s", keys),), chains=(Chain("a", (Rule("r", (match,), Drop()),), Hook()),))
    for at, outcome in ((IPV4, Outcome.DROP), (IPV6, Outcome.ACCEPT)):
        assert evaluate(table, up(at.dynamic, at.outside), FlowState(), NOW).outcome is outcome


def judge(match: Match, packet: Packet = PACKET, flow: FlowState | None = None, now: int = NOW) -> bool:
    sets = (
        AddressSet("four", Family.IPV4, (Element(Range(10, 20)), Element(Range(30, 30), until=NOW)), expiring=True),
        AddressSet("six", Family.IPV6, (Element(Range(10, 20)),)),
    )
    table = Table(sets=sets, chains=(Chain("a", (Rule("r", (match,), Drop()),), Hook()),))
    return evaluate(table, packet, flow or FlowState(), now).outcome is Outcome.DROP


@pytest.mark.parametrize(
    ("pattern", "name", "holds"),
    [
        ("lan0", "lan0", True),
        ("lan0", "lan01", False),
        ("lan01", "lan0", False),
        ("ppp*", "ppp0", True),
        ("ppp*", "ppp", True),
        ("ppp*", "pp0", False),
    ],
)
def test_interfaces_and_their_wildcard(pattern: str, name: str, holds: bool) -> None:
    assert judge(CameIn(pattern), replace(PACKET, came_in=name)) is holds
    assert judge(GoesOut(pattern), replace(PACKET, goes_out=name)) is holds


def test_families() -> None:
    six = up(IPV6.dynamic, IPV6.outside)
    assert judge(IsFamily(Family.IPV4))
    assert not judge(IsFamily(Family.IPV4), six)
    assert judge(IsFamily(Family.IPV6), six)


@pytest.mark.parametrize(("value", "inside"), [(9, False), (10, True), (20, True), (21, False), (29, False)])
def test_sets_hold_their_first_and_last_address(value: int, inside: bool) -> None:
    for family, name in ((Family.IPV4, "four"), (Family.IPV6, "six")):
        at = family.address(value)
        packet = Packet("lan0", "wan0", at, at, 6, 1, 2)
        for side in Side:
            assert judge(AddressIn(side, family, name), packet) is inside
            assert judge(AddressNotIn(side, family, name), packet) is not inside


def test_a_packet_of_the_other_family_is_neither_in_a_set_nor_outside_it() -> None:
    six = Packet("lan0", "wan0", ip_address("::f"), ip_address("::f"), 6, 1, 2)
    assert not judge(AddressIn(Side.SOURCE, Family.IPV4, "four"), six)
    assert not judge(AddressNotIn(Side.SOURCE, Family.IPV4, "four"), six)


def test_an_element_leaves_at_its_end() -> None:
    at = Family.IPV4.address(30)
    packet = Packet("lan0", "wan0", at, at, 6, 1, 2)
    assert judge(AddressIn(Side.SOURCE, Family.IPV4, "four"), packet, now=NOW - 1)
    assert not judge(AddressIn(Side.SOURCE, Family.IPV4, "four"), packet, now=NOW)


def test_ports_are_of_one_transport_and_one_end() -> None:
    match = PortIs(Transport.TCP, Side.DESTINATION, 25)
    assert judge(match)
    assert not judge(match, replace(PACKET, protocol=UDP))
    assert not judge(match, replace(PACKET, destination_port=40000, source_port=25))
    assert not judge(match, replace(PACKET, destination_port=None, source_port=None))


def test_conntrack() -> None:
    reply = FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.REPLY)
    invalid = FlowState(ConntrackState.INVALID, None)
    asked = StateIn((ConntrackState.NEW, ConntrackState.ESTABLISHED))
    assert [judge(asked, flow=flow) for flow in (FlowState(), reply, invalid)] == [True, True, False]
    assert [judge(DirectionIs(ConntrackDirection.REPLY), flow=flow) for flow in (FlowState(), reply, invalid)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("state", [ConntrackState.INVALID, ConntrackState.UNTRACKED])
def test_a_packet_without_a_connection_has_no_direction(state: ConntrackState) -> None:
    with pytest.raises(ValueError, match="no direction"):
        FlowState(state, ConntrackDirection.ORIGINAL)


def test_every_rate_is_below_its_limit() -> None:
    assert not judge(RateAbove(1, 1))


def test_a_fragment_is_refused() -> None:
    with pytest.raises(CannotJudge, match="reassembled"):
        judge(IsFamily(Family.IPV6), replace(up(IPV6.dynamic, IPV6.outside), protocol=44))


def test_addresses_of_two_families_make_no_packet() -> None:
    with pytest.raises(ValueError, match="two families"):
        Packet("lan0", "wan0", IPV4.dynamic, IPV6.outside, 6)


def test_a_decision_tells_what_counted_and_what_exempted() -> None:
    returned, accepted = Rule("return", then=Return()), Rule("accept", then=Accept())
    assert Decision(Outcome.ACCEPT, None, (returned, Rule("x"))).exempted_by is returned
    assert Decision(Outcome.ACCEPT, accepted, (returned, accepted)).exempted_by is accepted
    assert Decision(Outcome.ACCEPT, None, ()).exempted_by is None
