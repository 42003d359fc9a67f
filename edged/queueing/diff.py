"""From observed to desired queueing: the only place that knows verbs. Another program's tree is never touched unless named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from edged.queueing.observed import ForeignRoot, KernelDefault, ObservedClass, ObservedDevice, OurRoot
from edged.queueing.plan import (
    AddClass,
    Addition,
    AddLeaf,
    AddRoot,
    ChangeClass,
    MissingDevice,
    Plan,
    Removal,
    RemoveClass,
    RemoveLeaf,
    RemoveRoot,
    ReplaceForeignRoot,
)
from edged.queueing.tree import IDLE, LINE, ROOT, ClassId, Rate, Shaper, State, Tree


def diff(desired: Iterable[Tree], observed: Iterable[ObservedDevice], replacing: frozenset[ForeignRoot] = frozenset()) -> Plan:
    """What makes the observed devices the desired ones; edged's trees on other devices go.

    A foreign root is an obstacle, unless it is one of those that the operator has said may be replaced.
    """
    present = {device.name: device for device in observed}
    trees = {tree.shaper.device: tree for tree in desired}
    additions: list[Addition] = []
    removals: list[Removal] = []
    obstacles: list[ForeignRoot | MissingDevice] = []
    for name, tree in trees.items():
        if (device := present.get(name)) is None:
            obstacles.append(MissingDevice(name))
        elif isinstance(device.root, ForeignRoot) and device.root not in replacing:
            obstacles.append(device.root)
        else:
            additions += _additions(tree, device)
            removals += _surplus(tree, device)
    removals += [RemoveRoot(name) for name, device in present.items() if name not in trees and isinstance(device.root, OurRoot)]
    return Plan(tuple(additions), tuple(removals), tuple(obstacles))


def _additions(tree: Tree, device: ObservedDevice) -> Iterator[Addition]:
    yield from _root(device)
    yield from _classes(tree, _classes_of(device))


def _root(device: ObservedDevice) -> Iterator[Addition]:
    match device.root:
        case KernelDefault():
            yield AddRoot(device.name)
        case ForeignRoot(name, kind):
            yield ReplaceForeignRoot(name, kind)
        case OurRoot():
            pass
        case _:
            assert_never(device.root)


def _classes(tree: Tree, there: dict[ClassId, ObservedClass]) -> Iterator[Addition]:
    shaper = tree.shaper
    leased = {lease.classid: lease.rate for lease in tree.leases}
    yield from _class(shaper.device, LINE, ROOT, shaper.line, there.get(LINE))
    # making thousands of classes takes a while: those that hold somebody come first
    for classid in sorted(shaper.classes, key=lambda each: each not in leased):
        found, state = there.get(classid), leased.get(classid, IDLE)
        yield from _class(shaper.device, classid, LINE, shaper.rate(state), found)
        leaf = None if found is None else found.leaf
        if found is not None and (leaf, found.limit) == (shaper.leaf, shaper.limit(state)):
            continue
        if (
            leaf is not shaper.leaf and leaf is not None
        ):  # where one is, the kernel puts none of another kind under the same handle (tc_modify_qdisc)
            yield RemoveLeaf(shaper.device, classid)
        yield AddLeaf(shaper.device, classid, shaper.leaf, shaper.limit(state))


def change(shaper: Shaper, classid: ClassId, state: State) -> Iterator[ChangeClass | AddLeaf]:
    """Give a class of the pool a state; its leaf is of that pool."""
    yield ChangeClass(shaper.device, classid, shaper.rate(state))
    if limit := shaper.limit(state):
        yield AddLeaf(shaper.device, classid, shaper.leaf, limit)


def _class(device: str, classid: ClassId, parent: ClassId, rate: Rate, found: ObservedClass | None) -> Iterator[Addition]:
    if found is None:
        yield AddClass(device, classid, parent, rate)
    elif (found.rate, found.ceil) != (rate, rate):
        yield ChangeClass(device, classid, rate)


def _surplus(tree: Tree, device: ObservedDevice) -> Iterator[Removal]:
    """From the last on: classes that are of no use to the desired tree, also a stranger's in ours."""
    for classid in sorted(_classes_of(device), reverse=True):
        if classid != LINE and classid not in tree.shaper:
            yield RemoveClass(device.name, classid)


def _classes_of(device: ObservedDevice) -> dict[ClassId, ObservedClass]:
    return {found.classid: found for found in device.root.classes} if isinstance(device.root, OurRoot) else {}
