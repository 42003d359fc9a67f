"""What became of one packet of a capture: what engines give, and filters, expectations and reports take."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival


class Verdict(StrEnum):
    """What the policy does with a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"

    __hash__ = str.__hash__  # Enum's own is Python code, and this is asked for every packet


class Judgement(NamedTuple):
    """A verdict and what gave it.

    `policy` and `rule` (file:line) are None where no rule stopped the packet. `observed` names the policies in observe mode that
    would have stopped it.
    """

    verdict: Verdict
    policy: str | None = None
    rule: str | None = None
    observed: tuple[str, ...] = ()


class Judged(NamedTuple):
    """A packet and what became of it."""

    arrival: Arrival
    judgement: Judgement

    @property
    def fields(self) -> Decoded:
        """The packet's."""
        return self.arrival.decoded
