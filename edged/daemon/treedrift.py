"""Drift of the queueing: what others did to the trees since edged last left them whole. Pure.

Not all that a tree needs is drift: the files change, a line gets another speed, a pool is still being made. What differs on a
device whose tree was left whole, and is to be the same still, is somebody else's doing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from edged.queueing.observed import ForeignRoot, ObservedDevice
from edged.queueing.plan import AddRoot, Plan, ReplaceForeignRoot, Step, describe, summarize
from edged.queueing.tree import Shaper

_TOLD = 6  # steps that are told one by one


class TreeReason(Enum):
    """What became of a device's tree; the value is the metric's label."""

    INTERFACE_RETURNED = "interface_returned"  # it was away, and came without its tree
    QDISC_REPLACED = "qdisc_replaced"
    QDISC_REMOVED = "qdisc_removed"
    CLASSES_CHANGED = "classes_changed"


class TreeDrift(NamedTuple):
    """A foreign change to one device's tree, and each repair it needs as a line for people."""

    device: str
    reason: TreeReason
    what: tuple[str, ...]


class LeftTrees:
    """The trees as they were last left whole."""

    def __init__(self) -> None:
        self._shapers: dict[str, Shaper] = {}
        self._away: frozenset[str] = frozenset()

    def forget(self) -> None:
        """What is found next time is one's own doing."""
        self._shapers.clear()

    def settle(self, whole: Iterable[Shaper], present: frozenset[str]) -> None:
        """The trees that are whole now; those of devices that are not `present` count as left until these come back."""
        self._away = frozenset(self._shapers.keys() - present)
        self._shapers = {device: self._shapers[device] for device in self._away} | {each.device: each for each in whole}

    def judge(self, wanted: Iterable[Shaper], observed: Iterable[ObservedDevice], plan: Plan) -> tuple[TreeDrift, ...]:
        """What others did; the plan leads from the observed devices to the trees that are wanted."""
        shapers = {each.device: each for each in wanted}
        steps = _by_device(plan.steps)
        found = (self._judge(device, shapers.get(device.name), steps.get(device.name, [])) for device in observed)
        return tuple(each for each in found if each is not None)

    def _judge(self, device: ObservedDevice, wanted: Shaper | None, steps: list[Step]) -> TreeDrift | None:
        left = self._shapers.get(device.name)
        if left is None:
            return None
        if wanted is None:
            # the files are the same (`forget`), so it is this root that the tree gives way to
            foreign = isinstance(device.root, ForeignRoot)
            return TreeDrift(device.name, TreeReason.QDISC_REPLACED, (str(device.root),)) if foreign else None
        if device.name in self._away:
            return TreeDrift(device.name, TreeReason.INTERFACE_RETURNED, _told(steps)) if steps else None
        return TreeDrift(device.name, _reason(steps), _told(steps)) if steps and wanted == left else None


def _reason(steps: Iterable[Step]) -> TreeReason:
    for step in steps:
        if isinstance(step, ReplaceForeignRoot):
            return TreeReason.QDISC_REPLACED
        if isinstance(step, AddRoot):
            return TreeReason.QDISC_REMOVED
    return TreeReason.CLASSES_CHANGED


def _told(steps: list[Step]) -> tuple[str, ...]:
    return tuple(map(describe, steps)) if len(steps) <= _TOLD else summarize(steps)


def _by_device(steps: Iterable[Step]) -> Mapping[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.device, []).append(step)
    return found
