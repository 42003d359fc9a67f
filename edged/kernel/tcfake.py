"""A kernel's queueing in memory: it carries steps out and refuses as Linux does; what unit tests use in place of mocks."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from edged.errors import KernelError
from edged.kernel.tc import no_such_device
from edged.queueing.observed import (
    ClassUse,
    ForeignRoot,
    KernelDefault,
    ObservedClass,
    ObservedDevice,
    OurRoot,
    TrafficCapabilities,
)
from edged.queueing.plan import (
    AddClass,
    AddLeaf,
    AddRoot,
    ChangeClass,
    RemoveClass,
    RemoveLeaf,
    RemoveRoot,
    ReplaceForeignRoot,
    Step,
    describe,
)
from edged.queueing.tree import ROOT, ClassId, Leaf, Rate

_ALL_LEAVES = frozenset(Leaf)


@dataclass(slots=True)
class FakeClass:
    """A class: its parent, rate and leaf, where it is not HTB's own."""

    parent: ClassId
    rate: Rate
    leaf: Leaf | None
    use: ClassUse
    limit: int = 0


@dataclass(slots=True)
class FakeDevice:
    """A device: `foreign` is the kind of another program's root; `classes` is None where our tree is not there."""

    foreign: str | None = None
    classes: dict[ClassId, FakeClass] | None = None


@dataclass(slots=True)
class FakeTrafficControl:
    """Devices by their names, and what this kernel has."""

    devices: dict[str, FakeDevice] = field(default_factory=dict)
    leaves: frozenset[Leaf] = _ALL_LEAVES
    htb: bool = True

    def capabilities(self) -> TrafficCapabilities:
        """What was given."""
        return TrafficCapabilities(self.htb, self.leaves)

    def observe(self) -> tuple[ObservedDevice, ...]:
        """The devices as they stand."""
        return tuple(_observed(name, device) for name, device in self.devices.items())

    def statistics(self, device: str) -> tuple[ClassUse, ...]:
        """What the classes were told by `send` to have sent."""
        found = self.devices.get(device)
        return () if found is None or found.classes is None else tuple(each.use for each in found.classes.values())

    def send(self, device: str, classid: ClassId, octets: int) -> None:
        """A packet of that size goes through the class, and counts in what is above it."""
        classes = self.devices[device].classes or {}
        while classid != ROOT:
            use = classes[classid].use
            classes[classid].use = use._replace(octets=use.octets + octets, packets=use.packets + 1)
            classid = classes[classid].parent

    def apply(self, steps: Iterable[Step]) -> None:
        """Carry the steps out one by one; raises KernelError for the first that Linux would refuse."""
        steps = tuple(steps)
        for step in steps:
            if step.device not in self.devices:
                raise no_such_device(step)
        for step in steps:
            if refused := self._refusal(step):
                label = describe(step)
                said = f"{os.strerror(refused)} ({errno.errorcode[refused]})"
                raise KernelError(f"the kernel refused: {label}: {said}", errno=refused, label=label)

    def close(self) -> None:
        """Nothing is held."""

    def _refusal(self, step: Step) -> int:
        """Carry one step out; the errno where it is refused, else 0."""
        device = self.devices[step.device]
        match step:
            case AddRoot() if device.foreign is not None or device.classes is not None:
                return errno.EEXIST
            case AddRoot() | ReplaceForeignRoot():
                device.foreign, device.classes = None, {}
            case RemoveRoot() if device.classes is None:
                return errno.EINVAL
            case RemoveRoot():
                device.classes = None
            case AddClass() | ChangeClass() | AddLeaf() | RemoveLeaf() | RemoveClass():
                return self._refusal_in(device, step)
            case _:
                assert_never(step)
        return 0

    def _refusal_in(self, device: FakeDevice, step: AddClass | ChangeClass | AddLeaf | RemoveLeaf | RemoveClass) -> int:
        classes = device.classes
        if classes is None:
            return errno.ENOENT
        found = classes.get(step.classid)
        if isinstance(step, AddClass):
            if found is not None:
                return errno.EEXIST
            parent = step.parent if step.parent in classes else ROOT  # a parent that is not there is none (htb_change_class)
            made = ClassUse(step.classid, 0, 0, 0, 0)
            classes[step.classid] = FakeClass(parent, step.rate, None, made)
            return 0
        if found is None:
            return errno.ENOENT
        match step:
            case ChangeClass(_, _, rate):
                found.rate = rate
            case AddLeaf(_, _, leaf, limit):
                return self._graft(found, leaf, limit)
            case RemoveLeaf() if found.leaf is None:
                return errno.ENOENT
            case RemoveLeaf():
                found.leaf, found.limit = None, 0
            case RemoveClass() if any(each.parent == step.classid for each in classes.values()):
                return errno.EBUSY
            case RemoveClass():
                del classes[step.classid]
            case _:
                assert_never(step)
        return 0

    def _graft(self, found: FakeClass, leaf: Leaf, limit: int) -> int:
        if leaf not in self.leaves:
            return errno.ENOENT
        if found.leaf not in {None, leaf}:
            return errno.EINVAL
        found.leaf, found.limit = leaf, limit
        return 0


def _observed(name: str, device: FakeDevice) -> ObservedDevice:
    if device.foreign is not None:
        return ObservedDevice(name, ForeignRoot(name, device.foreign))
    if device.classes is None:
        return ObservedDevice(name, KernelDefault())
    classes = (
        ObservedClass(classid, each.rate, each.rate, each.leaf, each.limit) for classid, each in sorted(device.classes.items())
    )
    return ObservedDevice(name, OurRoot(tuple(classes)))
