"""Sets and maps that others fill: a plan makes and removes them, and leaves alone what is in them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from edged.addresses import Family
from edged.ruleset import plan as steps
from edged.ruleset.diff import diff
from edged.ruleset.nodes import Accept, Direction, Drop, HasLease, OverLimit, Remember, Side
from edged.ruleset.observed import ObservedLiveSet
from edged.ruleset.plan import Desired, Lock
from edged.ruleset.sets import Holds, LiveSet
from edged.ruleset.tree import Chain, Counter, Hook, Rule, Table
from tests.contract.machines import LinuxMachine, Machine
from tests.contract.tables import SMALL
from tests.contract.test_kernel import assert_holds, bring, standing

LEASE = {family: LiveSet(f"lease{family.bits}", family, Holds.CLASS) for family in Family}
LIMIT = LiveSet("police", Family.IPV4, Holds.LIMIT)
HEAVY = LiveSet("heavy", Family.IPV6, Holds.NOTHING)
COUNTED = Counter("caps", Direction.DOWN, Family.IPV4, "drop", "p2p")
NEAR = Side.DESTINATION
SUBSCRIBER = {Family.IPV4: ip_address("203.0.113.10"), Family.IPV6: ip_address("2001:db8:d:10::")}


def holding(*more: Rule) -> Table:
    rules = (
        Rule("lease4", (HasLease(NEAR, Family.IPV4, "lease32"),), Accept(), COUNTED),
        Rule("lease6", (HasLease(NEAR, Family.IPV6, "lease128"),), Accept()),
        Rule("police", (OverLimit(NEAR, Family.IPV4, "police"),), Drop()),
        Rule("wanted", (), Remember(NEAR, Family.IPV6, "heavy", 5)),
        *more,
    )
    return Table((COUNTED,), (*LEASE.values(), LIMIT, HEAVY), (Chain("shape", rules, Hook("postrouting", -150)),))


def grant_all(machine: Machine) -> None:
    for family, made in LEASE.items():
        machine.grant(made.name, SUBSCRIBER[family], 0x1F)


def assert_all_granted(machine: Machine) -> None:
    for family, made in LEASE.items():
        assert machine.granted(made.name) == {SUBSCRIBER[family]: 0x1F}


@pytest.mark.parametrize("lock", Lock)
def test_they_are_made_as_they_are_desired(machine: Machine, lock: Lock) -> None:
    kernel = machine.connect()
    lock = min(lock, kernel.capabilities().lock, key=list(Lock).index)
    bring(kernel, holding(), lock)
    assert_holds(kernel, holding())
    assert standing(kernel).sets["police"] == ObservedLiveSet("police", Family.IPV4, Holds.LIMIT, LIMIT.size)
    assert not diff(Desired(holding(), lock), kernel.observe())


def test_what_others_put_there_is_no_difference_and_stays_over_a_change_of_the_rules(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, holding())
    grant_all(machine)
    assert not diff(Desired(holding()), kernel.observe())
    plan = bring(kernel, holding(Rule("more", then=Drop())))
    assert [type(step) for step in plan.steps] == [steps.FillChain]
    assert_all_granted(machine)


def test_they_stay_where_sets_and_chains_come_and_go_beside_them(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, holding())
    grant_all(machine)
    both = Table((*SMALL.counters, COUNTED), (*SMALL.sets, *holding().sets), (*SMALL.chains, *holding().chains))
    for desired in (both, holding(), both):
        bring(kernel, desired)
        assert_all_granted(machine)


def test_one_that_no_rule_refers_to_any_more_is_removed_with_what_is_in_it(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, holding())
    grant_all(machine)
    bring(kernel, SMALL)
    assert_holds(kernel, SMALL)
    bring(kernel, holding())
    assert machine.granted("lease32") == {}


@pytest.mark.parametrize(
    "made",
    [
        *("type ipv4_addr : classid; size 65536;", "type ipv4_addr : classid; flags timeout;"),
        *("type ipv4_addr : classid; size 100; flags timeout;", "type ipv6_addr : classid; size 65536; flags timeout;"),
        *("type ipv4_addr : mark; size 65536; flags timeout;", "type ipv4_addr : limit; size 65536; flags timeout;"),
        *("type ipv4_addr : classid; size 65536; timeout 1h;", "type ipv4_addr : verdict; size 65536; flags timeout;"),
    ],
)
def test_a_map_of_another_shape_gives_way(linux: LinuxMachine, made: str) -> None:
    kernel = linux.connect()
    linux.nft(f"add table inet edged; add map inet edged lease32 {{ {made} }}")
    assert standing(kernel).sets["lease32"] != ObservedLiveSet("lease32", Family.IPV4, Holds.CLASS, LEASE[Family.IPV4].size)
    bring(kernel, holding())
    assert_holds(kernel, holding())
    assert not diff(Desired(holding()), kernel.observe())


@pytest.mark.parametrize("made", ["flags timeout; size 65536;", "flags dynamic,timeout; size 65536; timeout 1m;"])
def test_a_set_of_another_shape_gives_way(linux: LinuxMachine, made: str) -> None:
    kernel = linux.connect()
    linux.nft(f"add table inet edged; add set inet edged heavy {{ type ipv6_addr; {made} }}")
    assert not isinstance(standing(kernel).sets["heavy"], ObservedLiveSet)
    bring(kernel, holding())
    assert_holds(kernel, holding())


def test_a_map_that_a_stranger_filled_up_is_none_of_a_plans_business(linux: LinuxMachine) -> None:
    """Nobody reads the elements: a million would take seconds."""
    kernel = linux.connect()
    bring(kernel, holding())
    elements = ", ".join(f"10.{n >> 8}.{n & 255}.1 : 1:{n + 2:x}" for n in range(20_000))
    linux.load(f"add element inet edged lease32 {{ {elements} }}\n")
    assert not diff(Desired(holding()), kernel.observe())
    bring(kernel, replace(holding(), counters=(COUNTED, Counter("caps", Direction.UP, Family.IPV4, "drop", "p2p"))))
    assert len(linux.granted("lease32")) == 20_000
