"""What the lab tries, what must become of it by semantics.md, and which counter must say so.

Each attempt is made in both families. What must be stopped is watched at its far side too: a refusal, or silence, counts as
one only if nothing arrived there. Silence is never just waited for: a packet of the same kind that must pass goes the same
way behind the one that must not, and has to arrive first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edged.addresses import Address, Family
from edged.lab.clients import Outcome, Seen, download, query, send_mail
from edged.lab.packets import TCP, UDP, Packet, Witness, send
from edged.lab.topology import STATIC, STRANGER, Host, Topology
from edged.ruleset.nodes import Direction

DISCARD = 9  # RFC 863; nobody in the lab listens there
HIGH = 26025
# how much longer than the packet that passes the one before it may take, before it is taken for lost
_STRAGGLER = 0.05
_ARRIVAL = 2.0


@dataclass(frozen=True, slots=True)
class CountedBy:
    """The counter that an attempt raises by one packet, in the family it is made in."""

    policy: str
    direction: Direction
    verdict: str

    def __str__(self) -> str:
        return f"{self.policy} {self.direction.value} {self.verdict}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that somebody tries; without `counted_by` it may raise no counter of edged at all."""

    name: str
    who: str
    what: str
    expected: Outcome
    make: Callable[[Topology, Family], Seen]
    counted_by: CountedBy | None = None


def _mail(pick: Callable[[Topology], tuple[Host, Host]], port: int) -> Callable[[Topology, Family], Seen]:
    def make(at: Topology, family: Family) -> Seen:
        sender, server = pick(at)
        with Witness(server, family) as witness:
            seen = send_mail(sender, server.address(family), port)
            arrived = [packet for packet in witness.seen() if packet.destination_port == port]
        return _stopped_short(seen, arrived)

    return make


def _answer_from_port_25(at: Topology, family: Family) -> Seen:
    """OP-2: what a subscriber would get if someone sent mail with the subscriber's address as forged source."""
    server, subscriber = at.foreign_mail.address(family), at.open_resolver.address(family)
    with Witness(at.outside, family) as outside, Witness(at.open_resolver, family) as inside:
        for port in (25, HIGH):
            send(at.outside, Packet(server, subscriber, TCP, port, 53))
        answered = outside.waits_for(lambda packet: packet.destination_port == HIGH, _ARRIVAL)
        time.sleep(_STRAGGLER)
        arrived = [packet for packet in inside.seen() if packet.source_port == 25]
        answers = [packet for packet in outside.seen() if packet.destination == server and packet.destination_port != HIGH]
    return _silence(answered, f"the same from port {HIGH} is answered", arrived, answers)


def _unsolicited_query(at: Topology, family: Family) -> Seen:
    """IP-1; that the subscriber's name server would answer shows in the attempt by TCP."""
    asker, resolver = at.outside.address(family), at.open_resolver.address(family)
    with Witness(at.outside, family) as outside, Witness(at.open_resolver, family) as inside:
        seen = query(at.outside, resolver, at.web.address(family))
        arrived = [packet for packet in inside.seen() if packet.destination == resolver]
        answers = [packet for packet in outside.seen() if packet.destination == asker]
    if seen.outcome is Outcome.SILENCE and answers:
        return Seen(Outcome.OTHER, f"{len(answers)} packets came back")
    return _stopped_short(seen, arrived)


def _datagram(sender: Host, receiver: Host, family: Family, forged: Address) -> Seen:
    """A datagram with a forged source, and an honest one behind it."""
    goal, honest = receiver.address(family), sender.address(family)
    with Witness(receiver, family) as far, Witness(sender, family) as near:
        for source in (forged, honest):
            send(sender, Packet(source, goal, UDP, HIGH, DISCARD))
        passed = far.waits_for(lambda packet: packet.source == honest, _ARRIVAL)
        time.sleep(_STRAGGLER)
        arrived = [packet for packet in far.seen() if packet.source == forged]
        answers = [packet for packet in near.seen() if packet.destination == forged]
    return _silence(passed, "an honest one arrives", arrived, answers)


def _beside(sender: Host, receiver: Host, family: Family, ends: Callable[[Host], tuple[Address, Address]], at: Topology) -> Seen:
    """BL-1: a datagram with a listed address at one of its ends, and one with another address there behind it."""
    listed, other = ends(at.listed), ends(at.web)
    with Witness(receiver, family) as far, Witness(sender, family) as near:
        for source, goal in (listed, other):
            send(sender, Packet(source, goal, UDP, HIGH, DISCARD))
        passed = far.waits_for(lambda packet: (packet.source, packet.destination) == other, _ARRIVAL)
        time.sleep(_STRAGGLER)
        arrived = [packet for packet in far.seen() if (packet.source, packet.destination) == listed]
        answers = [packet for packet in near.seen() if at.listed.address(family) in (packet.source, packet.destination)]
    return _silence(passed, "one beside it arrives", arrived, answers)


def _to_listed(at: Topology, family: Family) -> Seen:
    near = at.dynamic.address(family)
    return _beside(at.dynamic, at.outside, family, lambda host: (near, host.address(family)), at)


def _from_listed(at: Topology, family: Family) -> Seen:
    near = at.dynamic.address(family)
    return _beside(at.outside, at.dynamic, family, lambda host: (host.address(family), near), at)


