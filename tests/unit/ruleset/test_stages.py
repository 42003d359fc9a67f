"""New sets are filled before a rule asks for them, and nothing else is put off."""

from __future__ import annotations

import time

from hypothesis import given

from edged.enforce import enforce
from edged.kernel.fake import FakeHost, FakeKernel
from edged.policies import Ip53b, Op25b, Spoof
from edged.ruleset.diff import diff, sets_asked
from edged.ruleset.observed import Observed
from edged.ruleset.plan import AddChain, Desired, DestroyTable, FillChain, Lock
from edged.ruleset.stages import stages
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
    judging = {name for chain in other.table().chains if chain.name.startswith("blocklist") for name in sets_asked(chain)}
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
