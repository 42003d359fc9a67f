"""Which side of the gateway an address is on: in a pool, the access side; else upstream."""

from __future__ import annotations

from bisect import bisect_right

from edged.addresses import Family
from edged.config.gateway import PoolName
from edged.policies import Site
from edged.replay.engine import Side

_MOST_REMEMBERED = 1 << 16


class Sides:
    """Tells sides by the pools of a site, and remembers what it told."""

    def __init__(self, site: Site) -> None:
        pools = {family: site.addresses(PoolName, family) for family in Family}
        self._firsts = {family: [each.first for each in ranges] for family, ranges in pools.items()}
        self._lasts = {family: [each.last for each in ranges] for family, ranges in pools.items()}
        self._known: dict[Family, dict[int, Side]] = {family: {} for family in Family}

    def of(self, family: Family, address: int) -> Side:
        """The side of an address."""
        known = self._known[family]
        side = known.get(address)
        if side is None:
            if len(known) > _MOST_REMEMBERED:
                known.clear()
            place = bisect_right(self._firsts[family], address) - 1
            is_ours = place >= 0 and address <= self._lasts[family][place]
            side = known[address] = Side.ACCESS if is_ours else Side.UPSTREAM
        return side
