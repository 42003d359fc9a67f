"""The inspector: packets in their order to what their flows are. Captures and the live queue are fed to it alike.

It reads no clock, keeps payload in memory only, and is total: whatever the packets hold, it raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edged.inspect.allowance import Allowance
from edged.inspect.decision import Counts, Decision
from edged.inspect.detectors.mse import may_be_mse
from edged.inspect.endpoints import Endpoints
from edged.inspect.flows import MOST_BYTES, MOST_FLOWS, Flow, Flows, Key
from edged.inspect.judge import BUDGET, LONG_BUDGET, SECOND, Judge
from edged.inspect.names import dns
from edged.inspect.names.answers import Hello
from edged.inspect.names.quic import InitialHello, NotQuic, may_be_opening
from edged.inspect.openings import DNS_PORT, Opening, tcp_opening
from edged.inspect.registry import ByFirstByte, by_first_byte
from edged.inspect.sight import Endpoint, Found, Sight, TrafficClass
from edged.inspect.streams import APART, REPEATED, Stream
from edged.inspect.streams import MOST_BYTES as LONGEST
from edged.packet.layers import TCP, UDP, Decoded
from edged.packet.segment import OVER_IPV6, UDP_IPV6, Segment, is_piece, segment_of
from edged.sources.hosts import Hosts
from edged.transport import Transport

UDP_IDLE = 180 * SECOND  # after which a datagram begins another flow; nf_conntrack_udp_timeout_stream is 120
MOST_DECRYPTIONS = 5_000  # QUIC datagrams opened in a second, some 50 microseconds each, a forged one up to eight times that

_INSPECTED = (TCP, UDP)
_UDP_KINDS = (UDP, UDP_IPV6)
_SYN, _SYN_ACK = 0x02, 0x12
_QUIC = Decision(None, "quic", None, final=False)
_ENCRYPTED = Found("bittorrent-encrypted", TrafficClass.P2P)
_new = tuple.__new__  # the constructor of a NamedTuple is written in Python and takes twice as long


class Inspector:
    """Tells the class of flows, and their host names, by their first packets."""

    def __init__(
        self,
        hosts: Hosts,
        endpoints: Endpoints | None = None,
        *,
        most_flows: int = MOST_FLOWS,
        most_bytes: int = MOST_BYTES,
        most_decryptions: int = MOST_DECRYPTIONS,
    ) -> None:
        """`hosts` are streaming services; `endpoints` are where peers are known to listen, to which it adds what it learns."""
        self.decided = 0  # flows that it has been fed the deciding packet of
        self._endpoints = Endpoints() if endpoints is None else endpoints
        self._flows = Flows(most_flows, most_bytes)
        self._counts = Counts()
        self._judge = Judge(hosts, self._endpoints, self._counts)
        self._allowance = Allowance(most_decryptions)
        self._tcp = by_first_byte(Transport.TCP)
        self._udp = by_first_byte(Transport.UDP)
        # the flow of the packet that was fed last; who takes note of it puts None here
        self.fed: Flow | None = None

    @property
    def counts(self) -> Counts:
        """What has been counted so far; a copy."""
        return replace(
            self._counts,
            decided=dict(self._counts.decided),
            overflow=self._flows.overflow,
            refused_decryptions=self._allowance.refused,
        )

    @property
    def held(self) -> int:
        """Bytes of payload that are kept now."""
        return self._flows.held

    def __len__(self) -> int:
        return len(self._flows)

    def learn(self, now_ns: int, peers: Iterable[Endpoint]) -> None:
        """Take note of endpoints that another inspector learnt."""
        self._endpoints.learn(now_ns, peers)

    def learnt(self) -> tuple[Endpoint, ...]:
        """The endpoints that flows have named since this was asked last, the latest MOST_LEARNT of them."""
        return self._judge.take_learnt()

    def feed(self, now_ns: int, packet: Decoded, data: bytes) -> Decision | None:
        """What the packet's flow is, as far as is known with it; None while nothing is.

        `now_ns` is in nanoseconds, of any clock. `packet` is what `data` was decoded to, whole and without tunnels around it. A
        flow that is decided is answered for with each of its packets.
        """
        segment = segment_of(packet)
        if segment is None:
            self._counts.fragments += packet.protocol in _INSPECTED and is_piece(packet)
            return None
        return self.take(now_ns, segment, data)

    def take(self, now_ns: int, segment: Segment, data: bytes) -> Decision | None:
        """As `feed`, with what the packet carries; the payload stands in `data`."""
        kind, source, destination, source_port, destination_port, flags, sequence, at, end = segment
        is_low = source < destination or (source == destination and source_port <= destination_port)
        if is_low:
            key = (source, destination, source_port, destination_port, kind)
        else:
            key = (destination, source, destination_port, source_port, kind)
        flow = self._flows.get(key)
        if flow is not None and not 0 <= now_ns - flow.seen < SECOND:
            flow = self._after_a_while(now_ns, key, flow)
        if flow is None or (flags is not None and flags & _SYN_ACK == _SYN and sequence != flow.syn):
            # of a live connection the rules hand out nothing before the server's answer to its SYN (policies/capping.py)
            is_answer = flags is not None and flags & _SYN_ACK == _SYN_ACK
            flow = self._flows.begin(key, Flow(BUDGET, now_ns, client_is_low=is_low != is_answer))
            self._counts.flows += 1
        elif flow.is_decided:
            self.fed = flow
            return flow.decision
        side = int(is_low != flow.client_is_low)
        if flags is None or sequence is None:
            if at < end:
                self._datagram(now_ns, flow, side, segment, data[at : min(end, at + LONGEST)])
        elif at < end:
            self._segment(now_ns, flow, side, segment, data[at:end])
        elif flags & _SYN:
            self._begin(flow, side, flags, sequence)
        self.decided += flow.is_decided
        self.fed = flow
        return flow.decision

    def _after_a_while(self, now: int, key: Key, flow: Flow) -> Flow | None:
        """The flow, in use again; None where it is over. That is asked once a second, as it costs a busy flow too much."""
        if now - flow.seen > UDP_IDLE and key[4] in _UDP_KINDS:
            return None
        self._flows.use(key)
        flow.seen = now
        return flow

    def _begin(self, flow: Flow, side: int, flags: int, sequence: int) -> Stream:
        """A direction's bytes, from this segment on if none came before; `side` is 0 where it comes from the client, else 1."""
        if flags & _SYN_ACK == _SYN:
            flow.syn = sequence
        first, second = flow.streams
        stream = second if side else first
        if stream is None:
            is_syn = bool(flags & _SYN)
            # a SYN takes a number (RFC 9293 section 3.4)
            stream = Stream(sequence + is_syn & 0xFFFF_FFFF, after_syn=is_syn)
            flow.streams = (first, stream) if side else (stream, second)
        return stream

    def _segment(self, now: int, flow: Flow, side: int, segment: Segment, payload: bytes) -> None:
        """A TCP segment that has payload."""
        flags, sequence = segment.flags or 0, segment.sequence or 0
        stream = flow.streams[side]
        if stream is None or flags & _SYN:
            stream = self._begin(flow, side, flags, sequence)
            sequence = sequence + bool(flags & _SYN) & 0xFFFF_FFFF
        place = stream.take(sequence, payload)
        if place == REPEATED:
            return
        flow.number += 1
        answering = flow.streams[1 - side]
        other, is_whole = (b"", True) if answering is None else (answering.data, answering.is_whole)
        if place == APART:
            # What is missing may come; if not, a message that begins with a segment, as HTTP's do, is recognised all the same
            flow.budget = LONG_BUDGET
            seen, place, is_whole = payload[:LONGEST], 0, False
        else:
            seen, is_whole = stream.data, is_whole and stream.is_whole
        if flow.learns or not self._tcp_opening(now, flow, seen, place, min(segment.source_port, segment.destination_port)):
            self._detect(now, flow, self._tcp, _sight(flow, side, segment, seen, other, place, from_start=is_whole))
        self._settle(flow)

    def _tcp_opening(self, now: int, flow: Flow, seen: bytes, fresh: int, port: int) -> bool:
        """Look for a name; whether that makes looking for anything else idle."""
        opening = tcp_opening(seen, fresh, port)
        if opening is None:
            return False
        if isinstance(opening, Opening):
            self._judge.opened(flow, opening)
            return flow.is_decided
        if len(seen) >= LONGEST:
            self._judge.over_cap(flow)
            return True
        self._judge.incomplete(now, flow, opening)
        return opening.is_hello

    def _datagram(self, now: int, flow: Flow, side: int, segment: Segment, payload: bytes) -> None:
        """A UDP datagram that is not empty."""
        flow.number += 1
        is_dns = DNS_PORT in (segment.source_port, segment.destination_port) and self._dns(flow, payload)
        if not (is_dns or self._quic(now, flow, side, payload)):
            sight = _sight(flow, side, segment, payload, flow.datagrams[1 - side], 0, from_start=True)
            self._detect(now, flow, self._udp, sight)
        if not flow.is_decided:
            first, second = flow.datagrams
            flow.datagrams = (first, payload) if side else (payload, second)
        self._settle(flow)

    def _dns(self, flow: Flow, payload: bytes) -> bool:
        message = dns.message(payload)
        if isinstance(message, dns.NotDns):
            return False
        self._judge.opened(flow, _new(Opening, ("dns", message.name, False)))
        return True

    def _quic(self, now: int, flow: Flow, side: int, payload: bytes) -> bool:
        """Look for the name of a QUIC client; whether this is one, as far as is known."""
        if flow.quic is None:
            if flow.learns or not may_be_opening(payload):
                return False
            flow.quic, flow.quic_side, flow.budget = InitialHello(), side, LONG_BUDGET
            flow.decision = _QUIC
        if side != flow.quic_side:
            flow.quic.retry(payload)
            return True
        if not self._allowance.takes(now):
            return True
        hello = flow.quic.take(payload)
        if isinstance(hello, Hello):
            self._judge.opened(flow, _new(Opening, ("quic", hello.name, False)))
        elif isinstance(hello, NotQuic):
            flow.quic = flow.decision = None
            return False
        return True

    def _detect(self, now: int, flow: Flow, table: ByFirstByte, sight: Sight) -> None:
        for detect in table[sight.payload[0]]:
            found = detect(sight)
            if found is not None:
                self._judge.found(now, flow, found)
                return
        if table is self._tcp and self._endpoints.knows(now, sight.destination) and may_be_mse(sight):
            self._judge.found(now, flow, _ENCRYPTED)

    def _settle(self, flow: Flow) -> None:
        """End what a packet's payload was looked at for."""
        if not flow.is_decided and flow.number >= flow.budget:
            self._judge.spent(flow)
        if flow.held or not flow.is_decided:
            self._flows.account(flow)


def _sight(flow: Flow, side: int, segment: Segment, payload: bytes, other: bytes, fresh: int, *, from_start: bool) -> Sight:
    is_ipv6 = segment.kind >= OVER_IPV6
    source = _new(Endpoint, (is_ipv6, segment.source, segment.source_port))
    destination = _new(Endpoint, (is_ipv6, segment.destination, segment.destination_port))
    return _new(Sight, (payload, other, fresh, flow.number, not side, from_start, source, destination))
