"""The fields of edged's bits in conntrack marks and packet marks: the one place that knows which bit means what.

    bits from the lowest of `marks.mask` up
    0-7    generation   the list generation that the connection's verdict is from; 0: never judged
    8-9    class        FlowClass
    10     heavy        the flow has moved what its class is held from; of no class: what is measured for bulk
    11     inspected    the inspector has said its last word on the flow

A packet mark has the same layout, but no generation and no weight: an inspector answers in it, and the rules take the answer
over into the connection's mark. Bits outside of the mask are somebody else's, and every write keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

BITS_NEEDED = 12
DEFAULT_MASK = 0x00FFFF00


class FlowClass(IntEnum):
    """What a flow is capped as; the value is that of the class field."""

    NONE = 0
    P2P = 1
    STREAMING = 2
    BULK = 3

    @property
    def label(self) -> str:
        """The class's name in files, in metrics and in the table."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class MarkFields:
    """The fields within a mask of neighbouring bits; each property is the field's own mask."""

    mask: int = DEFAULT_MASK

    def __post_init__(self) -> None:
        run = self.mask // self._lowest if self.mask else 0
        if not 0 < self.mask < 1 << 32 or run & (run + 1) or run.bit_length() < BITS_NEEDED:
            raise ValueError(f"not {BITS_NEEDED} or more neighbouring bits of 32: {self.mask:#x}")

    @property
    def generation(self) -> int:
        """Of a connection's mark alone."""
        return 0xFF * self._lowest

    @property
    def flow_class(self) -> int:
        """A FlowClass."""
        return 0x300 * self._lowest

    @property
    def heavy(self) -> int:
        """One bit, of a connection's mark alone."""
        return 0x400 * self._lowest

    @property
    def class_and_weight(self) -> int:
        """Both, for who writes a class: what another class made heavy is not so in this one."""
        return self.flow_class | self.heavy

    @property
    def inspected(self) -> int:
        """One bit."""
        return 0x800 * self._lowest

    def class_in(self, mark: int) -> FlowClass:
        """The class that a mark names."""
        return FlowClass(from_field(self.flow_class, mark))

    def answered(self, mark: int, flow_class: FlowClass) -> int:
        """The mark with an inspector's last word in it; bits outside of both fields stay as they are."""
        return mark & ~(self.inspected | self.class_and_weight) | self.inspected | in_field(self.flow_class, flow_class)

    @property
    def _lowest(self) -> int:
        return self.mask & -self.mask


def in_field(mask: int, value: int) -> int:
    """A value in the place of the field that is these bits of a mark."""
    return value * (mask & -mask)


def from_field(mask: int, mark: int) -> int:
    """The value that a mark has in the field that is these bits of it."""
    return (mark & mask) // (mask & -mask)