def _silence(control: bool, control_words: str, arrived: list[Packet], answers: list[Packet]) -> Seen:  # noqa: FBT001  one of three findings
    if not control:
        return Seen(Outcome.OTHER, f"not so: {control_words}")
    if arrived or answers:
        return Seen(Outcome.PASSES if arrived else Outcome.OTHER, f"{len(arrived)} arrived, {len(answers)} answers")
    return Seen(Outcome.SILENCE, "nothing arrives")


def _stopped_short(seen: Seen, arrived: list[Packet]) -> Seen:
    """The same finding, unless an attempt that looks stopped did reach its far side."""
    if arrived and seen.outcome in (Outcome.REFUSED, Outcome.SILENCE):
        return Seen(Outcome.OTHER, f"{seen.detail}, but {len(arrived)} packets arrived")
    return seen


def _pool_source(family: Family) -> Address:
    return STATIC[0 if family is Family.IPV4 else 1]


def _stranger(family: Family) -> Address:
    return STRANGER[0 if family is Family.IPV4 else 1]


def _own_port_53(at: Topology, family: Family) -> Seen:
    source = f"{at.dynamic.address(family)}#53"
    return query(at.dynamic, at.resolver.address(family), at.web.address(family), "-b", source)


ATTEMPTS = (
    Attempt(
        "op25b-refused",
        "dynamic",
        "foreign mail server, port 25",
        Outcome.REFUSED,  # OP-1, OP-8
        _mail(lambda at: (at.dynamic, at.foreign_mail), 25),
        CountedBy("op25b", Direction.UP, "reject"),
    ),
    Attempt(
        "op25b-own-server",
        "dynamic",
        "own mail server, port 25",
        Outcome.PASSES,  # OP-4
        _mail(lambda at: (at.dynamic, at.own_mail), 25),
    ),
    Attempt(
        "submission-587",
        "dynamic",
        "foreign mail server, port 587",
        Outcome.PASSES,  # OP-7
        _mail(lambda at: (at.dynamic, at.foreign_mail), 587),
    ),
    Attempt(
        "submission-465",
        "dynamic",
        "foreign mail server, port 465",
        Outcome.PASSES,  # OP-7
        _mail(lambda at: (at.dynamic, at.foreign_mail), 465),
    ),
    Attempt(
        "op25b-static",
        "static",
        "foreign mail server, port 25",
        Outcome.PASSES,  # OP-5
        _mail(lambda at: (at.static, at.foreign_mail), 25),
    ),
    Attempt(
        "op25b-replies",
        "outside",
        "TCP from port 25 to dynamic",
        Outcome.SILENCE,  # OP-2, OP-8
        _answer_from_port_25,
        CountedBy("op25b", Direction.DOWN, "drop"),
    ),
    Attempt(
        "dns-query",
        "dynamic",
        "DNS query to a resolver",
        Outcome.PASSES,  # IP-2, IP-4
        lambda at, family: query(at.dynamic, at.resolver.address(family), at.web.address(family)),
    ),
    Attempt(
        "dns-query-from-port-53",
        "dynamic",
        "DNS query from port 53",
        Outcome.PASSES,  # IP-3
        _own_port_53,
    ),
    Attempt(
        "ip53b-unsolicited",
        "outside",
        "DNS query to dynamic, UDP",
        Outcome.SILENCE,  # IP-1, IP-6
        _unsolicited_query,
        CountedBy("ip53b", Direction.DOWN, "drop"),
    ),
    Attempt(
        "ip53b-tcp",
        "outside",
        "DNS query to dynamic, TCP",
        Outcome.PASSES,  # IP-5
        lambda at, family: query(at.outside, at.open_resolver.address(family), at.web.address(family), "+tcp"),
    ),
    Attempt(
        "web-dynamic",
        "dynamic",
        "web download",
        Outcome.PASSES,
        lambda at, family: download(at.dynamic, at.web.address(family)),
    ),
    Attempt(
        "web-static",
        "static",
        "web download",
        Outcome.PASSES,
        lambda at, family: download(at.static, at.web.address(family)),
    ),
    Attempt(
        "blocklist-to-listed",
        "dynamic",
        "a listed address",
        Outcome.SILENCE,  # BL-1
        _to_listed,
        CountedBy("blocklist", Direction.UP, "drop"),
    ),
    Attempt(
        "blocklist-from-listed",
        "outside",
        "from a listed address",
        Outcome.SILENCE,  # BL-1
        _from_listed,
        CountedBy("blocklist", Direction.DOWN, "drop"),
    ),
    Attempt(
        "spoof-from-subscriber",
        "dynamic",
        "a source that is not theirs",
        Outcome.SILENCE,  # AS-1
        lambda at, family: _datagram(at.dynamic, at.web, family, _stranger(family)),
        CountedBy("spoof", Direction.UP, "drop"),
    ),
    Attempt(
        "spoof-from-outside",
        "outside",
        "a source inside our pools",
        Outcome.SILENCE,  # AS-4
        lambda at, family: _datagram(at.outside, at.dynamic, family, _pool_source(family)),
        CountedBy("spoof", Direction.DOWN, "drop"),
    ),
)
