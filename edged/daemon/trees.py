"""The devices' trees, brought to what they shall be: repairs at once, a pool that is to be made some steps at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from edged.caps.book import ClassState
from edged.caps.shapers import Way, Ways, replaced, ways
from edged.config.gateway import Gateway
from edged.daemon.treedrift import LeftTrees, TreeDrift
from edged.errors import KernelError
from edged.kernel.tc import TrafficControl
from edged.policies.caps import Caps
from edged.queueing.diff import change, diff
from edged.queueing.observed import TrafficCapabilities
from edged.queueing.plan import Addition, ChangeClass
from edged.queueing.tree import ClassId, Lease, Rate, Tree
from edged.ruleset.nodes import Direction

_log = logging.getLogger(__name__)

_STEPS_AT_A_TIME = 256  # the thread has a policy to look after meanwhile

Leases = Mapping[Direction, Iterable[Lease]]
Pools = Mapping[Direction, tuple[ClassId, ...]]


class Work(NamedTuple):
    """What a class has done since it was made, over the devices of a direction."""

    octets: int = 0
    drops: int = 0


class Trees:
    """The trees of both directions; for one thread. `able` is what the kernel has, once it was asked."""

    def __init__(self, traffic: TrafficControl, line: Callable[[str], Rate]) -> None:
        self.able: TrafficCapabilities | None = None
        self.ways: Ways = {}
        self._traffic = traffic
        self._line = line
        self._building: deque[Addition] = deque()
        self._made: frozenset[str] = frozenset()  # the devices whose trees are whole
        self._left = LeftTrees()

    @property
    def pools(self) -> Pools:
        """The classes of each direction, there or still being made."""
        return {direction: each.pool for direction, each in self.ways.items()}

    @property
    def whole_pools(self) -> Pools:
        """The same, of directions whose devices all have theirs."""
        return {
            direction: each.pool if all(shaper.device in self._made for shaper in each.shapers) else ()
            for direction, each in self.ways.items()
        }

    @property
    def is_building(self) -> bool:
        """Whether there are steps for `build`."""
        return bool(self._building)

    def look_after(self, caps: Caps, gateway: Gateway, leases: Leases) -> tuple[TreeDrift, ...]:
        """Look at every device, begin what is missing, and tell what of it others took. Raises KernelError."""
        if self.able is None:
            self.able = self._traffic.capabilities()
        self._building.clear()
        observed = self._traffic.observe()
        self.ways = ways(caps, gateway, self.able, observed, self._line)
        plan = diff(self._wanted(leases), observed, replaced(caps, observed))
        shapers = [shaper for each in self.ways.values() for shaper in each.shapers]
        drifts = self._left.judge(shapers, observed, plan)
        self._traffic.apply(plan.removals)
        unmade = {step.device for step in plan.additions if not isinstance(step, ChangeClass)}
        self._traffic.apply(step for step in plan.additions if step.device not in unmade)
        self._building = deque(step for step in plan.additions if step.device in unmade)
        self._made = frozenset({shaper.device for shaper in shapers} - unmade)
        whole = (shaper for shaper in shapers if shaper.device in self._made)
        self._left.settle(whole, frozenset(device.name for device in observed))
        return drifts

    def forget(self) -> None:
        """What differs at the next look is edged's own doing, and nobody else's."""
        self._left.forget()

    def build(self) -> bool:
        """Some of the steps that are missing; whether they were the last ones, so that it is time to look.

        Raises KernelError; then the rest is not done, and to be found out anew.
        """
        if not self._building:
            return False
        count = min(_STEPS_AT_A_TIME, len(self._building))
        try:
            self._traffic.apply([self._building.popleft() for _ in range(count)])
        except KernelError:
            self._building.clear()
            raise
        return not self._building

    def change(self, states: Iterable[ClassState]) -> bool:
        """Give classes their states on the devices whose trees are whole; False where one is no more, and it is time to look."""
        by_device: dict[str, list[Addition]] = {}
        for each in states:
            for shaper in self.ways[each.direction].shapers:
                by_device.setdefault(shaper.device, []).extend(change(shaper, each.classid, each.state))
        gone = set()
        for device in by_device.keys() & self._made:
            try:
                self._traffic.apply(by_device[device])
            except KernelError as error:
                _log.warning("%s; the tree of %s is looked at anew", error, device)
                gone.add(device)
        self._made -= gone
        return not gone

    def work(self) -> dict[Direction, dict[ClassId, Work]]:
        """What the classes have done. Raises KernelError."""
        return {direction: self._work_of(each) for direction, each in self.ways.items()}

    def release(self) -> tuple[str, ...]:
        """Take every tree of ours away; the devices that they were on. Raises KernelError."""
        self.ways, self._made = {}, frozenset()
        self._left.forget()
        self._building.clear()
        removals = diff((), self._traffic.observe()).removals
        self._traffic.apply(removals)
        return tuple(step.device for step in removals)

    def _wanted(self, leases: Leases) -> Iterator[Tree]:
        for direction, each in self.ways.items():
            yield from each.trees(leases.get(direction, ()))

    def _work_of(self, way: Way) -> dict[ClassId, Work]:
        found: dict[ClassId, Work] = {}
        for shaper in way.shapers:
            if shaper.device in self._made:
                for use in self._traffic.statistics(shaper.device):
                    octets, drops = found.get(use.classid, Work())
                    found[use.classid] = Work(octets + use.octets, drops + use.drops)
        return found
