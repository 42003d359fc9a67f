"""Under which name a set of prefixes stands: element by element under its present name, or anew beside it.

A live set is changed in the batch of the rules, and the kernel makes a message of some 7 KB for each element of a batch while
anybody on the machine, in whatever namespace, listens to nftables' events (nf_tables_setelem_notify; a million elements took
15 s and 7.5 GB). So what is a long way off is filled anew, under another name and in small batches that no rule depends on, and
the rules turn to it at once (stages.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import count, islice
from typing import TYPE_CHECKING

from edged.ruleset.nodes import PrefixIn
from edged.ruleset.observed import AnyObservedSet, ObservedPrefixSet, ObservedTable
from edged.ruleset.sets import PrefixSet
from edged.ruleset.tree import Rule, Table

if TYPE_CHECKING:
    from edged.packed import Keys

MOST_AT_ONCE = 1 << 15  # elements in a batch


def placed(table: Table, observed: ObservedTable | None) -> Table:
    """The table with each of its sets of prefixes under the name that it has, or gets, in the observed one.

    One that no rule asks is left out: nothing would note what it holds.
    """
    asked = {match.set for rule in table.rules() for match in rule.when if isinstance(match, PrefixIn)}
    prefixes = {each.name: each for each in table.sets if isinstance(each, PrefixSet)}
    names = {name: _name(prefixes[name], observed) for name in asked} if observed is not None else dict.fromkeys(asked)
    moved = {name: other for name, other in names.items() if other is not None and name != other}
    if not moved and len(asked) == len(prefixes):
        return table
    kept = (each for each in table.sets if each.name not in prefixes or each.name in asked)
    return replace(
        table,
        sets=tuple(replace(each, name=moved.get(each.name, each.name)) for each in kept),
        chains=tuple(replace(chain, rules=tuple(_turned(rule, moved) for rule in chain.rules)) for chain in table.chains),
    )


def difference(wanted: PrefixSet, present: AnyObservedSet) -> tuple[Keys, Keys] | None:
    """What to take out of the present set and what to put in; None where it is better made anew."""
    keys = wanted.keys
    if not isinstance(present, ObservedPrefixSet) or present.family is not wanted.family:
        return None
    if present.content == keys.digest and present.count in (None, len(keys)):
        return keys.none(), keys.none()
    former = present.keys
    if former is None or former.length != keys.length or present.count not in (None, len(former)):
        return None
    if present.size > 4 * wanted.size:
        return None
    gone, new = _difference(former, keys)
    # what is taken out makes room only when the batch is through
    has_room = len(former) + len(new) <= present.size
    return (gone, new) if has_room and len(gone) + len(new) <= min(MOST_AT_ONCE, len(keys)) else None


@lru_cache(maxsize=4)  # asked for several times in one change
def _difference(former: Keys, wanted: Keys) -> tuple[Keys, Keys]:
    return former.minus(wanted), wanted.minus(former)


def _name(wanted: PrefixSet, observed: ObservedTable) -> str:
    names = tuple(islice(_names(wanted.name), len(observed.sets) + 1))  # so many that one is free
    for name in names:
        # after a set was made anew the first name is free, and its content stands under a later one
        if name in observed.sets and difference(wanted, observed.sets[name]) is not None:
            return name
    return next(name for name in names if name not in observed.sets)


def _names(name: str) -> Iterator[str]:
    """The names a set goes by in turn."""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _turned(rule: Rule, moved: dict[str, str]) -> Rule:
    """The rule with the sets' names of now; its own name stays."""
    if not any(isinstance(match, PrefixIn) and match.set in moved for match in rule.when):
        return rule
    when = tuple(
        replace(match, set=moved[match.set]) if isinstance(match, PrefixIn) and match.set in moved else match
        for match in rule.when
    )
    return replace(rule, when=when)
