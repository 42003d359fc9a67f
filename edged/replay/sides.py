"""Which side of the gateway an address is on, and which one a packet comes from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from edged.addresses import Family, Range
from edged.config.gateway import PoolName
from edged.packet.layers import Decoded
from edged.policies import Site
from edged.replay.arrival import Side

_MOST_REMEMBERED = 1 << 16


SideOf = Callable[[Decoded], Side]


@dataclass(frozen=True, slots=True)
class ByMac:
    """Tells sides by who sent: one of these Ethernet addresses is on the access side, each other one on the upstream side."""

    access: frozenset[int]

    def __call__(self, packet: Decoded) -> Side:
        """The side that a packet comes from."""
        return Side.ACCESS if packet.before.source_mac in self.access else Side.UPSTREAM


class Sides:
    """Tells sides by the pools of a site: what is in one is on the access side. It remembers what it told."""

    def __init__(self, site: Site) -> None:
        self._ipv4, self._ipv6 = (_Pools(site.addresses(PoolName, family)) for family in (Family.IPV4, Family.IPV6))

    def of_sender(self, packet: Decoded) -> Side:
        """The side that a packet comes from, by its source address."""
        pools = self._ipv4 if packet.family is Family.IPV4 else self._ipv6
        return pools.known.get(packet.source) or pools.side(packet.source)

    def of(self, family: Family, address: int) -> Side:
        """The side of an address."""
        pools = self._ipv4 if family is Family.IPV4 else self._ipv6
        return pools.known.get(address) or pools.side(address)


class _Pools:
    """The addresses of one family on the access side."""

    def __init__(self, ranges: tuple[Range, ...]) -> None:
        self.known: dict[int, Side] = {}
        self._firsts = [each.first for each in ranges]
        self._lasts = [each.last for each in ranges]

    def side(self, address: int) -> Side:
        if len(self.known) > _MOST_REMEMBERED:
            self.known.clear()
        place = bisect_right(self._firsts, address) - 1
        is_ours = place >= 0 and address <= self._lasts[place]
        side = self.known[address] = Side.ACCESS if is_ours else Side.UPSTREAM
        return side
