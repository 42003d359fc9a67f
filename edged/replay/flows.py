"""The flows of a capture, for `--flows`: packets of both directions between two ends, of the innermost IP header."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from edged.addresses import Family
from edged.inspect.sight import TrafficClass
from edged.packet.layers import Decoded
from edged.replay.verdict import Judged, Verdict
from edged.replay.writers import FlowRow

_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6", 132: "sctp", 47: "gre", 50: "esp"}
_GRAVITY = {Verdict.ACCEPT: 0, Verdict.DROP: 1, Verdict.REJECT: 2}

_End = tuple[int, int]
Key = tuple[Family, int | None, _End, _End]


class _Flow:
    __slots__ = ("class_", "client", "first", "host", "octets", "packets", "policy", "server", "verdict")

    def __init__(self, first: int, client: _End, server: _End) -> None:
        self.first = first
        self.client = client
        self.server = server
        self.packets = 0
        self.octets = 0
        self.verdict = Verdict.ACCEPT
        self.policy = ""
        self.class_: TrafficClass | None = None
        self.host: str | None = None


class Flows:
    """Collects the flows of the capture at that place among those given; whoever sends first is the client.

    The verdict of a flow is the gravest of its packets', and its class and host name are the last that were told.
    """

    def __init__(self, place: int, file: str) -> None:
        self._flows: dict[Key, _Flow] = {}
        self._place = place
        self._file = file

    def take(self, judged: Judged) -> None:
        """A packet that was looked into and judged."""
        arrival, (verdict, policy, _, _) = judged
        packet = arrival.inner or arrival.decoded
        key = key_of(packet)
        flow = self._flows.get(key)
        if flow is None:
            client, server = _ends(packet)
            flow = self._flows[key] = _Flow(arrival.number, client, server)
        flow.packets += 1
        flow.octets += arrival.decoded.length
        if _GRAVITY[verdict] > _GRAVITY[flow.verdict]:
            flow.verdict, flow.policy = verdict, policy or ""
        # another connection of the same ends, or the rest of one, that tells nothing takes nothing back
        flow.class_ = arrival.class_ or flow.class_
        flow.host = arrival.host or flow.host

    def rows(self) -> Iterator[FlowRow]:
        """A row a flow, in the order of their first packets."""
        for (family, protocol, *_), flow in self._flows.items():
            address = IPv4Address if family is Family.IPV4 else IPv6Address
            yield FlowRow(
                first=(self._place, flow.first),
                file=self._file,
                proto="none" if protocol is None else _PROTOCOLS.get(protocol, str(protocol)),
                client=str(address(flow.client[0])),
                cport=flow.client[1],
                server=str(address(flow.server[0])),
                sport=flow.server[1],
                class_=flow.class_ or "other",
                hostname=flow.host,
                policy=flow.policy,
                verdict=flow.verdict,
                packets=flow.packets,
                octets=flow.octets,
            )


def key_of(packet: Decoded) -> Key:
    """What the packets of a flow have in common, in both directions."""
    one, other = _ends(packet)
    return (packet.family, packet.protocol, one, other) if one < other else (packet.family, packet.protocol, other, one)


def _ends(packet: Decoded) -> tuple[_End, _End]:
    return (packet.source, packet.source_port or 0), (packet.destination, packet.destination_port or 0)
