"""A packet of a capture on its way into the gateway."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from edged.inspect.sight import TrafficClass
from edged.packet.layers import Decoded


class Side(StrEnum):
    """Where a packet came from."""

    ACCESS = "access"
    UPSTREAM = "upstream"

    __hash__ = str.__hash__  # Enum's own is Python code


class Arrival(NamedTuple):
    """An IP packet of a capture, as it comes to the gateway.

    `capture` is the capture's name as it was given; `number` counts its frames from 1; `nanoseconds` are since the epoch;
    `decoded` was read from `data`. Where somebody asked for classes, `class_` is what its flow is known as by now, and `inner`
    the packet that tells the flow: whole, and without tunnels around it; `host` is what the flow asks for.
    """

    capture: str
    number: int
    nanoseconds: int
    data: bytes
    decoded: Decoded
    side: Side
    class_: TrafficClass | None = None
    inner: Decoded | None = None
    host: str | None = None
