"""Which packets no rule of a table can tell apart: they have one verdict, and it is asked for once.

A rule asks for interfaces, family, ports, sets and what conntrack says. Packets that agree in the ports that some rule asks for,
and in which of the asked sets their ends are, agree in every rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from edged.addresses import Family
from edged.packet.layers import Decoded
from edged.ruleset.nodes import AddressIn, AddressNotIn, PortIs, PrefixIn, Side
from edged.ruleset.sets import AddressSet, PrefixSet
from edged.ruleset.tree import Table

Contains = Callable[[int], bool]
_MOST_REMEMBERED = 1 << 16


class Alike:
    """Tells packets apart as far as the table does, at one moment: which elements of its sets have ended is settled."""

    def __init__(self, table: Table, now: int) -> None:
        asked = [match for rule in table.rules() for match in rule.when]
        self._ports = {
            side: frozenset(
                (match.transport.value, match.port) for match in asked if isinstance(match, PortIs) and match.side is side
            )
            for side in Side
        }
        self._protocols = frozenset(match.transport.value for match in asked if isinstance(match, PortIs)) | {6}
        self._tests: dict[tuple[Family, Side], tuple[Contains, ...]] = {}
        for family in Family:
            for side in Side:
                names = {
                    match.set: None
                    for match in asked
                    if isinstance(match, AddressIn | AddressNotIn | PrefixIn) and match.family is family and match.side is side
                }
                self._tests[family, side] = tuple(_test(table.sets_by_name[name], now) for name in names)
        self._sources: dict[Family, dict[int, int]] = {family: {} for family in Family}
        self._destinations: dict[Family, dict[int, int]] = {family: {} for family in Family}

    def kind(self, packet: Decoded) -> tuple[object, ...]:
        """What the table can tell of the packet by itself."""
        family, protocol = packet.family, packet.protocol
        source, destination = packet.source_port, packet.destination_port
        return (
            family,
            protocol if protocol in self._protocols else None,
            source if (protocol, source) in self._ports[Side.SOURCE] else None,
            destination if (protocol, destination) in self._ports[Side.DESTINATION] else None,
            self._bits(self._sources[family], family, Side.SOURCE, packet.source),
            self._bits(self._destinations[family], family, Side.DESTINATION, packet.destination),
        )

    def _bits(self, known: dict[int, int], family: Family, side: Side, address: int) -> int:
        """Which of the sets that are asked for this end hold the address, a bit each."""
        bits = known.get(address)
        if bits is None:
            if len(known) > _MOST_REMEMBERED:
                known.clear()
            bits = 0
            for contains in self._tests[family, side]:
                bits = bits << 1 | contains(address)
            known[address] = bits
        return bits


def _test(asked: AddressSet | PrefixSet, now: int) -> Contains:
    """Whether an address is in the set."""
    if isinstance(asked, PrefixSet):
        return asked.keys.holds
    alive = [element.range for element in asked.elements if element.until is None or element.until > now]
    firsts, lasts = [each.first for each in alive], [each.last for each in alive]

    def contains(address: int) -> bool:
        place = bisect_right(firsts, address) - 1
        return place >= 0 and address <= lasts[place]

    return contains
