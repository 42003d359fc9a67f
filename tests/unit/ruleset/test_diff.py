"""The plan's properties, over drawn configurations and whatever is in the kernel."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.errors import TableHeld
from edged.kernel.fake import FakeHost, FakeKernel
from edged.packed import Keys
from edged.policies import POLICIES
from edged.ruleset.diff import diff
from edged.ruleset.nodes import Jump
from edged.ruleset.observed import (
    AnyObservedSet,
    Observed,
    ObservedLiveSet,
    ObservedPrefixSet,
    ObservedSet,
    ObservedTable,
    Ownership,
)
from edged.ruleset.places import placed
from edged.ruleset.plan import (
    AddChain,
    AddElements,
    AddKeys,
    AddSet,
    AdoptTable,
    CreateTable,
    Desired,
    DestroyTable,
    FillChain,
    Lock,
    RemoveElements,
    RemoveKeys,
    RemoveSet,
    Step,
    VoidGeneration,
    describe,
    outline,
)
from edged.ruleset.sets import AddressSet, AnySet, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Rule, Table
from tests.contract.tables import asks, keeping
from tests.gateway import NOW, SITE, entries_of, make, networks, prefixes, table_of
from tests.strategies import Drawn, configurations

_Any = TypeVar("_Any")
LOCKS = st.sampled_from(list(Lock))


def kernel_with(desired: Desired | None) -> FakeKernel:
    """A fake kernel brought to that state by edged."""
    kernel = FakeKernel(FakeHost(now=NOW))
    bring(kernel, desired)
    return kernel


def bring(kernel: FakeKernel, desired: Desired | None) -> None:
    kernel.apply(diff(desired, kernel.observe()), now=NOW)


def contents(held: AnyObservedSet | AnySet) -> object:
    """What a set holds, as far as that is desired."""
    match held:
        case ObservedPrefixSet() | PrefixSet():
            return held.keys
        case ObservedSet() | AddressSet():
            return frozenset(held.elements)
        case ObservedLiveSet() | LiveSet():
            return held.holds


def lasting(drawn: Drawn) -> Table:
    """Its table; elements whose end is now are left out by declare, so nothing here runs out while the test looks."""
    return drawn.table(NOW)


@given(configurations(), LOCKS)
def test_after_apply_nothing_is_left_to_do(drawn: Drawn, lock: Lock) -> None:
    desired = Desired(lasting(drawn), lock)
    assert not diff(desired, kernel_with(desired).observe())


@given(configurations(), configurations(), LOCKS, LOCKS)
def test_from_any_state_the_plan_leads_to_the_desired_one(one: Drawn, other: Drawn, before: Lock, after: Lock) -> None:
    kernel = kernel_with(Desired(lasting(one), before))
    desired = Desired(lasting(other), after)
    bring(kernel, desired)
    assert not diff(desired, kernel.observe())
    observed = kernel.observe().table
    assert observed is not None
    assert set(observed.chains) == set(desired.table.chains_by_name)
    assert {name: contents(held) for name, held in observed.sets.items()} == {
        each.name: contents(each) for each in placed(desired.table, observed).sets
    }
    assert set(observed.counters) == {counter.name for counter in desired.table.counters}


@given(configurations(), LOCKS)
def test_desiring_nothing_leaves_nothing(drawn: Drawn, lock: Lock) -> None:
    kernel = kernel_with(Desired(lasting(drawn), lock))
    bring(kernel, None)
    assert kernel.observe().table is None
    assert not diff(None, kernel.observe())


@given(configurations(), st.randoms(use_true_random=False))
def test_the_order_of_input_changes_nothing(drawn: Drawn, order: random.Random) -> None:
    assert lasting(shuffled(drawn, order)) == lasting(drawn)


@given(configurations(), configurations(), LOCKS)
def test_base_chains_stay_hooked_and_counters_counting(one: Drawn, other: Drawn, lock: Lock) -> None:
    before, after = Desired(lasting(one), lock), Desired(lasting(other), lock)
    kernel = kernel_with(before)
    remade = any(
        isinstance(each, AddressSet)
        and each.name in before.table.sets_by_name
        and before.table.ranges(each.name).expiring != each.expiring
        for each in after.table.sets
    )
    steps = diff(after, kernel.observe()).steps
    assert remade or not [step for step in steps if isinstance(step, CreateTable | DestroyTable)]
    if not remade:
        for counter in before.table.counters:
            kernel.host.count(counter.name)
        bring(kernel, after)
        kept = kernel.counters()
        assert all(kept[each.name].packets == 1 for each in after.table.counters if each in before.table.counters)


def test_new_addresses_change_elements_and_no_chain() -> None:
    policies = [make(kind) for kind in POLICIES]
    wider = {name: (*pool, *prefixes("10.0.0.0/8", "2001:db8:77::/48")) for name, pool in SITE.pools.items()}
    other = replace(SITE, pools=wider)
    kernel = kernel_with(Desired(table_of(policies)))
    steps = diff(Desired(table_of(policies, other)), kernel.observe()).steps
    assert steps
    assert {type(step) for step in steps} <= {AddElements, RemoveElements}


@given(configurations())
def test_every_step_comes_before_what_refers_to_it(drawn: Drawn) -> None:
    steps = diff(Desired(lasting(drawn)), Observed(1, None)).steps
    order = [type(step) for step in steps]
    assert order[:1] == [CreateTable]
    fills = [place for place, kind in enumerate(order) if kind is FillChain]
    made = [place for place, kind in enumerate(order) if kind in (AddChain, AddSet, AddElements)]
    assert not fills or not made or max(made) < min(fills)


def test_another_owner_is_left_alone() -> None:
    held = Observed(7, ObservedTable(Ownership.ANOTHER))
    for desired in (Desired(Table()), None):
        with pytest.raises(TableHeld):
            diff(desired, held)


def test_an_orphaned_table_is_adopted_as_it_stands() -> None:
    desired = Desired(table_of([make(kind) for kind in POLICIES]), Lock.OWNER_PERSIST)
    first = kernel_with(desired)
    first.close()
    next_one = FakeKernel(first.host)
    plan = diff(desired, next_one.observe())
    assert plan.steps == (AdoptTable(),)
    next_one.apply(plan, now=NOW)
    assert not diff(desired, next_one.observe())


def test_a_rule_that_a_stranger_rewrote_is_written_anew() -> None:
    desired = Desired(table_of([make(kind) for kind in POLICIES]))
    kernel = kernel_with(desired)
    kernel.host.tamper("op25b_up", 0)
    plan = diff(desired, kernel.observe())
    assert [step.chain.name for step in plan.steps if isinstance(step, FillChain)] == ["op25b_up"]
    assert len(plan.steps) == 1


def test_chains_that_jump_to_one_another_go_together() -> None:
    tangled = Table(chains=(Chain("a", (Rule("a1", then=Jump("b")),)), Chain("b", (Rule("b1", then=Jump("c")),)), Chain("c")))
    kernel = kernel_with(Desired(tangled))
    bring(kernel, Desired(Table()))
    observed = kernel.observe().table
    assert observed is not None
    assert not observed.chains


# --- sets of prefixes ---

ANEW = [AddSet, AddKeys, FillChain, RemoveSet]


def numbers(*spans: range) -> PrefixSet:
    return PrefixSet("bad4", Keys.of(Family.IPV4, 32, itertools.chain(*spans)))


def taken(desired: Table, observed: ObservedTable) -> list[type[Step]]:
    """The kinds of the steps from one to the other; a generation begins with each change of a list."""
    return [type(step) for step in diff(Desired(desired), Observed(1, observed)).steps if not isinstance(step, VoidGeneration)]


def present(*lists: PrefixSet, **changes: Any) -> ObservedTable:
    """What is observed once the lists were brought in, one after the other; with changes to what is seen of the last."""
    kernel = kernel_with(None)
    for each in lists:
        bring(kernel, Desired(keeping(each)))
    observed = kernel.observe().table
    assert observed is not None
    return replace(observed, sets={name: replace(held, **changes) for name, held in observed.sets.items()})


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (range(20), range(21), [AddKeys, FillChain]),
        (range(20), range(19), [RemoveKeys, FillChain]),
        (range(20), range(1, 21), [RemoveKeys, AddKeys, FillChain]),
        # as much work as a new one, and more
        (range(20), range(10, 30), [RemoveKeys, AddKeys, FillChain]),
        (range(20), range(11, 31), ANEW),
        (range(20), range(9), ANEW),
        # the room that there is, which what goes makes only later, and one too many
        (range(600), range(768), [AddKeys, FillChain]),
        (range(600), range(769), ANEW),
        (range(614), range(60, 768), [RemoveKeys, AddKeys, FillChain]),
        (range(614), range(60, 769), ANEW),
        # more elements than a batch may have
        (range(200_000), range(16_384, 216_384), [RemoveKeys, AddKeys, FillChain]),
        (range(200_000), range(16_385, 216_385), ANEW),
    ],
    ids=str,
)
def test_a_list_changes_element_by_element_where_that_is_less_work_and_there_is_room(
    before: range, after: range, kinds: list[type[Step]]
) -> None:
    assert taken(keeping(numbers(after)), present(numbers(before))) == kinds


def test_a_list_that_shrinks_gives_its_room_back_in_the_end() -> None:
    sizes = (3000, 1600, 850)
    for count in range(1, 3):
        observed = present(*(numbers(range(size)) for size in sizes[:count]))
        assert taken(keeping(numbers(range(sizes[count]))), observed) == [RemoveKeys, FillChain]
    assert taken(keeping(numbers(range(450))), present(*(numbers(range(size)) for size in sizes))) == ANEW


FEW = numbers(range(20))


@pytest.mark.parametrize(
    ("seen", "same", "changed"),
    [
        ({}, [], [AddKeys, FillChain]),
        ({"count": None}, [], [AddKeys, FillChain]),
        ({"keys": None}, [], ANEW),
        ({"keys": None, "count": None}, [], ANEW),
        ({"count": 19}, ANEW, ANEW),
        ({"count": 21}, ANEW, ANEW),
        ({"content": "", "keys": None}, ANEW, ANEW),
        ({"family": Family.IPV6}, ANEW, ANEW),
    ],
    ids=str,
)
def test_what_is_known_of_a_list_decides(seen: dict[str, object], same: list[type[Step]], changed: list[type[Step]]) -> None:
    observed = present(FEW, **seen)
    assert taken(keeping(FEW), observed) == same
    assert taken(keeping(numbers(range(21))), observed) == changed


def test_what_was_made_anew_stands_and_the_next_one_takes_the_name_that_is_free() -> None:
    kernel = kernel_with(Desired(keeping(FEW)))
    for after, name in ((range(100, 120), "bad4_2"), (range(200, 220), "bad4"), (range(300, 320), "bad4_2")):
        desired = Desired(keeping(numbers(after)))
        bring(kernel, desired)
        assert not diff(desired, kernel.observe())
        assert kernel.host.table is not None
        assert list(kernel.host.table.sets) == [name]


def test_every_chain_that_asks_a_list_turns_to_the_one_made_anew() -> None:
    def asking(made: PrefixSet) -> Table:
        chains = (Chain(name, (Rule(f"{name}.ask", (asks(made),)),)) for name in ("one", "other"))
        return Table(sets=(made,), chains=(*chains, Chain("unconcerned", (Rule("unconcerned.r"),))))

    kernel = kernel_with(Desired(asking(FEW)))
    assert kernel.host.table is not None
    observed = kernel.observe().table
    assert observed is not None
    bad4 = observed.sets["bad4"]
    assert isinstance(bad4, ObservedPrefixSet)
    stranger = replace(observed, sets={"bad4": replace(bad4, count=21)})
    for desired, seen in ((asking(numbers(range(50, 90))), observed), (asking(FEW), stranger)):
        steps = diff(Desired(desired), Observed(1, seen)).steps
        assert [step.chain.name for step in steps if isinstance(step, FillChain)] == ["one", "other"]
        assert [step.name for step in steps if isinstance(step, RemoveSet)] == ["bad4"]


def test_what_a_plan_says_of_lists_is_small_and_shows_no_element() -> None:
    plan = diff(Desired(keeping(numbers(range(1000)))), Observed(1, present(FEW)))
    assert [describe(step) for step in plan.steps] == [
        "void generation 2 in the connections' marks",
        "add set bad4_2",
        "set bad4_2: add 1000 elements",
        "chain judge: write 3 rules",
        "remove set bad4",
    ]
    assert not [step for step in outline(plan).steps if isinstance(step, AddKeys | RemoveKeys)]
    assert len(outline(plan).steps) == len(plan.steps) - 1


def shuffled(drawn: Drawn, order: random.Random) -> Drawn:
    """The same configuration with every list of prefixes, and the policies, in another order."""

    def mix(values: tuple[_Any, ...]) -> tuple[_Any, ...]:
        return tuple(order.sample(values, len(values)))

    site = replace(
        drawn.site,
        pools={name: mix(pool) for name, pool in order.sample(sorted(drawn.site.pools.items()), len(drawn.site.pools))},
        never_block=mix(drawn.site.never_block),
        lists={name: entries_of(enumerate(mix(networks(listed)))) for name, listed in mix(tuple(drawn.site.lists.items()))},
    )
    policies = []
    for policy in drawn.policies:
        changes: dict[str, object] = {}
        for name in type(policy).model_fields:
            value = getattr(policy, name)
            if isinstance(value, tuple):
                changes[name] = mix(value)
            elif name == "exempt":
                changes[name] = value.model_copy(update={key: mix(getattr(value, key)) for key in type(value).model_fields})
        policies.append(policy.model_copy(update=changes))
    return Drawn(site, mix(tuple(policies)))
