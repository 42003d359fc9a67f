"""Which devices are shaped, and how: a direction is, where the kernel has HTB and each of its interfaces takes a tree of ours.

Else its subscribers are policed. An interface with a wildcard is many devices that come and go, and one with another program's
qdisc keeps it: on either a lease would hold nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from edged.interfaces import is_wildcard
from edged.queueing.observed import ForeignRoot, ObservedDevice
from edged.queueing.tree import ClassId, Leaf, Lease, Rate, Shaper, Tree, best_leaf
from edged.ruleset.nodes import Direction


class Way(NamedTuple):
    """One direction: the trees of its devices that are there, all with the same pool, and why there are none where that is so."""

    shapers: tuple[Shaper, ...] = ()
    why_policed: str = ""

    @property
    def pool(self) -> tuple[ClassId, ...]:
        """The classes that can be leased."""
        return self.shapers[0].classes if self.shapers else ()

    def trees(self, leases: Iterable[Lease]) -> tuple[Tree, ...]:
        """The trees with these leases, the same on every device."""
        leased = tuple(leases)
        return tuple(Tree(shaper, leased) for shaper in self.shapers)


def way(
    interfaces: Iterable[str],
    observed: Mapping[str, ObservedDevice],
    leaves: frozenset[Leaf],
    pool: int,
    line: Callable[[str], Rate],
) -> Way:
    """How the direction whose packets go out by these interfaces is held. `line` tells a device's rate."""
    names = tuple(interfaces)
    for name in names:
        if is_wildcard(name):
            return Way((), f"{name} stands for devices that come and go")
        if (device := observed.get(name)) is not None and isinstance(device.root, ForeignRoot):
            return Way((), str(device.root))
    leaf = best_leaf(leaves, pool)
    return Way(tuple(Shaper(name, line(name), pool, leaf) for name in names if name in observed))


Ways = Mapping[Direction, Way]
