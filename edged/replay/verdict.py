"""What became of one packet of a capture: what engines give, and filters, expectations and reports take."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, TypeAlias

from edged.addresses import Family
from edged.packet.layers import Fragment

TrafficClass: TypeAlias = Literal["p2p", "streaming", "bulk"]


class Verdict(StrEnum):
    """What the policy does with a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"


class Fields(Protocol):
    """What a filter can ask a packet for; `edged.packet.layers.Decoded` has it all, and says what each value is."""

    @property
    def family(self) -> Family:
        """The address family."""
        ...

    @property
    def source(self) -> int:
        """The source address."""
        ...

    @property
    def destination(self) -> int:
        """The destination address."""
        ...

    @property
    def protocol(self) -> int | None:
        """The protocol behind all extension headers."""
        ...

    @property
    def source_port(self) -> int | None:
        """The source port."""
        ...

    @property
    def destination_port(self) -> int | None:
        """The destination port."""
        ...

    @property
    def flags(self) -> int | None:
        """TCP's flags, FIN the lowest bit."""
        ...

    @property
    def icmp_type(self) -> int | None:
        """The type of ICMP or ICMPv6."""
        ...

    @property
    def icmp_code(self) -> int | None:
        """The code of ICMP or ICMPv6."""
        ...

    @property
    def fragment(self) -> Fragment | None:
        """None for a whole packet."""
        ...

    @property
    def length(self) -> int:
        """Bytes of the IP packet."""
        ...


class Judged(NamedTuple):
    """One packet and its verdict.

    - `capture` is the capture's name as it was given; `number` counts its frames from 1; `nanoseconds` since the epoch.
    - `policy` and `rule` (file:line) are what gave the verdict; None where the packet passed at the end.
    - `observed` names the policies in observe mode that would have stopped it.
    - `side` is where the packet came from, access or upstream.
    """

    capture: str
    number: int
    nanoseconds: int
    verdict: Verdict
    policy: str | None
    rule: str | None
    observed: tuple[str, ...]
    side: str | None
    fields: Fields
    class_: TrafficClass | None = None
