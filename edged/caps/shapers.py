"""Which devices are shaped, and how: a direction is, where the kernel has HTB and each of its interfaces takes a tree of ours.

Else its subscribers are policed. An interface with a wildcard is many devices that come and go, and one with another program's
qdisc keeps it unless the files name it in `replace_qdiscs`: on either a lease would hold nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from edged.config.gateway import Gateway
from edged.interfaces import is_wildcard
from edged.policies.caps import Caps
from edged.queueing.observed import ForeignRoot, ObservedDevice, OurRoot, TrafficCapabilities
from edged.queueing.tree import ClassId, Lease, Rate, Shaper, Tree, best_leaf, pool_classes
from edged.ruleset.nodes import Direction


class Way(NamedTuple):
    """One direction: the trees of its devices that are there, and why there are none where that is so.

    `pool` is the classes that can be leased, the same on every device. It stays while a device is away, so leases do too.
    """

    shapers: tuple[Shaper, ...] = ()
    why_policed: str = ""
    pool: tuple[ClassId, ...] = ()

    def trees(self, leases: Iterable[Lease]) -> tuple[Tree, ...]:
        """The trees with these leases, the same on every device."""
        leased = tuple(leases)
        return tuple(Tree(shaper, leased) for shaper in self.shapers)

    def standing(self, observed: Iterable[ObservedDevice]) -> tuple[Tree, ...]:
        """The trees with the leases that are seen in the kernel: which there are is for the daemon alone to say."""
        roots = {device.name: device.root for device in observed}
        return tuple(Tree(shaper, _leases(shaper, roots.get(shaper.device))) for shaper in self.shapers)


Ways = Mapping[Direction, Way]


def devices(gateway: Gateway) -> Mapping[Direction, tuple[str, ...]]:
    """The interfaces by which the packets of each direction go out."""
    return {Direction.DOWN: gateway.access, Direction.UP: gateway.upstream}


def ways(
    caps: Caps,
    gateway: Gateway,
    able: TrafficCapabilities,
    observed: Iterable[ObservedDevice],
    line: Callable[[str], Rate],
) -> Ways:
    """How each direction is held. `line` tells a device's rate."""
    by_name = {device.name: device for device in observed}
    return {direction: _way(caps, names, able, by_name, line) for direction, names in devices(gateway).items()}


def replaced(caps: Caps, observed: Iterable[ObservedDevice]) -> frozenset[ForeignRoot]:
    """The other programs' roots that the files let edged replace."""
    roots = (device.root for device in observed if device.name in caps.replace_qdiscs)
    return frozenset(root for root in roots if isinstance(root, ForeignRoot))


def _way(
    caps: Caps,
    names: Iterable[str],
    able: TrafficCapabilities,
    observed: Mapping[str, ObservedDevice],
    line: Callable[[str], Rate],
) -> Way:
    if not caps.pool:
        return Way((), "the pool has no class")
    if not able.htb:
        return Way((), "this kernel has no HTB")
    names = tuple(names)
    for name in names:
        if is_wildcard(name):
            return Way((), f"{name} stands for devices that come and go")
        root = observed[name].root if name in observed else None
        if isinstance(root, ForeignRoot) and name not in caps.replace_qdiscs:
            return Way((), str(root))
    leaf = best_leaf(able.leaves, caps.pool)
    shapers = tuple(Shaper(name, line(name), caps.pool, leaf) for name in names if name in observed)
    return Way(shapers, pool=pool_classes(caps.pool))


def _leases(shaper: Shaper, root: object) -> tuple[Lease, ...]:
    if not isinstance(root, OurRoot):
        return ()
    states = ((each.classid, shaper.state(each.rate)) for each in root.classes if each.classid in shaper)
    return tuple(Lease(classid, state) for classid, state in states if isinstance(state, Rate))
