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
        self._inspector = inspector
        self._reassembler = Reassembler()
        self._rows = rows
        self._counted: dict[Key, TrafficClass] = {}
        self._flows = dict.fromkeys(TrafficClass, 0)

    @property
    def flows(self) -> Mapping[TrafficClass, int]:
        """How many flows were found of each class, as rows count them: whatever passes between the same ends is one."""
        return self._flows

    def classed(self, judged: Iterable[Judged]) -> Iterator[Judged]:
        """The packets, in order, each with what its flow is known as, itself included."""
        feed, rows = self._inspector.feed, self._rows
        for each in judged:
            arrival, judgement = each
            _, _, now, data, packet, _, _ = arrival
            if packet.fragment is not None:
                packet, data = self._whole(packet, data, now)
            protocol = packet.protocol
            if protocol != TCP and (
                protocol != UDP or packet.source_port in TUNNEL_PORTS or packet.destination_port in TUNNEL_PORTS
            ):
                packet = innermost(packet, data).packet
            decision = feed(now, packet, data)
            if decision is not None and (class_ := decision.traffic_class) is not None and judgement.policy is None:
                each = _new(Judged, (_new(Arrival, (*arrival[:6], class_)), judgement))  # noqa: PLW2901
                self._count(packet, class_)
            if rows is not None:
                rows.take(each, packet, None if decision is None else decision.host)
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
        self._counted[key] = class_
        self._flows[class_] += 1
