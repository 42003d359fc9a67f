"""Fragments to whole packets, as conntrack puts them together in front of every rule.

Sources: net/ipv4/ip_fragment.c (conntrack calls it for IPv4) and net/ipv6/netfilter/nf_conntrack_reasm.c. Both families share
the treatment of overlaps: since Linux 4.20 IPv4, too, discards the whole packet. Not followed is net.ipv4.ipfrag_max_dist.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from edged.addresses import Family
from edged.packet.fragments import Key, NoPiece, Piece, ipv4_piece, ipv4_whole, ipv6_piece, ipv6_whole
from edged.packet.layers import Decoded
from edged.packet.pieces import Fit, Pieces

SECOND = 1_000_000_000
TIMEOUTS = {Family.IPV4: 30 * SECOND, Family.IPV6: 60 * SECOND}  # net.ipv4.ipfrag_time, nf_conntrack_frag6_timeout

_LONGEST = 0xFFFF
_OVERHEAD = 128  # bytes that a piece costs beside its own


class Reason(Enum):
    """Why a piece was discarded, and in most cases all that had come of its packet."""

    DROPPED_BY_STACK = "Linux drops it before"
    SNAPPED = "not all of it was captured"
    HEADER_CUT_OFF = "the fragment header is cut off"
    EMPTY = "holds nothing"
    OVERLAPS = "overlaps another piece"
    REPEATED = "had come before"
    BEYOND_END = "does not fit where the packet ends"
    TOO_LONG = "the packet would be longer than a packet may be"
    ECN = "pieces with and without ECN"
    FULL = "there is no room for more pieces"


@dataclass(frozen=True, slots=True)
class Passed:
    """The packet goes on as it is: it is whole, or a piece that Linux does not put together."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The piece waits for others."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The last piece has come: the IP packet from its first byte, of which `count` pieces were made."""

    data: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """The piece goes nowhere."""

    reason: Reason


Taken = Passed | Kept | Whole | Discarded

_PASSED, _KEPT = Passed(), Kept()


class Reassembler:
    """Puts packets together, holding at most so many of them and so many bytes; at a bound new pieces are refused, as in Linux.

    The clock is the capture's. One that jumps ends what has waited as long as the jump is wide.
    """

    def __init__(self, *, most_packets: int = 8192, most_bytes: int = 4 << 20) -> None:
        self._most_packets = most_packets
        self._most_bytes = most_bytes
        self._waiting: dict[Family, dict[Key, Pieces]] = {family: {} for family in Family}
        self._given_up = 0
        self.held = 0

    @property
    def waiting(self) -> int:
        """How many packets wait for pieces."""
        return sum(map(len, self._waiting.values()))

    @property
    def never_completed(self) -> int:
        """How many packets some pieces came of and were never put together: timed out, discarded, or waiting still."""
        return self._given_up + self.waiting

    def take(self, packet: Decoded, data: bytes, now: int) -> Taken:
        """What becomes of a packet that arrives at `now` (nanoseconds); `data` is the frame that it was decoded from."""
        if packet.fragment is None:
            return _PASSED
        self._expire(now)
        if packet.dropped_by_stack:
            return Discarded(Reason.DROPPED_BY_STACK)
        if packet.network + packet.length > len(data):
            return Discarded(Reason.SNAPPED)
        if packet.family is Family.IPV4:
            return self._queue(ipv4_piece(packet, packet.fragment, data), now)
        found = ipv6_piece(packet, data)
        match found:
            case Piece():
                return self._queue(found, now)
            case NoPiece.CUT_OFF:
                return Discarded(Reason.HEADER_CUT_OFF)
            case NoPiece.LET_BY:
                return _PASSED
            case _:
                assert_never(found)

    def _queue(self, piece: Piece, now: int) -> Taken:
        of_family = self._waiting[piece.family]
        pieces = of_family.get(piece.key)
        cost = len(piece.part) + len(piece.head) + _OVERHEAD
        if self.held + cost > self._most_bytes or (pieces is None and self.waiting >= self._most_packets):
            return Discarded(Reason.FULL)
        if pieces is None:
            pieces = of_family[piece.key] = Pieces(now)
        is_ipv4 = piece.family is Family.IPV4
        end = piece.offset + len(piece.part)
        if end > _LONGEST and not is_ipv4:
            return Discarded(Reason.TOO_LONG)
        if piece.more and end & 7:
            if not is_ipv4:
                self._give_up(piece.family, piece.key)
                return _PASSED  # -EPROTO, for which the hook accepts
            end &= ~7
        if not pieces.fits_end(end, more=piece.more):
            return self._discard(piece) if is_ipv4 else Discarded(Reason.BEYOND_END)
        if end <= piece.offset:
            return self._discard(piece, Reason.EMPTY) if is_ipv4 else Discarded(Reason.EMPTY)
        fit = pieces.take(piece.offset, piece.part[: end - piece.offset])
        match fit:
            case Fit.REPEATED:
                return Discarded(Reason.REPEATED)
            case Fit.OVERLAPS:
                return self._discard(piece, Reason.OVERLAPS)
            case Fit.TAKEN:
                self.held += end - piece.offset + _OVERHEAD
            case _:
                assert_never(fit)
        pieces.ecn |= 1 << piece.ecn
        if not piece.offset:
            pieces.head = piece.head
            self.held += len(piece.head)
        return self._finish(piece, pieces) if pieces.is_whole else _KEPT

    def _finish(self, piece: Piece, pieces: Pieces) -> Taken:
        if pieces.ecn_clashes:
            return self._discard(piece, Reason.ECN)
        headers = len(pieces.head) - (0 if piece.family is Family.IPV4 else 40)
        if headers + pieces.length > _LONGEST:
            return self._discard(piece, Reason.TOO_LONG)
        self._forget(piece.family, piece.key)
        whole = ipv4_whole if piece.family is Family.IPV4 else ipv6_whole
        return Whole(whole(pieces), pieces.count)

    def _discard(self, piece: Piece, reason: Reason = Reason.BEYOND_END) -> Discarded:
        """Discard a piece, and with it what had come of its packet."""
        self._give_up(piece.family, piece.key)
        return Discarded(reason)

    def _give_up(self, family: Family, key: Key) -> None:
        self._given_up += 1
        self._forget(family, key)

    def _forget(self, family: Family, key: Key) -> None:
        pieces = self._waiting[family].pop(key)
        self.held -= pieces.held + pieces.count * _OVERHEAD + len(pieces.head)

    def _expire(self, now: int) -> None:
        for family, waiting in self._waiting.items():
            while waiting:
                key, eldest = next(iter(waiting.items()))
                if abs(now - eldest.born) < TIMEOUTS[family]:
                    break
                self._give_up(family, key)
