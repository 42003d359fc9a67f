"""Which packets no rule of a table can tell apart: they have one verdict, and it is asked for once.

A rule asks for interfaces, family, ports, sets and what conntrack says. Packets that agree in the ports that some rule asks for,
and in which of the asked sets their ends are, agree in every rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

from edged.addresses import Family
from edged.packet.layers import Decoded
from edged.ruleset.nodes import AddressIn, AddressNotIn, Match, PortIs, PrefixIn, Side
from edged.ruleset.sets import AddressSet, PrefixSet
from edged.ruleset.tree import Table

if TYPE_CHECKING:
    from edged.packed import Keys

Contains = Callable[[int], bool]
_MOST_REMEMBERED = 1 << 16
_MOST_IN_A_PYTHON_SET = 1 << 16  # some 6 MB, and a tenth of the time that a search in packed keys takes


class Alike:
    """Tells packets apart as far as the table does, at one moment: which elements of its sets have ended is settled."""

    def __init__(self, table: Table, now: int) -> None:
        asked = [match for rule in table.rules() for match in rule.when]
        ports = [match for match in asked if isinstance(match, PortIs)]
        self._protocols = frozenset(match.transport.value for match in ports) | {6}
        self._source_ports, self._destination_ports = (
            frozenset((match.transport.value, match.port) for match in ports if match.side is side)
            for side in (Side.SOURCE, Side.DESTINATION)
        )
        (self._from4, self._to4), (self._from6, self._to6) = (
            [_Addresses(table, asked, family, side, now) for side in (Side.SOURCE, Side.DESTINATION)]
            for family in (Family.IPV4, Family.IPV6)
        )

    def kind(self, packet: Decoded) -> tuple[object, ...]:
        """What the table can tell of the packet by itself."""
        family, source, destination, protocol, source_port, destination_port = packet[:6]
        sources, destinations = (self._from4, self._to4) if family is Family.IPV4 else (self._from6, self._to6)
        from_sets, to_sets = sources.known.get(source), destinations.known.get(destination)
        return (
            family,
            protocol if protocol in self._protocols else None,
            source_port if (protocol, source_port) in self._source_ports else None,
            destination_port if (protocol, destination_port) in self._destination_ports else None,
            sources.sets(source) if from_sets is None else from_sets,
            destinations.sets(destination) if to_sets is None else to_sets,
        )


class _Addresses:
    """The addresses at one end of the packets of one family."""

    def __init__(self, table: Table, asked: list[Match], family: Family, side: Side, now: int) -> None:
        self.known: dict[int, int] = {}
        names = {
            match.set: None
            for match in asked
            if isinstance(match, AddressIn | AddressNotIn | PrefixIn) and match.family is family and match.side is side
        }
        self._tests = tuple(_test(table.sets_by_name[name], now) for name in names)

    def sets(self, address: int) -> int:
        """Which of the sets that are asked for this end hold the address, a bit each."""
        if len(self.known) > _MOST_REMEMBERED:
            self.known.clear()
        bits = 0
        for contains in self._tests:
            bits = bits << 1 | contains(address)
        self.known[address] = bits
        return bits


def _test(asked: AddressSet | PrefixSet, now: int) -> Contains:
    """Whether an address is in the set."""
    if isinstance(asked, PrefixSet):
        return _among(asked.keys)
    alive = [element.range for element in asked.elements if element.until is None or element.until > now]
    firsts, lasts = [each.first for each in alive], [each.last for each in alive]

    def contains(address: int) -> bool:
        place = bisect_right(firsts, address) - 1
        return place >= 0 and address <= lasts[place]

    return contains


def _among(keys: Keys) -> Contains:
    if len(keys) > _MOST_IN_A_PYTHON_SET:
        return keys.holds
    host = keys.family.bits - keys.length
    networks = frozenset(network >> host for network in keys.networks())
    return lambda address: address >> host in networks
