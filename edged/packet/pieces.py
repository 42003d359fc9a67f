"""The pieces of one packet that was cut, and how Linux lets them in (net/ipv4/inet_fragment.c, inet_frag_queue_insert)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum

_BEYOND_ANY = 1 << 16
_NOT_ECT, _CE = 1, 8  # of the bits 1 << ECN


class Fit(Enum):
    """What became of a piece."""

    TAKEN = "taken"
    REPEATED = "a part that had come before"
    OVERLAPS = "overlaps another piece"


@dataclass(slots=True)
class Pieces:
    """What has come of a packet; offsets and lengths in bytes, `born` in nanoseconds.

    `length` is the longest that is known of what was cut, and the true one when `has_last`. `head` are the headers in front of
    it, as the first piece has them; empty until that has come.
    """

    born: int
    head: bytes = b""
    length: int = 0
    has_last: bool = False
    ecn: int = 0
    held: int = 0
    _parts: list[tuple[int, bytes]] = field(default_factory=list)
    _runs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether the first piece, the last one and all between have come."""
        return self.has_last and bool(self.head) and self.held == self.length

    @property
    def ecn_clashes(self) -> bool:
        """Whether some pieces are of an ECN-capable transport and some are not (RFC 3168 section 5.3)."""
        return bool(self.ecn & _NOT_ECT and self.ecn & ~_NOT_ECT)

    @property
    def ecn_bits(self) -> int:
        """What is to be set in the traffic class of the whole: congestion that any piece met."""
        return 3 if self.ecn & _CE else 0

    def fits_end(self, end: int, *, more: bool) -> bool:
        """Take note of where a piece ends; False, with nothing noted, where that cannot be."""
        if not more:
            if end < self.length or (self.has_last and end != self.length):
                return False
            self.has_last, self.length = True, end
        elif end > self.length:
            if self.has_last:
                return False
            self.length = end
        return True

    def take(self, offset: int, part: bytes) -> Fit:
        """Let a piece in that is not empty.

        Pieces that came one after the other, each at the end of the last, are one run; to be a repetition, a piece must lie
        within a run (RFC 5722 section 4, its erratum 3089). Everything else that shares a byte with another overlaps.
        """
        fit = self._place(offset, offset + len(part))
        if fit is Fit.TAKEN:
            self._parts.append((offset, part))
            self.held += len(part)
        return fit

    def _place(self, offset: int, end: int) -> Fit:
        runs = self._runs
        last = runs[-1][1] if runs else 0
        if end > last:
            if offset < last:
                return Fit.OVERLAPS
            if runs and offset == last:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((offset, end))
            return Fit.TAKEN
        after = bisect_right(runs, (offset, _BEYOND_ANY))
        if after and offset < runs[after - 1][1]:
            return Fit.REPEATED if end <= runs[after - 1][1] else Fit.OVERLAPS
        if after < len(runs) and runs[after][0] < end:
            return Fit.OVERLAPS
        runs.insert(after, (offset, end))
        return Fit.TAKEN

    def joined(self) -> bytes:
        """What was cut, whole."""
        return b"".join(part for _, part in sorted(self._parts))

    @property
    def count(self) -> int:
        """How many pieces are held."""
        return len(self._parts)
