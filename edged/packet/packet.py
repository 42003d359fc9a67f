"""A packet, as a port policy looks at it: addresses, protocol, ports, interfaces, and what conntrack says of its flow."""

from __future__ import annotations

from dataclasses import dataclass

from edged.addresses import Address, Family
from edged.ruleset.nodes import ConntrackDirection, ConntrackState


@dataclass(frozen=True, slots=True)
class Packet:
    """One whole packet (fragments reassembled, as conntrack hands it to the forward hook).

    `protocol` is the number behind all IPv6 extension headers but AH (51), which nft does not look behind: it is a protocol
    of its own, as in IPv4. The ports are None where the protocol has none, or where the packet is too short to hold them. `mark`
    is the packet's own mark, by which an inspector answers.
    """

    came_in: str
    goes_out: str
    source: Address
    destination: Address
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    mark: int = 0

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(f"source and destination are of two families: {self.source.version}, {self.destination.version}")

    @property
    def family(self) -> Family:
        """The packet's address family."""
        return Family.of(self.source)


@dataclass(frozen=True, slots=True)
class FlowState:
    """What conntrack says of a packet; without a connection (INVALID, untracked) there is neither direction nor mark.

    `octets` (of layer 3) and `packets` are the connection's so far, both directions and this packet counted; 0 where conntrack
    does not count them.
    """

    state: ConntrackState = ConntrackState.NEW
    direction: ConntrackDirection | None = ConntrackDirection.ORIGINAL
    mark: int = 0
    octets: int = 0
    packets: int = 0

    def __post_init__(self) -> None:
        tracked = self.state not in (ConntrackState.INVALID, ConntrackState.UNTRACKED)
        if tracked != (self.direction is not None):
            raise ValueError(f"a packet that is {self.state.value} has {'a' if tracked else 'no'} direction")
        if (self.mark or self.octets or self.packets) and not tracked:
            raise ValueError(f"a packet that is {self.state.value} has no mark, and nothing is counted for it")
