"""Lanes: packets whose answer is settled, counted by a look at their raw bytes.

To decode a packet, judge it and tell its class takes several times as long as to read it, and most packets of a capture belong to
a direction of a connection that has its answer, and to a flow whose class is final. Where nobody takes single packets, such a
direction gets a lane, by the bytes that its addresses and ports are in the frame. A packet on a lane is no more than counted.

The rule is exactness: a packet goes by its lane only where the slow way would give the very same answer and leave the very same
state behind; whatever is not certain goes the slow way. What that takes is told beside each condition, in `through` of the packet
and of the time, in `open` of the lane. All that a packet on a lane changes is its connection's deadline. A flow of the inspector
is put in front of others once a second: that packet goes the slow way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Any, NamedTuple

from edged.addresses import Family
from edged.inspect.flows import Flow
from edged.inspect.sight import TrafficClass
from edged.packet.decode import ETHERNET, RAW
from edged.packet.layers import TCP, UDP, Decoded
from edged.packet.tunnels import TUNNEL_PORTS
from edged.replay.classes import Classifier
from edged.replay.connections import SECOND, STREAM_AFTER, lifetime
from edged.replay.model import Run, Settled
from edged.replay.readers import Record
from edged.replay.report import Summary
from edged.replay.verdict import Judged, Judgement

MOST = 32_768  # lanes, some 15 MB
ASIDE = 1024  # of so many packets one goes the slow way whatever it is, so that progress is told; a power of two

_IPV6 = Family.IPV6
_FIXED, _PLAIN = 0xFF00_0000_0000_3FFF, 0x4500_0000_0000_0000  # version and header length; offset and MF of a fragment
_FIN_SYN_RST_ACK, _ACK = 0x17, 0x10

_Unpack = Callable[[bytes], tuple[Any, ...]]


class _Place(NamedTuple):
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


def _place(at: int, before: str, type4: bytes, type6: bytes) -> _Place:
    head4, head6 = Struct(f"!{before}QI").unpack_from, Struct(f"!{before}IHB").unpack_from
    return _Place(at, slice(at + 12, at + 24), slice(at + 8, at + 44), head4, head6, type4, type6)


_PLACES = {
    ETHERNET: _place(14, "12x2s", b"\x08\x00", b"\x86\xdd"),
    RAW: _place(0, "0s", b"", b""),
}
_NOWHERE = _PLACES[RAW]._replace(ends4=slice(0), ends6=slice(0))  # no lane has this name


class _Lane:
    """A direction that is settled, and what was counted on it.

    - `least`: bytes of both headers, the transport header without options; `flags_at`: where TCP's flags are, 0 for UDP.
    - `addresses`: their sum, of IPv4, for the header's checksum.
    - `begins`, `ends`: in between (nanoseconds) the answer stands, and the connection lives on for `lifetime` after a packet.
    """

    __slots__ = (
        "addresses",
        "answered",
        "begins",
        "class_",
        "connection",
        "ends",
        "flags_at",
        "flow",
        "is_ipv6",
        "judgement",
        "least",
        "lifetime",
        "mark",
        "octets",
        "packets",
        "protocol",
    )

    def __init__(self, packet: Decoded, settled: Settled, flow: Flow | None, class_: TrafficClass | None, now: int) -> None:
        connection, answer, moment = settled
        self.connection = connection
        self.judgement: Judgement = answer.judgement
        self.mark = answer.mark
        self.answered = connection.answered
        self.flow = flow
        self.class_ = class_
        self.is_ipv6 = packet.family is _IPV6
        self.protocol = packet.protocol
        self.least = packet.transport - packet.network + (20 if packet.protocol == TCP else 8)
        self.flags_at = self.least - 7 if packet.protocol == TCP else 0
        self.addresses = packet.source + packet.destination
        self.begins, self.ends = moment.begins, moment.ends
        self.lifetime = lifetime(packet, connection, now)
        if packet.protocol == UDP and connection.answered:  # which is kept for longer from some time on
            turn = connection.opened + STREAM_AFTER + 1
            if now >= turn:
                self.begins = max(self.begins, turn)
            else:
                self.ends = min(self.ends, turn)
        self.packets = self.octets = 0


class Lanes:
    """The lanes of a capture: `through` comes first of all that packets go through, `open` last, one packet after the other."""

    def __init__(self, run: Run, classifier: Classifier | None, summary: Summary, capture: str) -> None:
        """What is counted goes to the summary, under the capture's name."""
        self._run = run
        self._classifier = classifier
        self._summary = summary
        self._capture = capture
        self._lanes: dict[bytes, _Lane] = {}
        self._forgot = 0

    def through(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records that are on no lane."""
        find, waiting = self._lanes.get, self._run.waiting
        last_link, place = -1, _NOWHERE
        at, ends4, ends6, head4, head6, type4, type6 = place
        for record in records:
            number, now, link, _, data, on_wire = record
            if link != last_link:
                last_link, place = link, _PLACES.get(link, _NOWHERE)
                at, ends4, ends6, head4, head6, type4, type6 = place
            lane = find(data[ends4]) or find(data[ends6])
            if lane is None:
                yield record
                continue
            size = len(data)
            if lane.is_ipv6:
                ethertype, word, length, protocol = head6(data)
                length += 40
                is_plain = ethertype == type6 and word >> 28 == 6 and protocol == lane.protocol
            else:
                ethertype, head, rest = head4(data)
                length = head >> 32 & 0xFFFF
                is_plain = (
                    ethertype == type4
                    and head & _FIXED == _PLAIN
                    and rest >> 16 & 0xFF == lane.protocol
                    and not (head + rest + lane.addresses) % 0xFFFF  # RFC 1071, as a sum modulo 2^16 - 1
                )
            connection, flow, flags_at = lane.connection, lane.flow, lane.flags_at
            if (
                is_plain
                # both headers are within the packet and were captured, and Linux finds the packet to be all there
                and lane.least <= length <= (on_wire if on_wire > size else size) - at
                and size - at >= lane.least
                # no segment that begins or ends anything
                and (not flags_at or data[at + flags_at] & _FIN_SYN_RST_ACK == _ACK)
                # the connection is kept, and nothing about it has changed that the answer or its life hang on
                and lane.begins <= now < lane.ends
                and now <= connection.deadline
                and connection.mark == lane.mark
                and connection.answered is lane.answered
                and not connection.ends
                # its flow is remembered, and neither idle nor due to be put in front
                and (flow is None or 0 <= now - flow.seen < SECOND)
                # no piece is to be given up by now
                and (not waiting or now <= waiting[0].until)
                and number & ASIDE - 1
            ):
                connection.deadline = now + lane.lifetime
                lane.packets += 1
                lane.octets += length
            else:
                yield record

    def open(self, judged: Judged) -> None:
        """Open a lane for what the packet belongs to, where that is settled; the packet is the one that was judged last."""
        run, classifier = self._run, self._classifier
        settled, run.settled = run.settled, None
        flow = None
        if classifier is not None:
            flow, classifier.inspector.decided = classifier.inspector.decided, None
            if classifier.forgot != self._forgot:  # and would count the flows of lanes again
                self._forgot = classifier.forgot
                self.close()
        if settled is None or (flow is None and classifier is not None):
            return
        arrival = judged.arrival
        name = _name(arrival.decoded, arrival.data)
        # a mark that is about to change is not asked with again; and another answer awaits a connection that ends
        if not name or settled.connection.ends or settled.answer.mark != settled.answer.marked:
            return
        former = self._lanes.pop(name, None)
        if former is not None:
            self._count(former)
        elif len(self._lanes) >= MOST:
            self.close()
        self._lanes[name] = _Lane(arrival.decoded, settled, flow, arrival.class_, arrival.nanoseconds)

    def close(self) -> None:
        """End all lanes; what was counted on them is in the summary then."""
        for lane in self._lanes.values():
            self._count(lane)
        self._lanes.clear()

    def _count(self, lane: _Lane) -> None:
        if lane.packets:
            self._summary.add_alike(self._capture, lane.judgement, lane.class_, lane.packets, lane.octets)


def _name(packet: Decoded, data: bytes) -> bytes:
    """The bytes by which packets like this are known; none where they can have no lane.

    It is whole, of UDP or in the middle of TCP, and without IPv4 options or extension headers. A tunnel has its flow inside. A
    source of zero is never forwarded, whatever the connection.
    """
    at, protocol = packet.network, packet.protocol
    if packet.fragment is not None or packet.dropped_by_stack or not packet.source:
        return b""
    if protocol == TCP:
        if packet.flags is None or packet.flags & _FIN_SYN_RST_ACK != _ACK:
            return b""
    elif protocol != UDP or packet.destination_port is None:
        return b""
    elif packet.source_port in TUNNEL_PORTS or packet.destination_port in TUNNEL_PORTS:
        return b""
    header = packet.transport - at
    if packet.family is _IPV6:
        return data[at + 8 : at + 44] if header == 40 else b""
    return data[at + 12 : at + 24] if header == 20 else b""
