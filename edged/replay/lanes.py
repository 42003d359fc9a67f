"""Lanes: packets whose answer is settled, counted by a look at their raw bytes.

To decode a packet, judge it and tell its class takes several times as long as to read it, and most packets of a capture belong to
a direction of a connection that has its answer, and to a flow whose class is final. Where nobody takes single packets, such a
direction gets a lane, by the bytes that its addresses and ports are in the frame. A packet on a lane is no more than counted.

The rule is exactness: a packet goes by its lane only where the slow way would give the very same answer and leave the very same
state behind; whatever is not certain goes the slow way. What that takes is told beside each condition of `through`, and what is
settled once for all in `open` and in lane.py. All that a packet on a lane changes is its connection's deadline. A flow of the
inspector is put in front of others once a second: that packet goes the slow way.

A direction that is refused has no connection, for as long as none of the same ends is kept; what stands for it is in
`Connections.refused`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edged.packet.layers import UDP
from edged.replay.classes import Classifier
from edged.replay.connections import SECOND
from edged.replay.lane import ACK, FIN_SYN_RST_ACK, NOWHERE, PLACES, Lane, name_of, settled_by
from edged.replay.model import Run
from edged.replay.readers import Record
from edged.replay.report import Summary
from edged.replay.run import SPOKEN_EVERY
from edged.replay.verdict import Judged

MOST = 32_768  # lanes, some 15 MB

_FIXED, _PLAIN = 0xFF00_0000_0000_3FFF, 0x4500_0000_0000_0000  # version and header length; MF and offset of a fragment


class Lanes:
    """The lanes of a capture: `through` comes first of all that packets go through, `open` last, one packet after the other."""

    def __init__(self, run: Run, classifier: Classifier | None, summary: Summary, capture: str) -> None:
        """What is counted goes to the summary, under the capture's name."""
        self._run = run
        self._classifier = classifier
        self._summary = summary
        self._capture = capture
        self._lanes: dict[bytes, Lane] = {}
        self._once: set[bytes] = set()  # names that were refused, most of them never again
        self._turned_away = 0  # since room was made last
        self._forgot = 0

    def through(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records that are on no lane."""
        find, waiting = self._lanes.get, self._run.waiting
        last_link, place = -1, NOWHERE
        at, ends4, ends6, head4, head6, type4, type6 = place
        for record in records:
            number, now, link, _, data, on_wire = record
            if link != last_link:
                last_link, place = link, PLACES.get(link, NOWHERE)
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
                and (not flags_at or data[at + flags_at] & FIN_SYN_RST_ACK == ACK)
                # the connection is kept, and nothing about it has changed that the answer or its life hang on
                and lane.begins <= now < lane.ends
                and now <= connection.deadline
                and connection.mark == lane.mark
                and connection.answered is lane.answered
                and connection.ends == lane.fins
                # its flow is remembered, neither idle nor due to be put in front, and decided; a bare ACK tells nothing
                and (
                    flow is None
                    or (
                        0 <= now - flow.seen < SECOND
                        and (
                            lane.is_decided
                            or (flow.decision is lane.decision and data[at + flags_at - 1] >> 2 & 0x3C == length - lane.header)
                        )
                    )
                )
                # no piece is to be given up by now
                and (not waiting or now <= waiting[0].until)
                # and no progress to be told
                and number & SPOKEN_EVERY - 1
            ):
                connection.deadline = now + lane.lifetime
                lane.packets += 1
                lane.octets += length
            else:
                yield record

    def open(self, judged: Judged) -> None:
        """Open a lane for what the packet belongs to, where that is settled; the packet is the one that was judged last."""
        run, classifier, flow = self._run, self._classifier, None
        settled, run.settled = run.settled, None
        if classifier is not None:
            flow, classifier.inspector.fed = classifier.inspector.fed, None
            if classifier.forgot != self._forgot:  # and would count the flows of lanes again
                self._forgot = classifier.forgot
                self.close()
        if settled is None or (flow is None and classifier is not None):
            return
        arrival = judged.arrival
        packet, now = arrival.decoded, arrival.nanoseconds
        if packet.protocol == UDP and flow is not None and not flow.is_decided:
            return  # each datagram may tell something
        name = name_of(packet, arrival.data)
        if not name:
            return
        if not settled.connection.is_kept and name not in self._once:
            if len(self._once) >= MOST:
                self._once.clear()
            self._once.add(name)
            return
        former = self._lanes.get(name)
        if former is None and not self._has_room():
            return
        if not settled.connection.is_kept:
            settled = settled._replace(connection=run.connections.refuse(packet, arrival.data))
        if former is not None:
            if former.begins <= now < former.ends and former.settled_by == settled_by(settled, flow):
                return
            self._count(former)
        self._lanes[name] = Lane(packet, settled, flow, arrival.class_, now)

    def _has_room(self) -> bool:
        """Whether a lane can be opened. Of too many those go that carry nothing, but to look for them takes time."""
        if len(self._lanes) < MOST:
            return True
        self._turned_away += 1
        if self._turned_away < MOST:
            return False
        self._turned_away = 0
        for name, lane in list(self._lanes.items()):
            if lane.packets:
                self._count(lane)
            else:
                del self._lanes[name]
        if len(self._run.connections.refused) > MOST:
            self.close()
        return len(self._lanes) < MOST

    def close(self) -> None:
        """End all lanes; what was counted on them is in the summary then."""
        for lane in self._lanes.values():
            self._count(lane)
        self._lanes.clear()
        self._run.connections.refused.clear()

    def _count(self, lane: Lane) -> None:
        if lane.packets:
            self._summary.add_alike(self._capture, lane.judgement, lane.class_, lane.packets, lane.octets)
            lane.packets = lane.octets = 0
