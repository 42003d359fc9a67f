"""What a worker is told when it is started: one argument of its command line, numbers alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from edged.marks import MarkFields

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """`socket`, `board`, `control` and `settings` are inherited descriptors; `memory` is the most it may take, in bytes."""

    queue: int
    socket: int
    board: int
    control: int
    settings: int
    marks: MarkFields
    memory: int

    def argument(self) -> str:
        """The order as text."""
        return json.dumps(asdict(self))


def order_of(argument: str) -> Order:
    """The order that the text says. Raises ValueError, KeyError or TypeError where it says none."""
    said = json.loads(argument)
    return Order(**{**said, "marks": MarkFields(**said["marks"])})
