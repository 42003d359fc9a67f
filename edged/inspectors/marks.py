"""The inspector's answer as it stands in a packet's mark, where the rules read it."""

from __future__ import annotations

from dataclasses import dataclass

from edged.inspect.sight import TrafficClass

CLASS_BITS = 3
_NUMBERS = {None: 0, TrafficClass.P2P: 1, TrafficClass.STREAMING: 2}


@dataclass(frozen=True, slots=True)
class MarkFields:
    """Which bits of the packet mark the answer takes: `inspected` is one bit, `traffic_class` three neighbours.

    Raises ValueError where they are not that, or share one.
    """

    inspected: int
    traffic_class: int

    def __post_init__(self) -> None:
        width = self.traffic_class // (self.traffic_class & -self.traffic_class or 1)
        if self.inspected.bit_count() != 1 or width != (1 << CLASS_BITS) - 1 or self.inspected & self.traffic_class:
            raise ValueError(f"not a bit and three others that are neighbours: {self.inspected:#x}, {self.traffic_class:#x}")
        if (self.inspected | self.traffic_class) >> 32:
            raise ValueError(f"a mark has 32 bits: {self.inspected:#x}, {self.traffic_class:#x}")

    def answered(self, mark: int, traffic_class: TrafficClass | None) -> int:
        """The mark with the answer in it; bits outside of both fields stay as they are."""
        unit = self.traffic_class & -self.traffic_class
        return mark & ~(self.inspected | self.traffic_class) | self.inspected | _NUMBERS[traffic_class] * unit
