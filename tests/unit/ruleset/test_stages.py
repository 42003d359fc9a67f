"""New sets are filled before a rule asks for them, and nothing else is put off."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given

from edged.addresses import Family
from edged.enforce import enforce
from edged.kernel.fake import FakeHost, FakeKernel
from edged.packed import Keys
from edged.policies import Ip53b, Op25b, Spoof
from edged.ruleset.diff import diff
from edged.ruleset.nodes import AddressIn, Drop, SetGeneration, Side
from edged.ruleset.observed import Observed
from edged.ruleset.places import MOST_AT_ONCE
from edged.ruleset.plan import (
    AddChain,
    AddCounter,
    AddElements,
    AddKeys,
    AddSet,
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
)
from edged.ruleset.sets import AddressSet, PrefixSet
from edged.ruleset.stages import stages
from edged.ruleset.tree import Chain, Rule, Table
from tests.contract.tables import MASK, keeping, listed, prefix
from tests.gateway import NOW, SITE, make, prefixes, table_of
from tests.strategies import Drawn, configurations

OP25B_ALONE = Desired(table_of([make(Op25b)]))
WITH_SPOOF = Desired(table_of([make(Op25b), make(Spoof)]))


def kernel_with(desired: Desired) -> FakeKernel:
    kernel = FakeKernel(FakeHost(now=NOW))
    enforce(kernel, desired, lambda: NOW)
    return kernel


@given(configurations(), configurations())
def test_the_stages_together_are_the_plan(one: Drawn, other: Drawn) -> None:
    plan = diff(Desired(other.table()), kernel_with(Desired(one.table())).observe())
    cut = stages(plan)
    assert sorted(map(repr, plan.steps)) == sorted(repr(step) for stage in cut for step in stage)
    for stage in cut:
        assert [step for step in plan.steps if step in stage] == list(stage), "each in the plan's order"


@given(configurations(), configurations())
def test_between_two_stages_the_former_policy_is_in_force(one: Drawn, other: Drawn) -> None:
    kernel = kernel_with(Desired(one.table()))
    before = kernel.observe().table
    plan = diff(Desired(other.table()), kernel.observe())
    cut = stages(plan)
    if len(cut) == 1:
        return
    kernel.apply(type(plan)(cut[0], plan.generation), now=NOW)
    between = kernel.observe().table
    assert before is not None
    assert between is not None
    assert between.chains == before.chains
    judging = {name for chain in other.table().chains if chain.name.startswith("blocklist") for name in chain.asked}
    assert all(between.sets[name] == held for name, held in before.sets.items() if name not in judging)
    enforce(kernel, Desired(other.table()), lambda: NOW)
    assert not diff(Desired(other.table()), kernel.observe()), "whoever dies here leaves work that the next one ends"


def test_a_rule_never_comes_with_the_set_it_asks_for() -> None:
    for observed in (Observed(1, None), kernel_with(OP25B_ALONE).observe()):
        first, second = stages(diff(WITH_SPOOF, observed))
        assert not [step for step in first if isinstance(step, AddChain | FillChain)]
        assert [step for step in second if isinstance(step, FillChain)]


def test_a_plan_without_new_sets_is_one_batch() -> None:
    kernel = kernel_with(WITH_SPOOF)
    wider = type(SITE)(SITE.access, SITE.upstream, {name: (*pool, *prefixes("10.0.0.0/8")) for name, pool in SITE.pools.items()})
    for desired in (
        Desired(table_of([make(Op25b), make(Spoof)], wider)),
        Desired(table_of([make(Op25b, scope="all"), make(Spoof)], wider)),
    ):
        generation = kernel.generation()
        enforce(kernel, desired, time.time)
        assert kernel.generation() == generation + 1


def test_a_table_that_is_made_anew_is_one_batch() -> None:
    kernel = kernel_with(OP25B_ALONE)
    (only,) = stages(diff(Desired(WITH_SPOOF.table, Lock.OWNER), kernel.observe()))
    assert isinstance(only[0], DestroyTable)


def test_enforce_tells_of_every_step_it_took() -> None:
    kernel = kernel_with(OP25B_ALONE)
    wanted = Desired(table_of([make(Op25b), make(Spoof), make(Ip53b)]))
    plan = diff(wanted, kernel.observe())
    generation = kernel.generation()
    done = enforce(kernel, wanted, lambda: NOW)
    assert kernel.generation() == done.generation == generation + 2
    assert set(map(repr, done.plan.steps)) == set(map(repr, plan.steps))


# --- lists ---

FEW, OTHERS, FAR = (
    listed(*(f"10.{net}.{n}.0/24" for n in some)) for net, some in ((0, range(20)), (0, range(1, 21)), (1, range(20)))
)


def kinds(stage: tuple[Step, ...]) -> list[type[Step]]:
    return [type(step) for step in stage]


def test_elements_of_a_hash_set_change_in_the_batch_of_the_rules() -> None:
    (only,) = stages(diff(Desired(keeping(OTHERS)), kernel_with(Desired(keeping(FEW))).observe()))
    assert kinds(only) == [VoidGeneration, RemoveKeys, AddKeys, FillChain]


def test_a_list_that_is_made_anew_is_filled_before_the_rules_turn_to_it() -> None:
    made, filled, turned = stages(diff(Desired(keeping(FAR)), kernel_with(Desired(keeping(FEW))).observe()))
    assert (kinds(made), kinds(filled), kinds(turned)) == ([VoidGeneration, AddSet], [AddKeys], [FillChain, RemoveSet])


def test_a_long_list_is_filled_in_batches_of_bounded_size() -> None:
    many = PrefixSet("bad4", Keys.of(Family.IPV4, 32, range(100_000)))
    first, *filled, last = stages(diff(Desired(keeping(many)), Observed(1, None)))
    assert kinds(first) == [CreateTable, VoidGeneration, AddCounter, AddSet]
    parts = [step.keys for stage in filled for step in stage if isinstance(step, AddKeys)]
    assert [len(keys) for keys in parts] == [MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE, 100_000 - 3 * MOST_AT_ONCE]
    assert [network for keys in parts for network in keys.networks()] == list(range(100_000))
    assert AddKeys not in kinds(last)


def ranged(*texts: str, judged: str) -> Table:
    """A table that keeps its verdict by ranges, with others that no kept verdict is by."""
    judging, other = (AddressSet(name, Family.IPV4, tuple(map(prefix, texts))) for name in ("judging", "other"))
    keep = Rule("keep.r", then=SetGeneration(MASK, 1, judged))
    ask, beside = (Rule(f"{name}.ask", (AddressIn(Side.SOURCE, Family.IPV4, name),), Drop()) for name in ("judging", "other"))
    return Table(sets=(judging, other), chains=(Chain("keep", (ask, keep)), Chain("beside", (beside,))))


def test_ranges_that_a_kept_verdict_is_by_change_before_the_generation_rises_and_others_with_the_rules() -> None:
    kernel = kernel_with(Desired(ranged("10.0.0.0/24", "10.0.2.0/24", judged="x")))
    first, second = stages(diff(Desired(ranged("10.0.0.0/24", "10.0.4.0/24", judged="y")), kernel.observe()))
    assert kinds(first) == [VoidGeneration, RemoveElements, AddElements]
    assert {step.set.name for step in first if isinstance(step, AddElements | RemoveElements)} == {"judging"}
    assert kinds(second) == [RemoveElements, AddElements, FillChain]
    assert {step.set.name for step in second if isinstance(step, AddElements | RemoveElements)} == {"other"}


def test_between_the_batches_of_a_list_the_former_generation_is_in_force_and_the_next_one_is_void() -> None:
    kernel = kernel_with(Desired(keeping(FEW)))
    kernel.host.marks = [0x0100, 0x0200, 0x0300]
    plan = diff(Desired(keeping(FAR)), kernel.observe())
    generation = plan.generation
    for stage in stages(plan)[:-1]:
        generation = kernel.apply(replace(plan, steps=stage, generation=generation), now=NOW)
        observed = kernel.observe().table
        assert observed is not None
        assert observed.chains["judge"].notes["generation"] == "1"
        assert kernel.host.marks == [0x0100, 0, 0x0300]
    enforce(kernel, Desired(keeping(FAR)), lambda: NOW)
    assert kernel.host.table is not None
    assert set(kernel.host.table.sets) < {"bad4", "bad4_2", "bad4_3"}
    assert len(kernel.host.table.sets) == 1
