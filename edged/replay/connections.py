"""Connections as conntrack keeps them, by the capture's clock: which one a packet belongs to, and what conntrack says of it.

Sources: net/netfilter/nf_conntrack_core.c and nf_conntrack_proto_{tcp,udp,icmp,icmpv6,generic}.c of Linux 6.1 to 6.18, with
nf_conntrack_tcp_loose on, as the kernel comes. TCP's windows are not followed: a segment far outside of them, which conntrack
calls INVALID, counts as established here. No rule of edged stops or lets by a packet for that difference (semantics OP-3).
"""

from __future__ import annotations

from typing import NamedTuple

from edged.addresses import Family
from edged.packet.decode import RAW, decode
from edged.packet.layers import ICMP, ICMPV6, TCP, UDP, Decoded, Undecodable
from edged.replay.arrival import Side
from edged.replay.verdict import Judgement

SECOND = 1_000_000_000
MOST = 65_536  # some 30 MB; nf_conntrack_max of a machine with up to 4 GB
_SWEEP_EVERY = 1 << 16  # new connections
_GONE, NEVER = -1 << 80, 1 << 80  # deadlines before and after all that any capture can say

Key = tuple[int, int, int | None, int, int | None]  # protocol and family, the lower end and its port, the higher and its
_IPV6 = Family.IPV6
_OF_IPV6 = 1 << 8
_new = tuple.__new__

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
# tcp_valid_flags of nf_conntrack_proto_tcp.c; PSH, ECE, CWR and AE are not looked at
_LOOKED_AT = FIN | SYN | RST | ACK | URG
_VALID = frozenset((SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG))
_OPENS = frozenset((SYN, SYN | URG, ACK, ACK | URG))  # nf_conntrack_tcp_loose: also in the middle

# nf_conntrack_standalone.c, the tables of the protocols
_UDP, _UDP_STREAM, _ICMP, _GENERIC = (seconds * SECOND for seconds in (30, 120, 30, 600))
STREAM_AFTER = 2 * SECOND  # nf_conntrack_proto_udp.c
_TCP_OPENING, _TCP_ESTABLISHED, _TCP_UNACKNOWLEDGED = (seconds * SECOND for seconds in (120, 432_000, 300))
_TCP_CLOSING, _TCP_RESET = 120 * SECOND, 10 * SECOND

_ICMPS = (ICMP, ICMPV6)
_ECHOES = {(ICMP, 8): 0, (ICMP, 13): 14, (ICMP, 15): 16, (ICMP, 17): 18, (ICMPV6, 128): 129}  # request: its answer
_ANSWERS = {(protocol, answer): request for (protocol, request), answer in _ECHOES.items()}
_ERRORS = {ICMP: frozenset((3, 4, 5, 11, 12)), ICMPV6: frozenset(range(128))}
# RFC 4861 and RFC 2710: conntrack leaves them alone (nf_conntrack_proto_icmpv6.c, noct_valid_new)
_UNTRACKED_ICMPV6 = frozenset((130, 131, 132, 133, 134, 135, 136, 137, 143))


class Answer(NamedTuple):
    """A judgement and what it was asked with; it holds for all of a connection's direction that is asked with the same."""

    state: str
    side: Side
    mark: int
    moment: int
    judgement: Judgement
    marked: int  # the connection's mark afterwards


class Connection:
    """One connection; `from_lower` tells which of its ends opened it.

    Its `deadline` (nanoseconds) is before all time once it is no longer kept, whoever still holds it.
    """

    __slots__ = ("answered", "deadline", "ends", "from_lower", "is_kept", "mark", "opened", "original", "reply")

    def __init__(self, now: int) -> None:
        self.opened = now
        self.deadline = now
        self.answered = False
        self.ends = 0  # TCP: how many FINs have passed, 2 at most
        self.mark = 0
        self.is_kept = False
        self.from_lower = False
        # what was last answered in each direction: there is nothing else that is kept by the packet
        self.original: Answer | None = None
        self.reply: Answer | None = None


class Found(NamedTuple):
    """What conntrack says of a packet. Without a connection it is INVALID, or untracked."""

    connection: Connection | None
    state: str  # new | established | related | invalid | untracked
    is_reply: bool


_INVALID = Found(None, "invalid", is_reply=False)
_UNTRACKED = Found(None, "untracked", is_reply=False)


