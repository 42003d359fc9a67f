"""What the flows of a capture are, by the inspector of the live queue.

A packet that a policy stopped never comes to that queue: it has no class and gives its flow none. The host that it asks for is
told all the same, to whoever wants rows of flows. What a router forwards to nobody, such as multicast, has a class: captures come
from other places than gateways too. Of a packet in pieces the last one stands for the whole, and of a tunnel the packet inside.
The live path asks about no more than the first packets of a connection (policies/capping.py), which is more than the inspector's
own budgets, and these hold here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from edged.inspect.engine import Inspector
from edged.inspect.sight import TrafficClass
from edged.packet.decode import RAW, decode
from edged.packet.layers import TCP, UDP, Decoded
from edged.packet.reassembly import Reassembler, Whole
from edged.packet.tunnels import TUNNEL_PORTS, innermost
from edged.replay.arrival import Arrival
from edged.replay.flows import Flows, Key, key_of
from edged.replay.verdict import Judged

MOST = 131_072  # flows with a class, some 40 MB; beyond, what is counted may be counted again

_new = tuple.__new__


class Classifier:
    """Tells the classes of one capture's packets, by an inspector that has seen no other, and `rows` what each flow is."""

    def __init__(self, inspector: Inspector, rows: Flows | None = None) -> None:
        self.inspector = inspector
        self._reassembler = Reassembler()
        self.rows = rows
        self.forgot = 0  # how many times it forgot what it had counted
        self._counted: dict[Key, TrafficClass] = {}
        self._flows = dict.fromkeys(TrafficClass, 0)

    @property
    def flows(self) -> Mapping[TrafficClass, int]:
        """How many flows were found of each class, as rows count them: whatever passes between the same ends is one."""
        return self._flows

    def looked_into(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        """The packets, in order, each with what its flow is known as, itself included."""
        feed, is_all_asked = self.inspector.feed, self.rows is not None
        for each in arrivals:
            now, data, packet = each[2:5]
            if packet.fragment is not None:
                packet, data = self._whole(packet, data, now)
            protocol = packet.protocol
            if protocol != TCP and (
                protocol != UDP or packet.source_port in TUNNEL_PORTS or packet.destination_port in TUNNEL_PORTS
            ):
                packet = innermost(packet, data).packet
            decision = feed(now, packet, data)
            if decision is not None and (decision.traffic_class is not None or is_all_asked):
                yield _new(Arrival, (*each[:6], decision.traffic_class, packet, decision.host))
            elif is_all_asked:
                yield _new(Arrival, (*each[:6], None, packet, None))
            else:
                yield each

    def counted(self, judged: Iterable[Judged]) -> Iterator[Judged]:
        """The packets that were looked into, judged by now; those that a policy stopped have no class any more."""
        rows = self.rows
        for each in judged:
            arrival, judgement = each
            if arrival.class_ is not None:
                assert arrival.inner is not None  # noqa: S101  it has the class
                if judgement.policy is None:
                    self._count(arrival.inner, arrival.class_)
                else:
                    each = Judged(arrival._replace(class_=None), judgement)  # noqa: PLW2901
            if rows is not None:
                rows.take(each)
            yield each

    def _whole(self, piece: Decoded, data: bytes, now: int) -> tuple[Decoded, bytes]:
        """The packet that the piece makes whole; else the piece, of which the inspector makes nothing."""
        taken = self._reassembler.take(piece, data, now)
        if isinstance(taken, Whole):
            whole = decode(taken.data, RAW)
            if isinstance(whole, Decoded):
                return whole, taken.data
        return piece, data

    def _count(self, packet: Decoded, class_: TrafficClass) -> None:
        """Count the packet's flow, unless it has been; one that becomes another class is no longer of its former one."""
        key = key_of(packet)
        former = self._counted.get(key)
        if former is class_:
            return
        if former is not None:
            self._flows[former] -= 1
        elif len(self._counted) >= MOST:
            self._counted.clear()
            self.forgot += 1
        self._counted[key] = class_
        self._flows[class_] += 1
