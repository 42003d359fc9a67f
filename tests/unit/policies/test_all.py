"""What holds for every policy (G-1, G-2, G-4, PK-2, PK-4); a policy added to POLICIES is tested here without another line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from edged.addresses import Address, Family
from edged.packet.packet import FlowState, Packet
from edged.policies import POLICIES, Caps, Ip53b, Op25b, Policy, Spoof
from edged.ruleset.evaluate import Outcome, evaluate
from edged.ruleset.nodes import ConntrackState, Direction, Drop, Prohibit, ResetTcp
from edged.ruleset.sets import AnySet
from edged.ruleset.tree import QUEUED, Rule, Table
from tests.gateway import (
    BOTH,
    ESP,
    GUARDED_SITE,
    ICMP,
    NOW,
    SITE,
    TCP,
    UDP,
    Addresses,
    KeyAsOrigin,
    between,
    down,
    judge,
    make,
    name_of,
    table_of,
    up,
)

SHIPPED = Path(__file__).parents[3] / "rules" / "rules.d"
UNTRACKED = FlowState(ConntrackState.UNTRACKED, None)

both_families = pytest.mark.parametrize("at", BOTH, ids=lambda at: at.family.label)
each_policy = pytest.mark.parametrize("kind", POLICIES, ids=name_of)
# caps slows what others gave a lease or a limit, and stops nothing by its rules alone: test_caps.py
STOPPING = tuple(kind for kind in POLICIES if kind is not Caps)
each_stopping_policy = pytest.mark.parametrize("kind", STOPPING, ids=name_of)


def traffic(at: Addresses) -> Iterator[Packet]:
    """Packets of one family that meet every rule of every policy, and others that meet none."""
    for near in (at.dynamic, at.static, at.outside, at.guarded):
        for far in (at.outside, at.guarded, at.dynamic):
            for protocol, near_port, far_port in (
                (TCP, 40000, 25),
                (TCP, 40000, 80),
                (UDP, 53, 40000),
                (UDP, 53, 53),
                (TCP, 25, 25),
            ):
                for packet in (up(near, far, protocol, near_port, far_port), down(far, near, protocol, far_port, near_port)):
                    yield packet
                    yield between(packet)


def stops(kind: type[Policy], at: Addresses) -> list[Packet]:
    table = table_of([make(kind, **_widest(kind))])
    return [packet for packet in traffic(at) if evaluate(table, packet, FlowState(), NOW).outcome is not Outcome.ACCEPT]


def _widest(kind: type[Policy]) -> dict[str, object]:
    return {"scope": "all"} if "scope" in kind.model_fields else {}


@each_policy
def test_a_policy_ships_with_a_file_of_rules(kind: type[Policy]) -> None:
    shipped = [yaml.safe_load(path.read_text()) for path in sorted(SHIPPED.glob("*.yaml"))]
    assert name_of(kind) in [each["policy"] for each in shipped]


@each_policy
def test_a_policy_and_its_own_settings_are_documented(kind: type[Policy]) -> None:
    assert kind.__doc__
    assert sys.modules[kind.__module__].__doc__
    shared = {"policy", "mode", "exempt"}
    undescribed = [name for name, field in kind.model_fields.items() if not field.description and name not in shared]
    assert not undescribed


@both_families
@each_stopping_policy
def test_g2_every_policy_stops_something_in_both_families(kind: type[Policy], at: Addresses) -> None:
    assert stops(kind, at)


@each_policy
def test_g2_what_is_written_for_one_family_is_written_for_the_other(kind: type[Policy]) -> None:
    fragment = make(kind).declare(SITE, KeyAsOrigin("x"), NOW)
    names = {counter.name for counter in fragment.counters}
    assert {name.replace("_ip6_", "_ip_") for name in names if "_ip6_" in name} == {name for name in names if "_ip_" in name}
    purposes = {family: sorted(_purpose(each) for each in fragment.sets if each.family is family) for family in Family}
    assert purposes[Family.IPV4] == purposes[Family.IPV6] != []


@both_families
@each_stopping_policy
def test_g4_observe_counts_what_enforce_stops_and_stops_nothing(kind: type[Policy], at: Addresses) -> None:
    enforced, observed = table_of([make(kind, **_widest(kind))]), table_of([make(kind, mode="observe", **_widest(kind))])
    for packet in traffic(at):
        stopped, seen = evaluate(enforced, packet, FlowState(), NOW), evaluate(observed, packet, FlowState(), NOW)
        assert seen.outcome is Outcome.ACCEPT
        assert bool(stopped.counted) is (stopped.outcome is not Outcome.ACCEPT)
        # what observe passes goes on and may be counted in the other direction too
        assert _places(seen.counted)[: len(stopped.counted)] == _places(stopped.counted), packet
        assert bool(seen.counted) is bool(stopped.counted)


@each_policy
def test_g4_observe_has_no_rule_that_could_stop_a_packet(kind: type[Policy]) -> None:
    fragment = make(kind, mode="observe").declare(SITE, KeyAsOrigin("x"), NOW)
    assert not [rule for rule in fragment.rules if isinstance(rule.then, Drop | ResetTcp | Prohibit)]
    assert {counter.verdict for counter in fragment.counters} - {QUEUED} == {"observe"}


@both_families
@pytest.mark.parametrize("kind", [Op25b, Ip53b], ids=name_of)
def test_g1_a_never_block_far_end_is_never_dropped(kind: type[Policy], at: Addresses) -> None:
    policy = make(kind, **_widest(kind))
    for packet in (
        up(at.dynamic, at.guarded),
        down(at.guarded, at.dynamic),
        down(at.guarded, at.dynamic, UDP, 40000, 53),
        down(at.guarded, at.dynamic, UDP, 53, 53),
    ):
        decision = judge([policy], packet, site=GUARDED_SITE)
        assert decision.outcome is Outcome.ACCEPT
        if judge([policy], packet).outcome is not Outcome.ACCEPT:
            assert decision.exempted_by is not None
            assert decision.exempted_by.origin == GUARDED_SITE.never_block_origin


@both_families
@pytest.mark.parametrize("kind", [kind for kind in STOPPING if kind is not Spoof], ids=name_of)
def test_g1_every_policy_but_source_validation_respects_never_block(kind: type[Policy], at: Addresses) -> None:
    unguarded = table_of([make(kind, **_widest(kind))])
    guarded = [packet for packet in stops(kind, at) if _far_end(unguarded, packet) == at.guarded]
    assert guarded, "the traffic reaches no guarded far end, so this proves nothing"
    table = table_of([make(kind, **_widest(kind))], GUARDED_SITE)
    for packet in guarded:
        assert evaluate(table, packet, FlowState(), NOW).outcome is Outcome.ACCEPT, packet


@both_families
def test_g1_a_subscriber_who_forges_a_never_block_source_falls_to_source_validation(at: Addresses) -> None:
    everything = [make(kind) for kind in POLICIES]
    for destination in (at.outside, at.guarded):
        decision = judge(everything, up(at.guarded, destination), site=GUARDED_SITE)
        assert decision.outcome is Outcome.DROP
        assert decision.rule is not None
        assert decision.rule.policy == "spoof"


@both_families
def test_g1_a_never_block_address_is_guarded_as_far_end_only(at: Addresses) -> None:
    near = type(GUARDED_SITE)(SITE.access, SITE.upstream, SITE.pools, tuple(p for pool in SITE.pools.values() for p in pool))
    assert judge([make(Op25b)], up(at.dynamic, at.outside), site=near).outcome is Outcome.REJECT
    assert judge([make(Op25b)], down(at.outside, at.dynamic), site=near).outcome is Outcome.DROP


@both_families
def test_g1_a_neighbour_of_a_never_block_prefix_is_not_guarded(at: Addresses) -> None:
    around = next(prefix for prefix in GUARDED_SITE.never_block if at.guarded in prefix)
    for far, outcome in (
        (around[0], Outcome.ACCEPT),
        (around[-1], Outcome.ACCEPT),
        (around[0] - 1, Outcome.REJECT),
        (around[-1] + 1, Outcome.REJECT),
    ):
        assert judge([make(Op25b)], up(at.dynamic, far), site=GUARDED_SITE).outcome is outcome, far


@both_families
@each_stopping_policy
@pytest.mark.parametrize("flow", [UNTRACKED, FlowState(ConntrackState.INVALID, None)], ids=["untracked", "invalid"])
def test_g1_packets_without_a_connection_meet_every_policy(kind: type[Policy], flow: FlowState, at: Addresses) -> None:
    table = table_of([make(kind, **_widest(kind))])
    for packet in stops(kind, at):
        assert evaluate(table, packet, flow, NOW).outcome is not Outcome.ACCEPT, packet


@both_families
@pytest.mark.parametrize("protocol", [ESP, ICMP, 58, 41, 132, 136])
def test_pk4_what_has_no_tcp_or_udp_port_passes_the_port_policies(protocol: int, at: Addresses) -> None:
    ports = [make(Op25b, scope="all"), make(Ip53b, scope="all")]
    for packet in (up(at.dynamic, at.outside, protocol, 25, 25), down(at.outside, at.dynamic, protocol, 25, 53)):
        assert judge(ports, packet).outcome is Outcome.ACCEPT


def test_pk1_every_table_switches_reassembly_on() -> None:
    for policies in ([], [make(Spoof)], [make(Op25b)]):
        assert any(type(match).__name__ == "StateIn" for rule in table_of(policies).rules() for match in rule.when)


@pytest.mark.parametrize("kind", [Op25b, Ip53b], ids=name_of)
def test_scope_external_enters_only_at_upstream_interfaces(kind: type[Policy]) -> None:
    packet = between(up(BOTH[0].dynamic, BOTH[0].dynamic + 1, TCP if kind is Op25b else UDP, 25, 25 if kind is Op25b else 53))
    assert not [rule for rule in judge([make(kind)], packet).matched if rule.policy]


def _far_end(table: Table, packet: Packet) -> Address:
    """The end away from the subscriber, by the direction in which the packet was stopped."""
    rule = evaluate(table, packet, FlowState(), NOW).rule
    assert rule is not None
    assert rule.count is not None
    return packet.destination if rule.count.direction is Direction.UP else packet.source


def _purpose(each: AnySet) -> str:
    """What a set is for: its name up to the family's digit."""
    found = re.match(r"(\w+?)[46](?:_|$)", each.name)
    assert found, each.name
    return found[1]


def _places(rules: Iterable[Rule]) -> list[tuple[str, Direction | None, Family | None]]:
    return [(each.count.policy, each.count.direction, each.count.family) for each in rules if each.count is not None]
