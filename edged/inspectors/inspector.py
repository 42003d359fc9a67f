"""What a worker asks of the inspector that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edged.inspect.sight import Endpoint, TrafficClass
from edged.packet.segment import Segment


class Decision(Protocol):
    """What a flow is, as far as is known; `final`: no later packet changes it, whether there is a class or none."""

    @property
    def traffic_class(self) -> TrafficClass | None:
        """None for a flow of neither class."""

    @property
    def final(self) -> bool:
        """No later packet of the flow is wanted."""


class Inspector(Protocol):
    """Tells what flows are. It is asked by one thread, with a clock that never goes back.

    It holds to a bounded memory and a bounded time a packet; where it does not, or raises, its worker passes packets by.
    """

    @property
    def decided(self) -> int:
        """How many flows it has decided: each once, though it answers for each of their packets."""

    def take(self, now_ns: int, segment: Segment, data: bytes) -> Decision | None:
        """The next packet in the queue, and the bytes that its payload stands in; None: nothing can be said yet."""

    def learn(self, now_ns: int, peers: Sequence[Endpoint]) -> None:
        """Endpoints that another worker's flows named."""

    def learnt(self) -> Sequence[Endpoint]:
        """Endpoints that its own flows named since it was last asked."""
