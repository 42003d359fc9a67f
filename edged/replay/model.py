"""The model engine: the compiled table, evaluated for each packet of a capture, with connections as conntrack keeps them.

What was judged once for a connection, a direction and what conntrack says of it is not judged again until an element of the
table ends: a million packets are a few thousand questions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from edged.addresses import Family
from edged.packet.decode import RAW, decode
from edged.packet.layers import NO_NEXT, Decoded
from edged.packet.packet import FlowState, Packet
from edged.packet.reassembly import TIMEOUTS, Passed, Reassembler, Whole
from edged.policies import Site
from edged.replay.arrival import Arrival, Side
from edged.replay.connections import SECOND, Answer, Connection, Connections, Found
from edged.replay.forwarding import not_forwarded
from edged.replay.moments import Moment, Moments
from edged.replay.sides import Sides
from edged.replay.verdict import Judged, Judgement, Verdict
from edged.ruleset.evaluate import evaluate
from edged.ruleset.nodes import ConntrackDirection, ConntrackState
from edged.ruleset.tree import Table

_LONGEST_WAIT = max(TIMEOUTS.values())
_MOST_REMEMBERED = 1 << 16
_ACCEPT = Verdict.ACCEPT
_new = tuple.__new__


class Model:
    """Judges captures by the table alone; needs no root and no kernel."""

    def __init__(self, table: Table, site: Site) -> None:
        self._table = table
        self._sides = Sides(site)
        self._interfaces = {Side.ACCESS: _some_name(site.access[0]), Side.UPSTREAM: _some_name(site.upstream[0])}
        self._moments = Moments(table)

    def judge(self, arrivals: Iterable[Arrival]) -> Iterator[Judged]:
        """The verdict on each packet of one capture that was decoded, in order."""
        return self.begin().judge(arrivals)

    def begin(self) -> Run:
        """A run for one capture."""
        return Run(self._table, self._sides, self._interfaces, self._moments)


@dataclass(slots=True)
class Waiting:
    """A packet whose verdict is not known yet, or stands behind one that is not."""

    arrival: Arrival
    judgement: Judgement | None
    until: int  # the last time (nanoseconds) at which what it is a piece of may become whole


class Settled(NamedTuple):
    """What was judged, and will be again as long as the connection is as it is: one that is kept, or one that was refused."""

    connection: Connection
    judgement: Judgement
    moment: Moment


class Run:
    """One capture.

    `waiting` are packets that were not told yet, the first of them one whose verdict is not known. `settled` is of the packet
    that was judged last, if its answer stood or it was refused; who takes note of it puts None here.
    """

    def __init__(self, table: Table, sides: Sides, interfaces: dict[Side, str], moments: Moments) -> None:
        self._table = table
        self._sides = sides
        self._interfaces = interfaces
        self.connections = Connections()
        self._reassembler = Reassembler()
        self._pieces: dict[tuple[object, ...], list[Waiting]] = {}
        self.waiting: deque[Waiting] = deque()
        self.settled: Settled | None = None
        self._moments = moments
        self._moment = moments.at(0)

    def judge(self, arrivals: Iterable[Arrival]) -> Iterator[Judged]:
        """The verdict on each packet, in order."""
        waiting = self.waiting
        for arrival in arrivals:
            packet = arrival.decoded
            if packet.fragment is None:
                judgement = self._judgement(packet, arrival.data, arrival.side, arrival.nanoseconds)
                if not waiting:
                    yield _new(Judged, (arrival, judgement))
                    continue
                waiting.append(_waiting(arrival, judgement))
            else:
                waiting.append(self._piece(arrival, packet))
            yield from self._ready(arrival.nanoseconds)
        yield from self._ready(None)

    def judge_at_once(self, arrivals: Iterable[Arrival]) -> Iterator[Judged]:
        """The same verdicts, each as soon as it is known: nothing but pieces of packets waits."""
        waiting = self.waiting
        for arrival in arrivals:
            packet = arrival.decoded
            if packet.fragment is None:
                yield _new(Judged, (arrival, self._judgement(packet, arrival.data, arrival.side, arrival.nanoseconds)))
            else:
                piece = self._piece(arrival, packet)
                if piece.judgement is None:
                    waiting.append(piece)
                else:
                    yield Judged(arrival, piece.judgement)
            if waiting:
                yield from self._ready(arrival.nanoseconds)
        yield from self._ready(None)

    def _ready(self, now: int | None) -> Iterator[Judged]:
        """What can be told in order; of pieces that waited too long (None: of all) nothing became anything."""
        while self.waiting:
            first = self.waiting[0]
            if first.judgement is None and now is not None and now <= first.until:
                return
            self.waiting.popleft()
            yield Judged(first.arrival, first.judgement or _LOST)

    def _piece(self, arrival: Arrival, packet: Decoded) -> Waiting:
        """A piece of a packet, with the verdict on it where that is known by now; those before it may get theirs."""
        waiting = _waiting(arrival, None)
        taken = self._reassembler.take(packet, arrival.data, arrival.nanoseconds)
        assert packet.fragment is not None  # noqa: S101  the caller asked
        key = (packet.source, packet.destination, packet.fragment.identification)
        if isinstance(taken, Passed):
            waiting.judgement = self._judgement(packet, arrival.data, arrival.side, arrival.nanoseconds)
        elif isinstance(taken, Whole):
            whole = decode(taken.data, RAW)
            pieces = [*self._pieces.pop(key, ()), waiting]
            judgement = _LOST
            if isinstance(whole, Decoded):
                judgement = self._judgement(whole, taken.data, arrival.side, arrival.nanoseconds)
            for piece in pieces[-taken.count :]:
                piece.judgement = judgement
        else:
            self._pieces.setdefault(key, []).append(waiting)
            if len(self._pieces) > _MOST_REMEMBERED:
                self._pieces.pop(next(iter(self._pieces)))
        return waiting

    def _judgement(self, packet: Decoded, data: bytes, side: Side, now: int) -> Judgement:
        if packet.dropped_by_stack:
            return _LOST
        found = self.connections.arrives(packet, data, now)
        connection, state, is_reply = found
        moment = self._moment
        if not moment.begins <= now < moment.ends:
            moment = self._moment = self._moments.at(now)
        # what is kept has passed once; its replies come from where that went, which no check but this one refuses as a source
        if (connection is None or not connection.is_kept or not packet.source) and not_forwarded(packet):
            if connection is not None and not connection.is_kept:
                self.settled = Settled(connection, _LOST, moment)
            return _LOST
        if connection is None or state == "related":  # an error is not from where its connection is
            return self._answer(packet, found, side, now).judgement
        answer = connection.reply if is_reply else connection.original
        if answer is None or answer[:4] != (state, side, connection.mark, moment.number):
            answer = self._answer(packet, found, side, now)
            if is_reply:
                connection.reply = answer
            else:
                connection.original = answer
        elif answer.marked == answer.mark:  # else it is not asked with the same again
            self.settled = _new(Settled, (connection, answer.judgement, moment))
        judgement = answer.judgement
        connection.mark = answer.marked
        if not connection.is_kept:
            if judgement.verdict is _ACCEPT:
                self.connections.keep(connection, packet, data, now)
            else:
                self.settled = Settled(connection, judgement, moment)
        return judgement

    def _answer(self, packet: Decoded, found: Found, side: Side, now: int) -> Answer:
        mark = found.connection.mark if found.connection is not None else 0
        way_out = self._sides.of(packet.family, packet.destination)
        answers = self._moment.answers
        key = (*self._moment.alike.kind(packet), side, way_out, found.state, found.is_reply, mark)
        answer = answers.get(key)
        if answer is None:
            answer = answers[key] = self._evaluate(packet, found, side, now)
        return answer

    def _evaluate(self, packet: Decoded, found: Found, side: Side, now: int) -> Answer:
        address = IPv4Address if packet.family is Family.IPV4 else IPv6Address
        asked = Packet(
            self._interfaces[side],
            self._interfaces[self._sides.of(packet.family, packet.destination)],
            address(packet.source),
            address(packet.destination),
            # nft finds no protocol where the chain of extension headers breaks off, and this one no rule asks for
            NO_NEXT if packet.protocol is None else packet.protocol,
            packet.source_port,
            packet.destination_port,
        )
        tracked = found.connection is not None
        way = ConntrackDirection.REPLY if found.is_reply else ConntrackDirection.ORIGINAL
        mark = found.connection.mark if found.connection is not None else 0
        flow = FlowState(ConntrackState(found.state), way if tracked else None, mark)
        decision = evaluate(self._table, asked, flow, now // SECOND)
        counted = (rule for rule in decision.counted if rule.count is not None and rule.count.verdict == "observe")
        observed = tuple(dict.fromkeys(rule.policy for rule in counted if rule.policy))
        verdict = Verdict(decision.outcome.value)
        rule = decision.rule if verdict is not _ACCEPT else None
        place = str(rule.origin) if rule and rule.origin else None
        judgement = Judgement(verdict, rule.policy if rule else None, place, observed)
        return Answer(found.state, side, mark, self._moment.number, judgement, decision.mark)


def _waiting(arrival: Arrival, judgement: Judgement | None) -> Waiting:
    return Waiting(arrival, judgement, arrival.nanoseconds + _LONGEST_WAIT)


_LOST = Judgement(Verdict.DROP)  # by the router itself, before any rule


def _some_name(interface: str) -> str:
    """An interface of that name, or one that fits the wildcard."""
    return f"{interface[:-1]}0" if interface.endswith("*") else interface
