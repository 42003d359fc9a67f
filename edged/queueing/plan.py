"""The steps from the observed to the desired queueing. The kernel takes them one by one: tc has no transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from edged.queueing.observed import ForeignRoot
from edged.queueing.tree import ClassId, Leaf, Rate


@dataclass(frozen=True, slots=True)
class AddRoot:
    """Make our HTB the root; the kernel refuses where the root is another program's."""

    device: str


@dataclass(frozen=True, slots=True)
class ReplaceForeignRoot:
    """Make our HTB the root in place of another program's tree, which is gone with all its classes."""

    device: str
    kind: str


@dataclass(frozen=True, slots=True)
class AddClass:
    """Make a class: the line's under the root, one of the pool under the line's."""

    device: str
    classid: ClassId
    parent: ClassId
    rate: Rate


@dataclass(frozen=True, slots=True)
class ChangeClass:
    """Give a class another rate: to lease it, and to take it back."""

    device: str
    classid: ClassId
    rate: Rate


@dataclass(frozen=True, slots=True)
class AddLeaf:
    """Give a class a leaf in place of HTB's own, or the leaf that it has another limit: of a BFIFO, in bytes."""

    device: str
    classid: ClassId
    leaf: Leaf
    limit: int = 0


@dataclass(frozen=True, slots=True)
class RemoveLeaf:
    """Take a class's leaf away; HTB gives it one of its own."""

    device: str
    classid: ClassId


@dataclass(frozen=True, slots=True)
class RemoveClass:
    """Remove a class with what waits in it; nothing may be given it any more."""

    device: str
    classid: ClassId


@dataclass(frozen=True, slots=True)
class RemoveRoot:
    """Remove our tree; the kernel gives the device its default."""

    device: str


Addition = AddRoot | ReplaceForeignRoot | AddClass | ChangeClass | AddLeaf | RemoveLeaf
Removal = RemoveClass | RemoveRoot
Step = Addition | Removal


@dataclass(frozen=True, slots=True)
class MissingDevice:
    """A device that is to be shaped is not there."""

    device: str

    def __str__(self) -> str:
        return f"{self.device} is not there; nothing is shaped on it until it comes"


@dataclass(frozen=True, slots=True)
class Plan:
    """Additions come before what refers to classes, removals once nothing refers to them; obstacles are what is in the way."""

    additions: tuple[Addition, ...] = ()
    removals: tuple[Removal, ...] = ()
    obstacles: tuple[ForeignRoot | MissingDevice, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them in order."""
        return self.additions + self.removals


def summarize(steps: Iterable[Step]) -> tuple[str, ...]:
    """The steps for whoever has thousands, a line for each device: `lan0: add the root htb, add a class (2049 times)`."""
    counts: dict[str, Counter[str]] = {}
    for step in steps:
        counts.setdefault(step.device, Counter())[_summary(step)] += 1
    return tuple(
        f"{device}: {', '.join(words if count == 1 else f'{words} ({count} times)' for words, count in found.items())}"
        for device, found in counts.items()
    )


def _summary(step: Step) -> str:
    """What all steps of this kind have in common."""
    match step:
        case AddRoot():
            return "add the root htb"
        case ReplaceForeignRoot(_, kind):
            return f"replace the root {kind} by htb"
        case AddClass():
            return "add a class"
        case ChangeClass():
            return "change a class"
        case AddLeaf(_, _, leaf):
            return f"add a leaf {leaf.value}"
        case RemoveLeaf():
            return "remove a leaf"
        case RemoveClass():
            return "remove a class"
        case RemoveRoot():
            return "remove the root htb"
        case _:
            assert_never(step)


def describe(step: Step) -> str:
    """What people call the step."""
    match step:
        case AddRoot(device):
            return f"{device}: add the root htb"
        case ReplaceForeignRoot(device, kind):
            return f"{device}: replace the root {kind} by htb"
        case AddClass(device, classid, _, rate):
            return f"{device}: add class {classid}, {rate}"
        case ChangeClass(device, classid, rate):
            return f"{device}: change class {classid} to {rate}"
        case AddLeaf(device, classid, leaf):
            return f"{device}: add leaf {leaf.value} to class {classid}"
        case RemoveLeaf(device, classid):
            return f"{device}: remove the leaf of class {classid}"
        case RemoveClass(device, classid):
            return f"{device}: remove class {classid}"
        case RemoveRoot(device):
            return f"{device}: remove the root htb"
        case _:
            assert_never(step)
