"""Generations: for how long a verdict that is kept in a connection's mark holds.

Looking an address up in long lists costs more than all else, so it is done once a connection: what passed gets the present
generation into its mark, and a later packet that carries it goes past the lists. Whoever changes what is judged by takes the
next generation in the same batch, and no verdict from before counts any more. The number is chosen here, from what the kernel
is seen to hold; compiled tables have the first one.

A number comes back after 255 changes, and marks outlive tables, so before a number is taken no connection may carry it:
`plan.VoidGeneration` sees to that.
"""

from __future__ import annotations

from dataclasses import replace

from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.nodes import GenerationIs, SetGeneration
from edged.ruleset.observed import AnyObservedSet, ObservedSet, ObservedTable
from edged.ruleset.sets import AddressSet
from edged.ruleset.tree import GENERATION, Chain, Rule, Table

LAST = 255  # the field has 8 bits, and 0 says never judged


def marking(table: Table) -> tuple[tuple[Chain, SetGeneration, Rule], ...]:
    """The rules that keep a verdict, each with its chain."""
    return tuple(
        (chain, rule.then, rule) for chain in table.chains for rule in chain.rules if isinstance(rule.then, SetGeneration)
    )


def continued(table: Table, observed: ObservedTable | None) -> Table:
    """The table with the observed generation where that was judged by the same, else with the next one.

    By the same means that every rule of the chains that keep verdicts stands as it was written, and their sets hold what they
    shall: what somebody else changed there meanwhile may have let connections by, and edged's repair must void their marks.
    """
    if not marking(table) or observed is None:
        return table
    present = _present(observed)
    if present is None:
        return table
    same = _with_generation(table, present)
    if all(_stands(same, chain, observed) for chain, _, _ in marking(same)):
        return same
    return _with_generation(table, present % LAST + 1)


def _present(observed: ObservedTable) -> int | None:
    """The generation that is written now, by whatever chain; None where no rule of ours writes one."""
    for chain in observed.chains.values():
        noted = chain.notes.get(GENERATION, "")
        if noted.isdecimal() and 1 <= int(noted) <= LAST:
            return int(noted)
    return None


def _stands(table: Table, chain: Chain, observed: ObservedTable) -> bool:
    present = observed.chains.get(chain.name)
    if present is None or present.fingerprints != tuple(map(fingerprint, chain.rules)):
        return False
    # a set of prefixes that does not hold what it shall has another name by now (places.py), and its rules do not stand
    ranges = (each for name in chain.asked if isinstance(each := table.sets_by_name[name], AddressSet))
    return all(_holds(observed.sets.get(each.name), each) for each in ranges)


def _holds(present: AnyObservedSet | None, wanted: AddressSet) -> bool:
    return isinstance(present, ObservedSet) and present.elements == frozenset(wanted.elements)


def _with_generation(table: Table, number: int) -> Table:
    return replace(
        table,
        chains=tuple(replace(chain, rules=tuple(_renumbered(rule, number) for rule in chain.rules)) for chain in table.chains),
    )


def _renumbered(rule: Rule, number: int) -> Rule:
    if isinstance(rule.then, SetGeneration):
        return replace(rule, then=replace(rule.then, generation=number))
    if any(isinstance(match, GenerationIs) for match in rule.when):
        when = tuple(replace(match, generation=number) if isinstance(match, GenerationIs) else match for match in rule.when)
        return replace(rule, when=when)
    return rule
