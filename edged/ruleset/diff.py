"""Desired against observed: the only place that knows verbs.

    observed       desired          plan
    no table       a table          create, fill
    a table        no table         destroy
    a table        a table          in place, object by object
    ... that cannot be held or hooked as desired    destroy and make anew, in the same batch

In place means that base chains stay hooked and counters keep counting. The last row drops packets that wait in a queue and
starts the counters at nothing, so it is taken only where the kernel offers no other way: the owner flag cannot be given to a
table that was made without it (EOPNOTSUPP), nor a hook or a set's type be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from edged.errors import TableHeld
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.generation import continued, marking
from edged.ruleset.observed import AnyObservedSet, Observed, ObservedLiveSet, ObservedSet, ObservedTable, Ownership
from edged.ruleset.places import difference, placed
from edged.ruleset.plan import (
    AddChain,
    AddCounter,
    AddElements,
    AddKeys,
    AddSet,
    AdoptTable,
    CreateTable,
    Desired,
    DestroyTable,
    FillChain,
    Lock,
    Plan,
    RemoveChain,
    RemoveCounter,
    RemoveElements,
    RemoveKeys,
    RemoveSet,
    Step,
    VoidGeneration,
)
from edged.ruleset.sets import AddressSet, AnySet, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Table


def diff(desired: Desired | None, observed: Observed) -> Plan:
    """The plan that turns what is observed into what is desired; None desires that nothing of edged is left.

    The plan is empty exactly where nothing is to do. Raises TableHeld where another process owns the table.
    """
    if observed.table is not None and observed.table.ownership is Ownership.ANOTHER:
        raise TableHeld
    return Plan(tuple(_steps(desired, observed.table)), observed.generation)


def _steps(desired: Desired | None, observed: ObservedTable | None) -> Iterator[Step]:
    if desired is None:
        if observed is not None:
            yield DestroyTable()
        return
    table = continued(placed(desired.queued, observed), observed)
    voided = [VoidGeneration(mask, generation) for mask, generation in _generations_begun(table, observed)]
    if observed is None or not _can_stay(desired, observed):
        if observed is not None:
            yield DestroyTable()
        yield CreateTable(desired.lock)
        yield from voided
        yield from _changes(table, ObservedTable(Ownership.OURS))
        return
    if desired.lock is Lock.OWNER_PERSIST and observed.ownership is Ownership.ORPHANED:
        yield AdoptTable()
    yield from voided
    yield from _changes(table, observed)


def _generations_begun(table: Table, observed: ObservedTable | None) -> frozenset[tuple[int, int]]:
    """The generations, with the bits they are in, that rules write which are not there yet."""
    return frozenset(
        (mark.mask, mark.generation)
        for chain, mark, rule in marking(table)
        if observed is None
        or chain.name not in observed.chains
        or fingerprint(rule) not in observed.chains[chain.name].fingerprints
    )


def _can_stay(desired: Desired, observed: ObservedTable) -> bool:
    """Whether the table can be brought to the desired state without being made anew."""
    held = {
        Lock.NONE: (Ownership.OPEN, Ownership.ORPHANED),
        Lock.OWNER: (Ownership.OURS,),
        Lock.OWNER_PERSIST: (Ownership.OURS, Ownership.ORPHANED),
    }
    return (
        observed.ownership in held[desired.lock]
        and all(
            chain.name not in observed.chains or observed.chains[chain.name].hook == chain.hook for chain in desired.table.chains
        )
        and all(each.name not in observed.sets or _same_kind(each, observed.sets[each.name]) for each in desired.table.sets)
    )


def _same_kind(wanted: AnySet, present: AnyObservedSet) -> bool:
    """Whether the present set can become the wanted one; a set of prefixes can always be made anew under another name."""
    match wanted:
        case PrefixSet():
            return True
        case AddressSet():
            return isinstance(present, ObservedSet) and (present.family, present.expiring) == (wanted.family, wanted.expiring)
        case LiveSet():
            return present == ObservedLiveSet(wanted.name, wanted.family, wanted.holds, wanted.size)
        case _:
            assert_never(wanted)


def _changes(desired: Table, observed: ObservedTable) -> Iterator[Step]:
    """The changes in place: what is created comes before what refers to it, what is removed comes last."""
    for counter in desired.counters:
        if counter.name not in observed.counters:
            yield AddCounter(counter)
    for each in desired.sets:
        yield from _set_changes(each, observed.sets.get(each.name))
    for chain in desired.chains:
        if chain.name not in observed.chains:
            yield AddChain(chain)
    for chain in desired.chains:
        present = observed.chains.get(chain.name)
        if (present.fingerprints if present else ()) != tuple(fingerprint(rule) for rule in chain.rules):
            yield FillChain(chain)
    yield from _removals(desired, observed)


def _removals(desired: Table, observed: ObservedTable) -> Iterator[Step]:
    obsolete = [present for present in observed.chains.values() if present.name not in desired.chains_by_name]
    for left in obsolete:
        # emptied first: they may jump to one another, and a chain that is jumped to cannot go (EBUSY)
        if left.fingerprints:
            yield FillChain(Chain(left.name))
    # sets before chains: the elements of a stranger's verdict map may name a chain
    wanted = {each.name for each in desired.sets}
    for name in observed.sets:
        if name not in wanted:
            yield RemoveSet(name)
    for left in obsolete:
        yield RemoveChain(left.name)
    counters = {counter.name for counter in desired.counters}
    for name in observed.counters:
        if name not in counters:
            yield RemoveCounter(name)


def _set_changes(wanted: AnySet, present: AnyObservedSet | None) -> Iterator[Step]:
    match wanted:
        case PrefixSet():
            yield from _key_changes(wanted, present)
        case AddressSet():
            yield from _range_changes(wanted, present)
        case LiveSet():
            # what is in it is not ours to say, and whoever has a lease keeps it over every change of the rules
            if present is None:
                yield AddSet(wanted)
        case _:
            assert_never(wanted)


def _range_changes(wanted: AddressSet, present: AnyObservedSet | None) -> Iterator[Step]:
    if present is None:
        yield AddSet(wanted)
    holds = present.elements if isinstance(present, ObservedSet) else frozenset()
    # removal first: a range that grows overlaps its old self until that is gone (EEXIST)
    if gone := tuple(element for element in sorted(holds - frozenset(wanted.elements), key=lambda element: element.range)):
        yield RemoveElements(wanted, gone)
    if new := tuple(element for element in wanted.elements if element not in holds):
        yield AddElements(wanted, new)


def _key_changes(wanted: PrefixSet, present: AnyObservedSet | None) -> Iterator[Step]:
    """Element by element; `placed` has seen to it that what is better made anew has a name that is free."""
    changes = difference(wanted, present) if present is not None else None
    if changes is None:
        yield AddSet(wanted)
        yield AddKeys(wanted, wanted.keys)
        return
    gone, new = changes
    if len(gone):
        yield RemoveKeys(wanted, gone)
    if len(new):
        yield AddKeys(wanted, new)
