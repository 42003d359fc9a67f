"""A verdict that is kept holds for the content it was given by, and for no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given

from edged.addresses import Family
from edged.enforce import enforce
from edged.kernel.fake import FakeHost, FakeKernel
from edged.marks import in_field
from edged.ruleset.diff import diff
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.generation import continued, marking
from edged.ruleset.nodes import AddressIn, Continue, Drop, GenerationIs, SetGeneration, Side
from edged.ruleset.observed import Ownership
from edged.ruleset.plan import Desired, Lock, Plan, RemoveElements, VoidGeneration
from edged.ruleset.sets import AddressSet
from edged.ruleset.tree import Chain, Rule, Table
from tests.contract.tables import MASK, keeping, listed, prefix, with_chain
from tests.gateway import NOW
from tests.strategies import Drawn, configurations

A, B, C = (listed(f"10.{n}.0.0/24", f"10.{n}.1.0/24") for n in range(3))


def kernel_with(*tables: Table) -> FakeKernel:
    """A fake kernel that was brought to these tables, one after the other."""
    kernel = FakeKernel(FakeHost(now=NOW))
    for table in tables:
        bring(kernel, table)
    return kernel


def bring(kernel: FakeKernel, table: Table, lock: Lock = Lock.NONE) -> Plan:
    return enforce(kernel, Desired(table, lock), lambda: NOW).plan


def voided(plan: Plan) -> list[VoidGeneration]:
    return [step for step in plan.steps if isinstance(step, VoidGeneration)]


def written(kernel: FakeKernel) -> set[tuple[int, int]]:
    """The generations that the rules in the kernel write, with the bits they write them to."""
    table = kernel.host.table
    rules = [rule.then for chain in table.chains.values() for rule in chain.rules if rule] if table else []
    return {(then.mask, then.generation) for then in rules if isinstance(then, SetGeneration)}


def asked_for(table: Table) -> set[int]:
    return {match.generation for rule in table.rules() for match in rule.when if isinstance(match, GenerationIs)}


def test_where_nothing_is_written_the_first_generation_begins() -> None:
    for kernel in (kernel_with(), kernel_with(Table()), kernel_with(keeping(A), Table())):
        assert continued(keeping(B), kernel.observe().table) == keeping(B)
        assert voided(diff(Desired(keeping(B)), kernel.observe())) == [VoidGeneration(MASK, 1)]


def test_a_table_without_kept_verdicts_has_no_generation() -> None:
    plain = Table(chains=(Chain("judge", (Rule("judge.plain"),)),))
    kernel = kernel_with(keeping(A), keeping(B))
    assert continued(plain, kernel.observe().table) == plain
    assert not voided(bring(kernel, plain))


def test_the_same_content_keeps_its_generation() -> None:
    kernel = kernel_with(keeping(A), keeping(B), keeping(A))
    assert written(kernel) == {(MASK, 3)}
    assert not diff(Desired(keeping(A)), kernel.observe())
    changed = with_chain(keeping(A), "other")
    assert not voided(bring(kernel, changed))
    assert written(kernel) == {(MASK, 3)}


def test_rules_ask_for_the_generation_that_is_written() -> None:
    kernel = kernel_with(keeping(A), keeping(B), keeping(C))
    for table, number in ((keeping(C), 3), (keeping(A), 4)):
        found = continued(table, kernel.observe().table)
        assert asked_for(found) == {mark.generation for _, mark, _ in marking(found)} == {number}


KEEP = marking(keeping(A))[0][2]


@pytest.mark.parametrize(
    "after",
    [
        keeping(B),
        keeping(A, judged="other"),
        keeping(A, replace(B, name="more4")),
        keeping(replace(A, name="other4"), judged="other"),
        with_chain(keeping(A), "judge", replace(KEEP, name="judge.another")),
        with_chain(keeping(A), "judge", replace(KEEP, when=())),
        with_chain(keeping(A), "judge", replace(KEEP, then=SetGeneration(0xFF, 1, "x"))),
        Table(chains=(Chain("verdict", (Rule("verdict.keep", (), SetGeneration(MASK, 1, "x")),)),)),
    ],
    ids=["list", "digest", "one more list", "its name", "rule's name", "whom it marks", "bits", "chain's name"],
)
def test_whatever_is_judged_otherwise_takes_the_next_generation(after: Table) -> None:
    kernel = kernel_with(keeping(B), keeping(A))
    ((_, before),) = written(kernel)
    plan = bring(kernel, after)
    ((mask, number),) = written(kernel)
    assert (before, number) == (2, 3)
    assert voided(plan) == [VoidGeneration(mask, 3)]


def test_after_the_last_generation_comes_the_first() -> None:
    kernel = kernel_with()
    seen = []
    for turn in range(256):
        plan = bring(kernel, keeping((A, B)[turn % 2]))
        ((mask, number),) = written(kernel)
        assert voided(plan) == [VoidGeneration(mask, number)]
        seen.append(number)
    assert seen == [*range(1, 256), 1]


def test_no_connection_carries_a_generation_that_begins() -> None:
    kernel = kernel_with(keeping(A))
    kernel.host.marks = [in_field(MASK, number) | 0x5A for number in range(256)]
    for turn in range(1, 256):
        bring(kernel, keeping((A, B)[turn % 2]))
        ((mask, number),) = written(kernel)
        assert not [mark for mark in kernel.host.marks if mark & mask == in_field(mask, number)]
    assert set(kernel.host.marks) == {0x5A}


def test_a_flushed_chain_is_judged_anew() -> None:
    kernel = kernel_with(keeping(A), keeping(B))
    assert kernel.host.table is not None
    kernel.host.table.chains["judge"].rules.clear()
    plan = bring(kernel, keeping(B))
    assert [(step.mask, step.generation) for step in voided(plan)] == list(written(kernel))


@pytest.mark.parametrize("flushed", ["up", "down"])
def test_one_flushed_chain_of_two_takes_both_to_the_next_generation(flushed: str) -> None:
    both = two_chains("same")
    kernel = kernel_with(two_chains("former"), both)
    assert written(kernel) == {(MASK, 2)}
    assert kernel.host.table is not None
    kernel.host.table.chains[flushed].rules.clear()
    assert voided(bring(kernel, both)) == [VoidGeneration(MASK, 3)]
    assert written(kernel) == {(MASK, 3)}


@pytest.mark.parametrize("position", range(3))
def test_a_rule_that_a_stranger_rewrote_leaves_no_generation_that_was_not_voided(position: int) -> None:
    kernel = kernel_with(keeping(A), keeping(B))
    kernel.host.tamper("judge", position)
    was_written = written(kernel)
    plan = bring(kernel, keeping(B))
    assert {(step.mask, step.generation) for step in voided(plan)} == written(kernel) - was_written
    assert not diff(Desired(keeping(B)), kernel.observe())


@pytest.mark.parametrize("noted", ["0", "256", "-1", "x", "1e2", ""])
def test_a_note_that_is_no_generation_counts_for_none(noted: str) -> None:
    kernel = kernel_with(keeping(A), keeping(B))
    observed = kernel.observe().table
    assert observed is not None
    judge = replace(observed.chains["judge"], notes={"generation": noted})
    assert continued(keeping(C), replace(observed, chains={**observed.chains, "judge": judge})) == keeping(C)


@pytest.mark.parametrize("lock", [Lock.OWNER, Lock.OWNER_PERSIST])
def test_a_table_that_is_made_anew_goes_on_with_its_generation(lock: Lock) -> None:
    kernel = kernel_with(keeping(A), keeping(B))
    plan = bring(kernel, keeping(B), lock)
    assert not voided(plan)
    assert written(kernel) == {(MASK, 2)}
    observed = kernel.observe().table
    assert observed is not None
    assert observed.ownership is Ownership.OURS


@given(configurations(), configurations())
def test_a_generation_is_voided_exactly_when_it_begins_to_be_written(one: Drawn, other: Drawn) -> None:
    kernel = kernel_with(one.table())
    before = written(kernel)
    plan = bring(kernel, other.table())
    after = written(kernel)
    assert len(after) <= 1
    assert {(step.mask, step.generation) for step in voided(plan)} == after - before
    same = digests(one.table()) == digests(other.table())
    if before and after:
        assert (before == after) is same


def digests(table: Table) -> Sequence[str]:
    return [fingerprint(rule) for _, _, rule in marking(table)]


def two_chains(judged: str) -> Table:
    keeps = (Chain(name, (Rule(f"{name}.keep", (), SetGeneration(MASK, 1, judged), None),)) for name in ("up", "down"))
    return Table(chains=(*keeps, Chain("between", (Rule("between.r", then=Continue()),))))


def test_what_a_stranger_changed_takes_the_next_generation_with_its_repair() -> None:
    """Connections that passed meanwhile carry the present number; only another one has them asked again."""
    ranges = AddressSet("rest4", Family.IPV4, (prefix("192.0.2.0/24"), prefix("198.51.100.0/24")))
    judge = keeping(A).chains_by_name["judge"]
    look = Rule("judge.rest", (AddressIn(Side.SOURCE, Family.IPV4, "rest4"),), Drop())
    table = with_chain(replace(keeping(A), sets=(*keeping(A).sets, ranges)), "judge", look, *judge.rules)
    kernel = kernel_with(table)

    def repaired() -> list[int]:
        steps = enforce(kernel, Desired(table), lambda: NOW).plan.steps
        return [step.generation for step in steps if isinstance(step, VoidGeneration)]

    assert repaired() == []
    kernel.host.tamper("judge", 0)
    assert repaired() == [2]
    observed = kernel.observe()
    kernel.apply(Plan((RemoveElements(ranges, ranges.elements[:1]),), observed.generation), now=NOW)
    assert repaired() == [3]
    assert repaired() == []
