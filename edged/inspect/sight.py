"""What a detector is shown, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from edged.transport import Transport


class TrafficClass(StrEnum):
    """What a flow is capped as; a flow of neither class is `other`, and has None for its class."""

    P2P = "p2p"
    STREAMING = "streaming"


class Endpoint(NamedTuple):
    """Where a peer listens; the address is an integer of the family that `is_ipv6` tells."""

    is_ipv6: bool
    address: int
    port: int


class Sight(NamedTuple):
    """A flow, when a packet with payload of it came.

    - `payload`: of UDP this datagram; of TCP the bytes of this direction in their order, from the first that was seen on and
      without a hole, 16 KiB at most. Where those do not reach to this packet, as something is missing or they are too many, the
      bytes of this packet alone, and `from_start` is false.
    - `other`: the same of the other direction: the last datagram, or the bytes so far; empty where there were none.
    - `fresh`: where in `payload` this packet's own bytes begin; 0 for a datagram.
    - `number`: which packet with payload of the flow this is, both directions counted, from 1.
    - `from_client`: it goes the way of the flow's first packet.
    - `from_start`: of TCP, both directions' bytes are known from their SYN on; of UDP always true.
    - `source`, `destination`: the packet's ends.
    """

    payload: bytes
    other: bytes
    fresh: int
    number: int
    from_client: bool
    from_start: bool
    source: Endpoint
    destination: Endpoint


class Found(NamedTuple):
    """What a detector recognised; `peers` are endpoints that speak the same protocol, learnt from what was said.

    `names_more`: what the flow says next may name peers, as the answer to a tracker's or the DHT's question does. The class is
    decided all the same; who learns peers goes on asking within the flow's budget.
    """

    protocol: str  # bittorrent, gnutella, rtmp, ... for people and metrics' debug, never in a label
    traffic_class: TrafficClass
    peers: tuple[Endpoint, ...] = ()
    names_more: bool = False


@dataclass(frozen=True, slots=True)
class Detector:
    """A protocol's sign. `first_bytes` are those that `payload` can begin with; empty where any can.

    `detect` is pure and total: whatever the bytes are, it raises nothing and takes a bounded time. None: not recognised, as far
    as can be said yet; it may be asked again with the next packet.
    """

    protocol: str
    transport: Transport
    first_bytes: bytes
    detect: Callable[[Sight], Found | None]
