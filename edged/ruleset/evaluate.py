"""The simulator: what the compiled table does with one packet, and which rule decided it.

It walks the same tree as the encoder, so `explain`, replay and the kernel answer alike; a differential test holds it to the
real kernel. It never guesses: what it cannot judge, it refuses.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from edged.addresses import Address
from edged.errors import EdgedError
from edged.interfaces import fits
from edged.marks import in_field
from edged.packet.packet import FlowState, Packet
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    Continue,
    DirectionIs,
    Drop,
    FlowBytesAbove,
    FlowPacketsBelow,
    GenerationIs,
    GoesOut,
    Goto,
    HasLease,
    IsFamily,
    Jump,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    PortIs,
    PrefixIn,
    Prohibit,
    Queue,
    RateAbove,
    Remember,
    ResetTcp,
    Return,
    SetGeneration,
    SetMark,
    Side,
    StateIn,
    Transport,
    TransportIs,
)
from edged.ruleset.sets import AddressSet
from edged.ruleset.tree import FORWARDING, Chain, Rule, Table

_FRAGMENT_HEADER = 44  # RFC 8200 section 4.5


class CannotJudge(EdgedError):
    """The simulator has no ground to stand on for this packet."""


class Outcome(Enum):
    """What became of a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome and how it came about.

    `rule` gave the verdict; it is None where no rule did and the packet passed at the end. `matched` are all rules that
    matched, in order, `rule` included. `mark` is the connection's mark afterwards.
    """

    outcome: Outcome
    rule: Rule | None
    matched: tuple[Rule, ...]
    mark: int = 0

    @property
    def counted(self) -> tuple[Rule, ...]:
        """The rules that counted the packet; without a verdict these are policies in observe mode."""
        return tuple(rule for rule in self.matched if rule.count is not None)

    @property
    def exempted_by(self) -> Rule | None:
        """The last rule that took the packet out of a policy, if one did."""
        exempting = [rule for rule in self.matched if isinstance(rule.then, Return | Accept)]
        return exempting[-1] if exempting else None


def evaluate(table: Table, packet: Packet, flow: FlowState, now: int, hooks: tuple[str, ...] = FORWARDING) -> Decision:
    """What the table does with a packet that passes these hooks, every rate being below its limit and nobody holding a lease.

    A packet of the gateway's own came in by no interface (""), one for it goes out by none. An accept, and a queue, end their
    base chain alone; `rule` of an accepted packet is the one that accepted it first. `now` (seconds since the epoch) decides
    which set elements have ended. Raises CannotJudge for a fragment: conntrack hands only
    whole packets to the rules.
    """
    if packet.protocol == _FRAGMENT_HEADER:
        raise CannotJudge("this is a fragment; the rules see the reassembled packet only: give that one")
    way = _Way(table, packet, flow, now, flow.mark)
    accepted: Rule | None = None
    for chain in table.way if hooks == FORWARDING else table.way_through(hooks):
        decided = _walk(way, chain)
        if decided is None:
            continue
        if decided is not Outcome.ACCEPT:
            return Decision(decided, way.matched[-1], tuple(way.matched), way.mark)
        if accepted is None and isinstance(way.matched[-1].then, Accept):
            accepted = way.matched[-1]
    return Decision(Outcome.ACCEPT, accepted, tuple(way.matched), way.mark)


@dataclass(slots=True)
class _Way:
    """A packet on its way through the table."""

    table: Table
    packet: Packet
    flow: FlowState
    now: int
    mark: int
    matched: list[Rule] = field(default_factory=list)


def _walk(way: _Way, chain: Chain) -> Outcome | None:
    """What becomes of the packet in this base chain; None where it goes back to where the chain was jumped to from."""
    for rule in chain.rules:
        if not all(_holds(way, match) for match in rule.when):
            continue
        if isinstance(rule.then, ResetTcp) and way.packet.protocol != Transport.TCP.value:
            continue  # the encoder writes that check too: a reset answers TCP alone
        way.matched.append(rule)
        verdict = rule.then
        match verdict:
            case Accept() | Queue():
                return Outcome.ACCEPT
            case Drop():
                return Outcome.DROP
            case ResetTcp() | Prohibit():
                return Outcome.REJECT
            case SetGeneration(mask, value, _) | SetMark(mask, value):
                if way.flow.direction is not None:  # without a connection there is no mark to write
                    way.mark = way.mark & ~mask | in_field(mask, value)
            case Jump(target):
                decided = _walk(way, way.table.chains_by_name[target])
                if decided is not None:
                    return decided
            case Goto(target):
                return _walk(way, way.table.chains_by_name[target])
            case Return():
                return None
            case Continue() | Remember():
                pass
            case _:
                assert_never(verdict)
    return None


def _holds(way: _Way, match: Match) -> bool:
    table, packet, flow = way.table, way.packet, way.flow
    match match:
        case CameIn(interface):
            return fits(packet.came_in, interface)
        case GoesOut(interface):
            return fits(packet.goes_out, interface)
        case IsFamily(family):
            return packet.family is family
        case TransportIs(transport):
            return packet.protocol == transport.value
        case PortIs(transport, side, port):
            return packet.protocol == transport.value and port == _port(packet, side)
        case AddressIn(side, family, name):
            return packet.family is family and _contains(table.ranges(name), _address(packet, side), way.now)
        case AddressNotIn(side, family, name):
            return packet.family is family and not _contains(table.ranges(name), _address(packet, side), way.now)
        case PrefixIn(side, family, _, name, _):
            return packet.family is family and table.prefixes(name).keys.holds(int(_address(packet, side)))
        case GenerationIs(mask, value) | MarkIs(mask, value):
            return flow.direction is not None and way.mark & mask == in_field(mask, value)
        case PacketMarkIs(mask, value):
            return packet.mark & mask == in_field(mask, value)
        case FlowBytesAbove(octets):
            return flow.direction is not None and flow.octets > octets
        case FlowPacketsBelow(packets):
            return flow.direction is not None and flow.packets < packets
        case StateIn(states):
            return flow.state in states
        case DirectionIs(direction):
            return flow.direction is direction
        case RateAbove() | HasLease() | OverLimit():
            return False
        case _:
            assert_never(match)


def _port(packet: Packet, side: Side) -> int | None:
    return packet.source_port if side is Side.SOURCE else packet.destination_port


def _address(packet: Packet, side: Side) -> Address:
    return packet.source if side is Side.SOURCE else packet.destination


def _contains(within: AddressSet, address: Address, now: int) -> bool:
    value = int(address)
    place = bisect_right(within.elements, value, key=lambda element: element.range.first)
    if not place:
        return False
    element = within.elements[place - 1]
    return value in element.range and (element.until is None or element.until > now)