class Connections:
    """The connections of one capture; memory is bounded by MOST.

    `refused` stand for connections that are not kept, and are over once one of their key is; who asks for them bounds them.
    """

    def __init__(self) -> None:
        self._known: dict[Key, Connection] = {}
        self.refused: dict[Key, Connection] = {}
        self._added = 0

    def arrives(self, packet: Decoded, data: bytes, now: int) -> Found:
        """What conntrack says of the packet, decoded from `data`, when it comes to the rules at `now` (nanoseconds)."""
        key, from_lower = key_of(packet, data)
        connection = self._known.get(key)
        if connection is not None and connection.deadline < now:
            self._forget(key)
            connection = None
        protocol = packet.protocol
        if protocol == TCP:
            if packet.flags is None or (flags := packet.flags & _LOOKED_AT) not in _VALID:
                return _INVALID
            if connection is None or (flags & (SYN | ACK) == SYN and connection.ends == 2):
                # of a port that is used again the old connection is over
                return _new(Found, (Connection(now), "new", False)) if flags in _OPENS else _INVALID
            if flags & RST or (flags & FIN and connection.ends < 2):
                connection.ends = 2 if flags & RST else connection.ends + 1
        elif protocol in _ICMPS:
            refused = self._unlike_echo(packet, data, connection is not None, now)
            if refused is not None:
                return refused
        if connection is None:
            return _new(Found, (Connection(now), "new", False))
        # what the rules make of the packet is all the same to the connection from here on (nf_conntrack_in)
        if is_reply := connection.from_lower is not from_lower:
            connection.answered = True
        connection.deadline = now + lifetime(packet, connection, now)
        return _new(Found, (connection, "established" if connection.answered else "new", is_reply))

    def keep(self, connection: Connection, packet: Decoded, data: bytes, now: int) -> None:
        """The packet that opened the connection went on: it is there from now on, for as long as its kind lives."""
        self._added += 1
        if len(self._known) >= MOST or not self._added % _SWEEP_EVERY:
            self._sweep(now)
        key, connection.from_lower = key_of(packet, data)
        if key in self._known:
            self._forget(key)
        if (refused := self.refused.pop(key, None)) is not None:
            refused.deadline = _GONE
        connection.is_kept = True
        connection.deadline = now + lifetime(packet, connection, now)
        self._known[key] = connection

    def refuse(self, packet: Decoded, data: bytes) -> Connection:
        """What stands for the connection of a packet that opened none: its deadline never comes while none is kept."""
        key, _ = key_of(packet, data)
        refused = self.refused.get(key)
        if refused is None:
            refused = self.refused[key] = Connection(NEVER)
        return refused

    def _unlike_echo(self, packet: Decoded, data: bytes, is_known: bool, now: int) -> Found | None:  # noqa: FBT001
        """What conntrack says of an ICMP packet; None where it opens a connection, or is of the one of its key."""
        protocol, kind = packet.protocol, packet.icmp_type
        assert protocol is not None  # noqa: S101  the caller asked
        if kind is None:
            return _INVALID
        if protocol == ICMPV6 and kind in _UNTRACKED_ICMPV6:
            return _UNTRACKED
        if kind in _ERRORS[protocol]:
            inner = decode(data[packet.payload : packet.end], RAW)
            return _INVALID if isinstance(inner, Undecodable) else self._about(inner, data[packet.payload : packet.end], now)
        if (protocol, kind) in _ECHOES or (is_known and (protocol, kind) in _ANSWERS):
            return None
        return _INVALID

    def _about(self, inner: Decoded, data: bytes, now: int) -> Found:
        """What conntrack says of an ICMP error about that packet, which went the other way."""
        key, from_lower = key_of(inner, data)
        connection = self._known.get(key)
        if connection is None or connection.deadline < now:
            return _INVALID
        return Found(connection, "related", is_reply=connection.from_lower is from_lower)

    def _sweep(self, now: int) -> None:
        """Forget what has ended; where that is not enough, what ends soonest."""
        self._forget_before(now)
        if len(self._known) >= MOST:
            last = sorted(kept.deadline for kept in self._known.values())[len(self._known) // 4]
            self._forget_before(last + 1)

    def _forget_before(self, time: int) -> None:
        for key in [key for key, kept in self._known.items() if kept.deadline < time]:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self._known.pop(key).deadline = _GONE


def key_of(packet: Decoded, data: bytes) -> tuple[Key, bool]:
    """What tells the packet's connection from others, its lower end first, and whether the packet is from that end.

    The packet was decoded from `data`.
    """
    family, source, destination, protocol, source_port, destination_port = packet[:6]
    kind = protocol or 0
    if packet.icmp_type is not None:
        # an answer stands under its request's type, with the identifier of both as port
        source_port = _ANSWERS.get((kind, packet.icmp_type), packet.icmp_type)
        at = packet.transport + 4  # RFC 792, RFC 4443 section 4.1
        destination_port = int.from_bytes(data[at : at + 2], "big")
        kind |= _OF_IPV6 if family is _IPV6 else 0
        ends = (source, destination) if source < destination else (destination, source)
        return (kind, ends[0], source_port, ends[1], destination_port), source <= destination
    if family is _IPV6:
        kind |= _OF_IPV6
    if source < destination or (source == destination and (source_port or 0) <= (destination_port or 0)):
        return (kind, source, source_port, destination, destination_port), True
    return (kind, destination, destination_port, source, source_port), False


def lifetime(packet: Decoded, connection: Connection, now: int) -> int:
    """For how long the connection is kept after the packet, in nanoseconds."""
    protocol = packet.protocol
    if protocol == TCP:
        if packet.flags is not None and packet.flags & RST:
            return _TCP_RESET
        if connection.ends:
            return _TCP_CLOSING
        if connection.answered:
            return _TCP_ESTABLISHED
        return _TCP_OPENING if packet.flags is not None and packet.flags & SYN else _TCP_UNACKNOWLEDGED
    if protocol == UDP:
        is_stream = connection.answered and now - connection.opened > STREAM_AFTER
        return _UDP_STREAM if is_stream else _UDP
    return _ICMP if protocol in _ICMPS else _GENERIC
