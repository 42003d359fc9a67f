"""A TCP direction's first bytes in their order: segments that come late, twice, or over each other, put where they belong."""

from __future__ import annotations

MOST_BYTES = 16 << 10  # of a direction: in their order, and as much again that waits for what lies before it
MOST_WAITING = 16  # segments

REPEATED, APART = -1, -2  # what `Stream.take` answers in place of a place

_SPACE = 1 << 32  # of sequence numbers (RFC 9293 section 3.4)
_HALF = 1 << 31
_MASK = _SPACE - 1


class Stream:
    """One direction; of bytes that come twice, the first copy counts.

    `data` are its bytes without a hole, from the first that was seen on, MOST_BYTES at most; what is beyond is not kept.
    `is_whole` while they are known from the SYN on.
    """

    __slots__ = ("_next", "_waiting", "data", "is_whole")

    def __init__(self, first: int, *, after_syn: bool) -> None:
        """`first` is the sequence number of the first byte."""
        self._next = first
        self._waiting: tuple[tuple[int, bytes], ...] = ()  # in the order of their arrival
        self.data = b""
        self.is_whole = after_syn

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self.data) + sum(len(segment) for _, segment in self._waiting) if self._waiting else len(self.data)

    def take(self, sequence: int, segment: bytes) -> int:
        """The place in `data` from which on this segment, which is not empty, brought something.

        REPEATED where all of it had come before; APART where it is not in `data`, which is full, or misses what is before it.
        """
        before = len(self.data)
        if sequence == self._next and not self._waiting:
            self._append(segment)
        else:
            ahead = (sequence - self._next) & _MASK
            if ahead >= _HALF:
                known = _SPACE - ahead
                if known >= len(segment):
                    return REPEATED
                sequence, segment = self._next, segment[known:]
            elif ahead > MOST_BYTES:
                # farther than what could be kept in between: what is missing will not be made up for
                self._begin_anew(sequence)
                self._append(segment)
                return 0
            self._waiting = (*self._waiting, (sequence, segment))
            self._drain()
            self._bound()
        return before if len(self.data) > before else APART

    def _append(self, segment: bytes) -> None:
        self._next = (self._next + len(segment)) & _MASK
        segment = segment[: MOST_BYTES - len(self.data)]
        self.data = self.data + segment if self.data else segment

    def _drain(self) -> None:
        """Move what follows on without a hole from the waiting segments to the bytes in order."""
        while (following := self._following()) is not None:
            self._append(following)
        if self._waiting:
            self._waiting = tuple(each for each in self._waiting if self._ends_after(*each))

    def _following(self) -> bytes | None:
        """The next bytes: of the first segment that has them, up to where one begins that came before it."""
        limit = _HALF
        for sequence, segment in self._waiting:
            ahead = (sequence - self._next) & _MASK
            if ahead < _HALF:
                if not ahead:
                    return segment[:limit]
                limit = min(limit, ahead)
            elif (known := _SPACE - ahead) < len(segment):
                return segment[known : known + limit]
        return None

    def _ends_after(self, sequence: int, segment: bytes) -> bool:
        return (sequence + len(segment) - self._next - 1) & _MASK < _HALF

    def _bound(self) -> None:
        """Where too much waits, what is missing is given up, and the bytes begin anew at the first segment that is there."""
        waiting = self._waiting
        if len(waiting) > MOST_WAITING or sum(len(segment) for _, segment in waiting) > MOST_BYTES:
            first, _ = min(waiting, key=lambda each: (each[0] - self._next) & _MASK)
            self._begin_anew(first)
            self._waiting = waiting
            self._drain()

    def _begin_anew(self, sequence: int) -> None:
        self._next = sequence
        self._waiting = ()
        self.data = b""
        self.is_whole = False
