"""Plans: the steps from what is observed to what is desired, in the order the kernel must see them.

A plan is one atomic batch, or two (stages.py). Within it, what is created comes before what refers to it, and what is removed
comes last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from edged.ruleset.nodes import QueueForm
from edged.ruleset.queueing import queued
from edged.ruleset.sets import AddressSet, AnySet, Element, PrefixSet
from edged.ruleset.tree import Chain, Counter, Table

if TYPE_CHECKING:
    from edged.packed import Keys


class Lock(Enum):
    """How edged holds its table."""

    NONE = "none"  # an ordinary table
    OWNER = "owner"  # only the owning socket writes; the table goes when that socket closes (kernel >= 5.12)
    OWNER_PERSIST = "owner, persist"  # the same, but the table stays (kernel >= 6.9)


@dataclass(frozen=True)
class Desired:
    """The whole state that the kernel shall hold; `queue` is how it hands packets to user space, None where it cannot."""

    table: Table
    lock: Lock = Lock.NONE
    queue: QueueForm | None = QueueForm.EXPRESSION

    @cached_property
    def queued(self) -> Table:
        """The table with its queues as this kernel has them; made once, since each repair begins with it."""
        return queued(self.table, self.queue)


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Make the table, empty, held as `lock` says."""

    lock: Lock


@dataclass(frozen=True, slots=True)
class AdoptTable:
    """Take over an orphaned table as it stands (owner and persist)."""


@dataclass(frozen=True, slots=True)
class DestroyTable:
    """Remove the table and all that is in it."""


@dataclass(frozen=True, slots=True)
class AddCounter:
    """Make a counter that starts at nothing."""

    counter: Counter


@dataclass(frozen=True, slots=True)
class VoidGeneration:
    """Take the generation out of every connection's mark that holds it, before the batch that begins to write it."""

    mask: int
    generation: int


@dataclass(frozen=True, slots=True)
class AddSet:
    """Make a set, empty; its elements come by AddElements or AddKeys, those of a live set from elsewhere."""

    set: AnySet


@dataclass(frozen=True, slots=True)
class AddElements:
    """Put elements into a set."""

    set: AddressSet
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class RemoveElements:
    """Take elements, with exactly these bounds, out of a set."""

    set: AddressSet
    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class AddKeys:
    """Put network addresses into a set."""

    set: PrefixSet
    keys: Keys


@dataclass(frozen=True, slots=True)
class RemoveKeys:
    """Take network addresses out of a set."""

    set: PrefixSet
    keys: Keys


@dataclass(frozen=True, slots=True)
class AddChain:
    """Make a chain, empty; its rules come by FillChain."""

    chain: Chain


@dataclass(frozen=True, slots=True)
class FillChain:
    """Empty a chain and write its rules anew; a base chain stays hooked meanwhile."""

    chain: Chain


@dataclass(frozen=True, slots=True)
class RemoveChain:
    """Remove a chain, its rules first."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveSet:
    """Remove a set with its elements."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveCounter:
    """Remove a counter."""

    name: str


Step = (
    CreateTable
    | AdoptTable
    | DestroyTable
    | VoidGeneration
    | AddCounter
    | AddSet
    | AddElements
    | RemoveElements
    | AddKeys
    | RemoveKeys
    | AddChain
    | FillChain
    | RemoveChain
    | RemoveSet
    | RemoveCounter
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps to take, and the kernel's generation they were worked out for."""

    steps: tuple[Step, ...]
    generation: int
    table: str = "edged"

    def __bool__(self) -> bool:
        return bool(self.steps)


def outline(plan: Plan) -> Plan:
    """The plan without the elements of its sets of prefixes; what is left is small, whatever the lists are."""
    return replace(plan, steps=tuple(step for step in plan.steps if not isinstance(step, AddKeys | RemoveKeys)))


def describe(step: Step) -> str:
    """One line for people: what the step changes, by name and number, without addresses."""
    match step:
        case CreateTable(lock):
            return f"create table inet edged (lock: {lock.value})"
        case AdoptTable():
            return "adopt the orphaned table inet edged"
        case DestroyTable():
            return "remove table inet edged with all that is in it"
        case AddCounter(counter):
            return f"add counter {counter.name}"
        case AddSet(made):
            return f"add set {made.name}"
        case AddElements(target, elements):
            return f"set {target.name}: add {_counted(len(elements))}"
        case RemoveElements(target, elements):
            return f"set {target.name}: remove {_counted(len(elements))}"
        case AddKeys(wide, keys):
            return f"set {wide.name}: add {_counted(len(keys))}"
        case RemoveKeys(wide, keys):
            return f"set {wide.name}: remove {_counted(len(keys))}"
        case VoidGeneration(_, generation):
            return f"void generation {generation} in the connections' marks"
        case AddChain(chain):
            return f"add chain {chain.name}"
        case FillChain(chain):
            return f"chain {chain.name}: write {len(chain.rules)} rule{'s' * (len(chain.rules) != 1)}"
        case RemoveChain(name):
            return f"remove chain {name}"
        case RemoveSet(name):
            return f"remove set {name}"
        case RemoveCounter(name):
            return f"remove counter {name}"
        case _:
            assert_never(step)


def _counted(elements: int) -> str:
    return f"{elements} element{'s' * (elements != 1)}"
