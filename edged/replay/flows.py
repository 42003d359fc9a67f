"""The flows of a capture, for `--flows`: packets of both directions between two ends, of the innermost IP header."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from edged.addresses import Family
from edged.packet.layers import Decoded
from edged.packet.tunnels import innermost
from edged.replay.verdict import Judged, Verdict
from edged.replay.writers import FlowRow

_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6", 132: "sctp", 47: "gre", 50: "esp"}
_GRAVITY = {Verdict.ACCEPT: 0, Verdict.DROP: 1, Verdict.REJECT: 2}

_End = tuple[int, int]


class _Flow:
    __slots__ = ("client", "first", "octets", "packets", "policy", "server", "verdict")

    def __init__(self, first: int, client: _End, server: _End) -> None:
        self.first = first
        self.client = client
        self.server = server
        self.packets = 0
        self.octets = 0
        self.verdict = Verdict.ACCEPT
        self.policy = ""


class Flows:
    """Collects the flows of the capture at that place among those given; whoever sends first is the client.

    The verdict of a flow is the gravest of its packets'.
    """

    def __init__(self, place: int, file: str) -> None:
        self._flows: dict[tuple[Family, int | None, _End, _End], _Flow] = {}
        self._place = place
        self._file = file

    def take(self, judged: Judged) -> None:
        """A packet that was judged."""
        arrival, (verdict, policy, _, _) = judged
        packet = innermost(arrival.decoded, arrival.data).packet
        if not isinstance(packet, Decoded):
            packet = arrival.decoded
        one, other = (packet.source, packet.source_port or 0), (packet.destination, packet.destination_port or 0)
        key = (packet.family, packet.protocol, *((one, other) if one < other else (other, one)))
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(arrival.number, one, other)
        flow.packets += 1
        flow.octets += arrival.decoded.length
        if _GRAVITY[verdict] > _GRAVITY[flow.verdict]:
            flow.verdict, flow.policy = verdict, policy or ""

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
                class_="other",
                hostname="",
                policy=flow.policy,
                verdict=flow.verdict,
                packets=flow.packets,
                octets=flow.octets,
            )
