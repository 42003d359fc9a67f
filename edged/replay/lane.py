"""A lane: one direction of a connection with a settled answer, what must hold for it to stand, and what was counted on it."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from edged.addresses import Family
from edged.inspect.flows import Flow
from edged.inspect.sight import TrafficClass
from edged.packet.decode import ETHERNET, RAW
from edged.packet.layers import TCP, UDP, Decoded
from edged.packet.tunnels import TUNNEL_PORTS
from edged.replay.connections import NEVER, STREAM_AFTER, lifetime
from edged.replay.model import Settled

FIN_SYN_RST_ACK, ACK = 0x17, 0x10

_IPV6 = Family.IPV6
_Unpack = Callable[[bytes], tuple[Any, ...]]


class Place(NamedTuple):
    """Where things are in the frames of a link layer.

    `ends4` and `ends6` are addresses and ports behind a header without options or extensions. `head4` gives the ethertype and the
    first 12 bytes of an IPv4 header as 8 and 4; `head6` the ethertype, the first word, the payload length and the next header.
    """

    at: int
    ends4: slice
    ends6: slice
    head4: _Unpack
    head6: _Unpack
    type4: bytes
    type6: bytes


def _place(at: int, before: str, type4: bytes, type6: bytes) -> Place:
    head4, head6 = Struct(f"!{before}QI").unpack_from, Struct(f"!{before}IHB").unpack_from
    return Place(at, slice(at + 12, at + 24), slice(at + 8, at + 44), head4, head6, type4, type6)


PLACES = {ETHERNET: _place(14, "12x2s", b"\x08\x00", b"\x86\xdd"), RAW: _place(0, "0s", b"", b"")}
NOWHERE = PLACES[RAW]._replace(ends4=slice(0), ends6=slice(0))  # no lane has this name


class Lane:
    """One direction.

    - `settled_by`: what a packet of this direction must meet by the slow way for the lane to be as it would be made now.
    - `header`: bytes of the IP header; `least`: with the transport header, that without options; `flags_at`: where TCP's flags
      are behind the beginning of the IP header, 0 for UDP.
    - `addresses`: their sum, of IPv4, for the header's checksum.
    - `begins`, `ends`: in between (nanoseconds) the answer stands, and the connection lives on for `lifetime` after a packet.
    - `is_decided`: of its flow; no payload changes anything. Else `decision` is what the flow is known as while none comes.
    """

    __slots__ = (
        "addresses",
        "answered",
        "begins",
        "class_",
        "connection",
        "decision",
        "ends",
        "fins",
        "flags_at",
        "flow",
        "header",
        "is_decided",
        "is_ipv6",
        "judgement",
        "least",
        "lifetime",
        "mark",
        "octets",
        "packets",
        "protocol",
        "settled_by",
    )

    def __init__(self, packet: Decoded, settled: Settled, flow: Flow | None, class_: TrafficClass | None, now: int) -> None:
        """Of what that packet belongs to, which came at `now` (nanoseconds)."""
        self.connection, self.judgement, moment = connection, _, _ = settled
        self.settled_by = settled_by(settled, flow)
        self.mark, self.answered, self.fins = connection.mark, connection.answered, connection.ends
        self.flow, self.class_ = flow, class_
        self.decision = None if flow is None else flow.decision
        self.is_decided = flow is not None and flow.is_decided
        self.is_ipv6 = packet.family is _IPV6
        self.protocol = packet.protocol
        self.header = packet.transport - packet.network
        self.least = self.header + (20 if packet.protocol == TCP else 8)
        self.flags_at = self.least - 7 if packet.protocol == TCP else 0
        self.addresses = packet.source + packet.destination
        self.begins, self.ends = moment.begins, moment.ends
        self.lifetime = lifetime(packet, connection, now) if connection.is_kept else NEVER
        if packet.protocol == UDP and connection.answered:  # which is kept for longer from some time on
            turn = connection.opened + STREAM_AFTER + 1
            if now >= turn:
                self.begins = max(self.begins, turn)
            else:
                self.ends = min(self.ends, turn)
        self.packets = self.octets = 0


def settled_by(settled: Settled, flow: Flow | None) -> tuple[object, ...]:
    """All that a lane hangs on, but for the time."""
    connection, judgement, moment = settled
    decision = None if flow is None else flow.decision
    return connection, judgement, moment.number, connection.mark, connection.answered, connection.ends, flow, decision


def name_of(packet: Decoded, data: bytes) -> bytes:
    """The bytes by which packets like this are known; none where they can have no lane.

    It is whole, of UDP or in the middle of TCP, and without IPv4 options or extension headers. A tunnel has its flow inside.
    """
    at, protocol = packet.network, packet.protocol
    if packet.fragment is not None:
        return b""
    if protocol == TCP:
        is_settled = packet.flags is not None and packet.flags & FIN_SYN_RST_ACK == ACK
    else:
        is_settled = protocol == UDP and packet.destination_port is not None and TUNNEL_PORTS.isdisjoint(packet[4:6])  # the ports
    header = packet.transport - at
    if not is_settled or header != (40 if packet.family is _IPV6 else 20):
        return b""
    return data[at + 8 : at + 44] if packet.family is _IPV6 else data[at + 12 : at + 24]
