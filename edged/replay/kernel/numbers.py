"""The numbers that packets have as their marks in the gateway."""

from __future__ import annotations

from edged.marks import MarkFields

_BITS = 32


class Numbers:
    """Numbers for packets, all different until all have been given; never 0, which is no mark.

    None has the bit by which an inspector would say that it has answered: without that bit the policy reads nothing out of a
    packet's mark. Nor has one the bit `piece`, which is added where the packet came as a piece of another.
    """

    def __init__(self, marks: MarkFields) -> None:
        top = 1 << _BITS - 1
        self.piece = top if marks.inspected != top else top >> 1
        self._kept = marks.inspected | self.piece
        self._last = 0

    def next(self) -> int:
        """The next number."""
        self._last = self._after(self._last) or self._after(0)
        return self._last

    def _after(self, number: int) -> int:
        """One more, counted in the bits that are not kept free: a carry goes over those."""
        return ((number | self._kept) + 1) & ~self._kept & (1 << _BITS) - 1
