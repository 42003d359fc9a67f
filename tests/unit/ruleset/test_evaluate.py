"""The simulator walks chains as nft does: jump comes back, goto does not, and what it cannot judge it refuses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from edged.addresses import Family, Range
from edged.packet.packet import FlowState, Packet
from edged.ruleset.evaluate import CannotJudge, Decision, Outcome, evaluate
from edged.ruleset.tree import (
    Accept,
    AddressIn,
    AddressNotIn,
    AddressSet,
    CameIn,
    Chain,
    ConntrackDirection,
    ConntrackState,
    Continue,
    DirectionIs,
    Drop,
    Element,
    GoesOut,
    Goto,
    Hook,
    IsFamily,
    Jump,
    Match,
    PortIs,
    RateAbove,
    ResetTcp,
    Return,
    Rule,
    Side,
    StateIn,
    Table,
    Transport,
    Verdict,
)
from tests.gateway import IPV4, IPV6, NOW, UDP, up

PACKET = up(IPV4.dynamic, IPV4.outside)


def walk(*chains: tuple[str, list[Verdict]], packet: Packet = PACKET) -> tuple[Outcome, list[str]]:
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
    chains = (("a", [Jump("b"), Drop()]), ("b", [Goto("c"), Accept()]), ("c", [Continue()]))
    assert walk(*chains) == (Outcome.DROP, ["a1", "b1", "c1", "a2"])


def test_return_after_goto_comes_back_as_far() -> None:
    chains = (("a", [Jump("b"), Drop()]), ("b", [Goto("c"), Accept()]), ("c", [Return(), Accept()]))
    assert walk(*chains) == (Outcome.DROP, ["a1", "b1", "c1", "a2"])


def test_goto_from_the_base_chain_ends_with_its_policy() -> None:
    assert walk(("a", [Goto("b"), Drop()]), ("b", [])) == (Outcome.ACCEPT, ["a1"])


def test_return_in_the_base_chain_ends_with_its_policy() -> None:
    assert walk(("a", [Return(), Drop()])) == (Outcome.ACCEPT, ["a1"])


def test_a_verdict_deep_inside_ends_it_all() -> None:
    for verdict, outcome in ((Accept(), Outcome.ACCEPT), (Drop(), Outcome.DROP), (ResetTcp(), Outcome.REJECT)):
        assert walk(("a", [Jump("b"), Drop()]), ("b", [Jump("c")]), ("c", [verdict, Drop()])) == (outcome, ["a1", "b1", "c1"])


def test_a_reset_is_for_tcp_alone() -> None:
    assert walk(("a", [ResetTcp(), Drop()]), packet=replace(PACKET, protocol=UDP)) == (Outcome.DROP, ["a2"])


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
