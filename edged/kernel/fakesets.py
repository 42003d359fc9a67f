"""The fake kernel's sets: what they hold, and what is refused of them with which errno."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, assert_never

from edged.addresses import Family, Range
from edged.ruleset.observed import ObservedLiveSet, ObservedPrefixSet, ObservedSet
from edged.ruleset.sets import AddressSet, AnySet, Element, LiveSet, PrefixSet

if TYPE_CHECKING:
    from edged.packed import Keys


class StepRefusedError(Exception):
    """The kernel's answer to a step that cannot be taken; `label` where it is one rule of a chain."""

    def __init__(self, number: int, label: str = "") -> None:
        super().__init__(errno.errorcode[number])
        self.errno = number
        self.label = label


@dataclass(frozen=True, slots=True)
class _Held:
    """An element in a set: the end it was written with, and when the host's clock takes it out."""

    until: int | None
    deadline: float | None

    def is_gone(self, clock: float) -> bool:
        return self.deadline is not None and self.deadline <= clock


@dataclass
class FakeSet:
    """An interval set."""

    family: Family
    expiring: bool
    elements: dict[Range, _Held] = field(default_factory=dict)

    def copy(self) -> FakeSet:
        """A set to try a plan on."""
        return FakeSet(self.family, self.expiring, dict(self.elements))

    def observed(self, name: str, clock: float, content: str) -> ObservedSet:  # noqa: ARG002  that is read back
        """The set as `Kernel.observe` tells it, without what has run out by the host's clock."""
        alive = (Element(key, held.until) for key, held in self.elements.items() if not held.is_gone(clock))
        return ObservedSet(name, self.family, self.expiring, frozenset(alive))

    def add(self, elements: Iterable[Element], clock: float, offset: float) -> bool:
        """Put elements in; whether that changed anything. Raises StepRefusedError."""
        self._forget_gone(clock)
        before = len(self.elements)
        for element in elements:
            if element.range not in self.elements:
                # an end that has passed becomes the shortest timeout there is
                deadline = None if element.until is None else max(element.until + offset, clock + 0.001)
                self.elements[element.range] = _Held(element.until, deadline)
        if any(after.first <= ahead.last for ahead, after in pairwise(sorted(self.elements))):
            raise StepRefusedError(errno.EEXIST)
        return len(self.elements) > before

    def remove(self, elements: Iterable[Element], clock: float) -> bool:
        """Take elements out, by their bounds. Raises StepRefusedError."""
        self._forget_gone(clock)
        for element in elements:
            if self.elements.pop(element.range, None) is None:
                raise StepRefusedError(errno.ENOENT)
        return True

    def _forget_gone(self, clock: float) -> None:
        self.elements = {key: held for key, held in self.elements.items() if not held.is_gone(clock)}


@dataclass
class FakePrefixSet:
    """A hash set of a fixed size."""

    size: int
    keys: Keys

    def copy(self) -> FakePrefixSet:
        """A set to try a plan on."""
        return FakePrefixSet(self.size, self.keys)

    def observed(self, name: str, clock: float, content: str) -> ObservedPrefixSet:  # noqa: ARG002  nothing in it ends
        """The set as `Kernel.observe` tells it; `content` is what the rules that ask it note."""
        known = self.keys if self.keys.digest == content else None
        return ObservedPrefixSet(name, self.keys.family, self.size, content, len(self.keys), known)

    def add(self, keys: Keys) -> bool:
        """Put addresses in; whether that changed anything. Raises StepRefusedError."""
        before, self.keys = len(self.keys), self.keys.plus(keys)
        if len(self.keys) > self.size:
            raise StepRefusedError(errno.ENFILE)
        return len(self.keys) > before

    def remove(self, keys: Keys) -> bool:
        """Take addresses out. Raises StepRefusedError."""
        if len(keys.minus(self.keys)):
            raise StepRefusedError(errno.ENOENT)
        self.keys = self.keys.minus(keys)
        return bool(len(keys))


@dataclass
class FakeLiveSet:
    """A set or map that others fill; plans leave `elements`, by address, alone."""

    made: LiveSet
    elements: dict[int, object] = field(default_factory=dict)

    def copy(self) -> FakeLiveSet:
        """A set to try a plan on."""
        return FakeLiveSet(self.made, dict(self.elements))

    def observed(self, name: str, clock: float, content: str) -> ObservedLiveSet:  # noqa: ARG002  its content is not told
        """The set as `Kernel.observe` tells it."""
        return ObservedLiveSet(name, self.made.family, self.made.holds, self.made.size)


AnyFakeSet = FakeSet | FakePrefixSet | FakeLiveSet


def empty_set(made: AnySet) -> AnyFakeSet:
    """The set as it is made, before it is filled."""
    match made:
        case AddressSet():
            return FakeSet(made.family, made.expiring)
        case PrefixSet():
            return FakePrefixSet(made.size, made.keys.none())
        case LiveSet():
            return FakeLiveSet(made)
        case _:
            assert_never(made)
