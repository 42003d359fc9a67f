"""The fake kernel's table: what it holds, and what each step of a plan does to it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar, assert_never

from edged.kernel.fakesets import AnyFakeSet, FakePrefixSet, FakeSet, StepRefusedError, empty_set
from edged.kernel.refusals import rule_label
from edged.ruleset import plan as steps
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.nodes import Goto, Jump
from edged.ruleset.observed import CounterValue, ObservedChain, ObservedTable, Ownership
from edged.ruleset.plan import Lock
from edged.ruleset.tree import Chain, Hook, Rule

Thing = TypeVar("Thing")


@dataclass
class FakeChain:
    """A chain; a rule that a stranger wrote is None."""

    hook: Hook | None
    rules: list[Rule | None] = field(default_factory=list)


@dataclass
class FakeTable:
    """A table and who owns it (a port); None for nobody."""

    lock: Lock
    owner: int | None
    counters: dict[str, CounterValue] = field(default_factory=dict)
    sets: dict[str, AnyFakeSet] = field(default_factory=dict)
    chains: dict[str, FakeChain] = field(default_factory=dict)

    def copy(self) -> FakeTable:
        """A table to try a plan on."""
        return FakeTable(
            self.lock,
            self.owner,
            dict(self.counters),
            {name: each.copy() for name, each in self.sets.items()},
            {name: FakeChain(each.hook, list(each.rules)) for name, each in self.chains.items()},
        )

    def observed(self, ownership: Ownership, clock: float) -> ObservedTable:
        """The table as `Kernel.observe` tells it."""
        chains = {name: _observed_chain(name, chain) for name, chain in self.chains.items()}
        notes = {name: value for chain in chains.values() for name, value in chain.notes.items()}
        sets = {name: held.observed(name, clock, notes.get(name, "")) for name, held in self.sets.items()}
        return ObservedTable(ownership, chains, sets, dict(self.counters))

    def empty(self, chain: str) -> bool:
        """Take the rules out of a chain; whether there were any."""
        rules = _existing(self.chains, chain).rules
        had_rules = bool(rules)
        rules.clear()
        return had_rules

    def execute(self, step: TableStep, clock: float, now: float) -> bool:
        """Take a step; whether it changed anything. Raises StepRefusedError."""
        match step:
            case steps.AddCounter(counter):
                return _add(self.counters, counter.name, CounterValue())
            case steps.AddSet(made):
                return _add(self.sets, made.name, empty_set(made))
            case steps.AddKeys(wide, keys):
                return self._prefixes(wide.name).add(keys)
            case steps.RemoveKeys(wide, keys):
                return self._prefixes(wide.name).remove(keys)
            case steps.AddElements(target, elements):
                return self._ranges(target.name).add(elements, clock, clock - now)
            case steps.RemoveElements(target, elements):
                return self._ranges(target.name).remove(elements, clock)
            case steps.AddChain(chain):
                return _add(self.chains, chain.name, FakeChain(chain.hook))
            case steps.FillChain(chain):
                return self._fill(chain)
            case steps.RemoveChain(name):
                return _remove(self.chains, name, self._chains_in_use())
            case steps.RemoveSet(name):
                return _remove(self.sets, name, self._sets_in_use())
            case steps.RemoveCounter(name):
                return _remove(self.counters, name, self._counters_in_use())
            case _:
                assert_never(step)

    def _ranges(self, name: str) -> FakeSet:
        held = _existing(self.sets, name)
        if not isinstance(held, FakeSet):
            raise StepRefusedError(errno.EINVAL)
        return held

    def _prefixes(self, name: str) -> FakePrefixSet:
        held = _existing(self.sets, name)
        if not isinstance(held, FakePrefixSet):
            raise StepRefusedError(errno.EINVAL)
        return held

    def _fill(self, chain: Chain) -> bool:
        target = _existing(self.chains, chain.name)
        for rule in chain.rules:
            if refused := self._fault(rule):
                raise StepRefusedError(refused, rule_label(chain, rule))
            target.rules.append(rule)
        return bool(chain.rules)

    def _fault(self, rule: Rule) -> int:
        """The errno for a rule that refers to what is not there or not fit; 0 for a good one."""
        if any(name not in self.sets for name in rule.sets):
            return errno.ENOENT
        if rule.count is not None and rule.count.name not in self.counters:
            return errno.ENOENT
        if isinstance(rule.then, Jump | Goto):
            target = self.chains.get(rule.then.chain)
            if target is None:
                return errno.ENOENT
            if target.hook is not None:
                return errno.EOPNOTSUPP  # a base chain is entered by packets only
        return 0

    def _rules(self) -> Iterator[Rule]:
        for chain in self.chains.values():
            yield from (rule for rule in chain.rules if rule is not None)

    def _chains_in_use(self) -> set[str]:
        jumps = {rule.then.chain for rule in self._rules() if isinstance(rule.then, Jump | Goto)}
        return jumps | {name for name, chain in self.chains.items() if chain.rules}

    def _sets_in_use(self) -> set[str]:
        return {name for rule in self._rules() for name in rule.sets}

    def _counters_in_use(self) -> set[str]:
        return {rule.count.name for rule in self._rules() if rule.count is not None}


TableStep = (
    steps.AddCounter
    | steps.AddSet
    | steps.AddElements
    | steps.RemoveElements
    | steps.AddKeys
    | steps.RemoveKeys
    | steps.AddChain
    | steps.FillChain
    | steps.RemoveChain
    | steps.RemoveSet
    | steps.RemoveCounter
)


def _observed_chain(name: str, chain: FakeChain) -> ObservedChain:
    fingerprints = tuple(fingerprint(rule) if rule else "" for rule in chain.rules)
    return ObservedChain(name, chain.hook, fingerprints, dict(rule.note for rule in chain.rules if rule and rule.note))


def _existing(objects: dict[str, Thing], name: str) -> Thing:
    if name not in objects:
        raise StepRefusedError(errno.ENOENT)
    return objects[name]


def _add(objects: dict[str, Thing], name: str, new: Thing) -> bool:
    if name in objects:
        raise StepRefusedError(errno.EEXIST)
    objects[name] = new
    return True


def _remove(objects: dict[str, Thing], name: str, in_use: set[str]) -> bool:
    _existing(objects, name)
    if name in in_use:
        raise StepRefusedError(errno.EBUSY)
    del objects[name]
    return True
