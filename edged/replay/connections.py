"""Connections as conntrack keeps them, by the capture's clock: which one a packet belongs to, and what conntrack says of it.

Sources: net/netfilter/nf_conntrack_core.c and nf_conntrack_proto_{tcp,udp,icmp,icmpv6,generic}.c of Linux 6.1 to 6.18, with
nf_conntrack_tcp_loose on, as the kernel comes. TCP's windows are not followed: a segment far outside of them, which conntrack
calls INVALID, counts as established here. No rule of edged stops or lets by a packet for that difference (semantics OP-3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edged.packet.decode import RAW, decode
from edged.packet.layers import ICMP, ICMPV6, TCP, Decoded, Undecodable

if TYPE_CHECKING:
    from edged.ruleset.tree import Rule

SECOND = 1_000_000_000
MOST = 262_144  # net.netfilter.nf_conntrack_max on a machine with 16 GB
_SWEEP_EVERY = 1 << 16  # packets

Key = tuple[int, int, int | None, int, int | None]  # protocol, source and its port, destination and its port

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
# tcp_valid_flags of nf_conntrack_proto_tcp.c; PSH, ECE, CWR and AE are not looked at
_LOOKED_AT = FIN | SYN | RST | ACK | URG
_VALID = frozenset((SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG))
_OPENS = frozenset((SYN, SYN | URG, ACK, ACK | URG))  # nf_conntrack_tcp_loose: also in the middle

# seconds: nf_conntrack_standalone.c, the tables of the protocols
_UDP, _UDP_STREAM, _ICMP, _GENERIC = 30, 120, 30, 600
_STREAM_AFTER = 2 * SECOND
_TCP_OPENING, _TCP_ESTABLISHED, _TCP_UNACKNOWLEDGED, _TCP_CLOSING, _TCP_RESET = 120, 432_000, 300, 120, 10

_ECHOES = {(ICMP, 8): 0, (ICMP, 13): 14, (ICMP, 15): 16, (ICMP, 17): 18, (ICMPV6, 128): 129}  # request: its answer
_ANSWERS = {(protocol, answer): request for (protocol, request), answer in _ECHOES.items()}
_ERRORS = {ICMP: frozenset((3, 4, 5, 11, 12)), ICMPV6: frozenset(range(128))}
# RFC 4861 and RFC 2710: conntrack leaves them alone (nf_conntrack_proto_icmpv6.c, noct_valid_new)
_UNTRACKED_ICMPV6 = frozenset((130, 131, 132, 133, 134, 135, 136, 137, 143))


class Verdict(NamedTuple):
    """What was made of a packet, kept with its connection for those like it."""

    outcome: str
    rule: Rule | None
    observed: tuple[str, ...]
    mark: int


class Connection:
    """One connection."""

    __slots__ = ("answered", "deadline", "ends", "mark", "opened", "verdicts")

    def __init__(self, now: int) -> None:
        self.opened = now
        self.deadline = now
        self.answered = False
        self.ends = 0  # TCP: how many FINs have passed, 2 at most
        self.mark = 0
        self.verdicts: dict[tuple[object, ...], Verdict] = {}


class Found(NamedTuple):
    """What conntrack says of a packet. Without a connection it is INVALID, or untracked."""

    connection: Connection | None
    state: str  # new | established | related | invalid | untracked
    is_reply: bool


_INVALID = Found(None, "invalid", is_reply=False)
_UNTRACKED = Found(None, "untracked", is_reply=False)


class Connections:
    """The connections of one capture; memory is bounded by MOST."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Connection, bool]] = {}  # by both directions: the connection, and whether it is its reply
        self._seen = 0

    def arrives(self, packet: Decoded, data: bytes, now: int) -> Found:
        """What conntrack says of the packet, decoded from `data`, when it comes to the rules at `now` (nanoseconds)."""
        self._seen += 1
        if not self._seen % _SWEEP_EVERY:
            self._sweep(now)
        protocol = packet.protocol
        if protocol == TCP:
            return self._tcp(packet, data, now)
        if protocol in (ICMP, ICMPV6):
            return self._icmp(packet, data, now)
        return self._plain(key_of(packet, data), now)

    def passes(self, packet: Decoded, data: bytes, found: Found, now: int) -> None:
        """The packet went on: a connection that it opened is there from now on, and lives for as long as its kind does."""
        connection = found.connection
        if connection is None or found.state == "related":
            return
        key = key_of(packet, data)
        if key not in self._known:
            if len(self._known) >= 2 * MOST:
                self._sweep(now)
            self._known[key] = (connection, False)
            self._known.setdefault(reply_of(key), (connection, True))
        if found.is_reply:
            connection.answered = True
        connection.deadline = now + _lifetime(packet, connection, now) * SECOND

    def _alive(self, key: Key, now: int) -> tuple[Connection, bool] | None:
        found = self._known.get(key)
        if found is None or found[0].deadline >= now:
            return found
        self._known.pop(key)
        self._known.pop(reply_of(key), None)
        return None

    def _plain(self, key: Key, now: int) -> Found:
        found = self._alive(key, now)
        if found is None:
            return Found(Connection(now), "new", is_reply=False)
        connection, is_reply = found
        return Found(connection, "established" if is_reply or connection.answered else "new", is_reply)

    def _tcp(self, packet: Decoded, data: bytes, now: int) -> Found:
        if packet.flags is None:
            return _INVALID
        flags = packet.flags & _LOOKED_AT
        if flags not in _VALID:
            return _INVALID
        found = self._alive(key_of(packet, data), now)
        if found is None or (flags & (SYN | ACK) == SYN and found[0].ends == 2):
            # a port that is used again: the old connection is over
            return Found(Connection(now), "new", is_reply=False) if flags in _OPENS else _INVALID
        connection, is_reply = found
        if flags & RST or (flags & FIN and connection.ends < 2):
            connection.ends = 2 if flags & RST else connection.ends + 1
        return Found(connection, "established" if is_reply or connection.answered else "new", is_reply)

    def _icmp(self, packet: Decoded, data: bytes, now: int) -> Found:
        protocol, kind = packet.protocol, packet.icmp_type
        assert protocol is not None  # noqa: S101  the caller asked
        if kind is None:
            return _INVALID
        if protocol == ICMPV6 and kind in _UNTRACKED_ICMPV6:
            return _UNTRACKED
        if kind in _ERRORS[protocol]:
            inner = decode(data[packet.payload : packet.end], RAW)
            if isinstance(inner, Undecodable):
                return _INVALID
            about = self._alive(key_of(inner, data[packet.payload : packet.end]), now)
            return _INVALID if about is None else Found(about[0], "related", not about[1])
        if (protocol, kind) in _ECHOES:
            return self._plain(key_of(packet, data), now)
        if (protocol, kind) in _ANSWERS:
            known = self._alive(key_of(packet, data), now)
            return _INVALID if known is None else self._plain(key_of(packet, data), now)
        return _INVALID

    def _sweep(self, now: int) -> None:
        """Forget what has ended; where that is not enough, what ends soonest."""
        self._known = {key: found for key, found in self._known.items() if found[0].deadline >= now}
        if len(self._known) >= 2 * MOST:
            last = sorted(found[0].deadline for found in self._known.values())[len(self._known) // 4]
            self._known = {key: found for key, found in self._known.items() if found[0].deadline > last}


def key_of(packet: Decoded, data: bytes) -> Key:
    """What tells the packet's connection from others, in the packet's direction; it was decoded from `data`."""
    protocol = packet.protocol or 0
    if packet.icmp_type is not None:
        # an answer stands under its request's type, with the identifier of both as port
        kind = _ANSWERS.get((protocol, packet.icmp_type), packet.icmp_type)
        at = packet.transport + 4  # RFC 792, RFC 4443 section 4.1
        return protocol, packet.source, kind, packet.destination, int.from_bytes(data[at : at + 2], "big")
    return protocol, packet.source, packet.source_port, packet.destination, packet.destination_port


def reply_of(key: Key) -> Key:
    """The same in the other direction."""
    protocol, source, source_port, destination, destination_port = key
    if protocol in (ICMP, ICMPV6):
        return protocol, destination, source_port, source, destination_port
    return protocol, destination, destination_port, source, source_port


def _lifetime(packet: Decoded, connection: Connection, now: int) -> int:
    match packet.protocol:
        case 6:
            return _tcp_lifetime(packet, connection)
        case 17:
            is_stream = connection.answered and now - connection.opened > _STREAM_AFTER
            return _UDP_STREAM if is_stream else _UDP
        case 1 | 58:
            return _ICMP
        case _:
            return _GENERIC


def _tcp_lifetime(packet: Decoded, connection: Connection) -> int:
    if packet.flags is not None and packet.flags & RST:
        return _TCP_RESET
    if connection.ends:
        return _TCP_CLOSING
    if not connection.answered:
        return _TCP_OPENING if packet.flags is not None and packet.flags & SYN else _TCP_UNACKNOWLEDGED
    return _TCP_ESTABLISHED
