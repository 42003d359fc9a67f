"""The nodes that rules are made of: what a rule can ask of a packet, and what becomes of it. A closed set.

`render`, `evaluate` and the netlink encoder each walk them with one exhaustive `match` that ends in `assert_never`; a node added
here fails the type check in all three until each handles it. That keeps the simulator and the kernel one product. What a node
means is what nft means by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edged.addresses import Family
from edged.transport import Transport as Transport  # noqa: PLC0414  one of the nodes, too: exported anew


class Side(Enum):
    """Which end of a packet."""

    SOURCE = "source"
    DESTINATION = "destination"


class Direction(Enum):
    """The packet's direction, as the subscriber sees it."""

    UP = "up"
    DOWN = "down"


class ConntrackState(Enum):
    """What conntrack says of a packet; the value is nft's word for it."""

    NEW = "new"
    ESTABLISHED = "established"
    RELATED = "related"
    INVALID = "invalid"
    UNTRACKED = "untracked"


class ConntrackDirection(Enum):
    """Whether a packet goes the way its connection was opened."""

    ORIGINAL = "original"
    REPLY = "reply"


# --- what a rule can ask of a packet ---


@dataclass(frozen=True, slots=True)
class CameIn:
    """The packet came in by this interface; a trailing * is a wildcard."""

    interface: str


@dataclass(frozen=True, slots=True)
class GoesOut:
    """The packet goes out by this interface; a trailing * is a wildcard."""

    interface: str


@dataclass(frozen=True, slots=True)
class IsFamily:
    """The packet is of this family."""

    family: Family


@dataclass(frozen=True, slots=True)
class PortIs:
    """The packet is of this transport, found past IPv6 extension headers (PK-2), and has this port at this end."""

    transport: Transport
    side: Side
    port: int

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"not a port: {self.port}")


@dataclass(frozen=True, slots=True)
class TransportIs:
    """The packet is of this transport, found past IPv6 extension headers (PK-2)."""

    transport: Transport


@dataclass(frozen=True, slots=True)
class AddressIn:
    """The packet is of this family, which is the named set's, and the address at this end is in the set."""

    side: Side
    family: Family
    set: str


@dataclass(frozen=True, slots=True)
class AddressNotIn:
    """The packet is of this family, which is the named set's, and the address at this end is not in the set."""

    side: Side
    family: Family
    set: str


@dataclass(frozen=True, slots=True)
class PrefixIn:
    """The packet is of this family, and the network of this prefix length around the address at this end is in the set.

    `content` is the digest of what that set holds: a rule is another rule where its set holds something else, so that what
    keeps to the verdict of former content (SetGeneration) is written anew with it.
    """

    side: Side
    family: Family
    length: int
    set: str
    content: str


@dataclass(frozen=True, slots=True)
class StateIn:
    """Conntrack gives the packet one of these states."""

    states: tuple[ConntrackState, ...]


@dataclass(frozen=True, slots=True)
class DirectionIs:
    """The packet belongs to a tracked connection and goes this way; untracked and INVALID packets never match."""

    direction: ConntrackDirection


@dataclass(frozen=True, slots=True)
class RateAbove:
    """More packets came here than a token bucket of this rate and burst lets by."""

    per_second: int
    burst: int


@dataclass(frozen=True, slots=True)
class GenerationIs:
    """The bits `mask` of the connection's mark hold this generation (1 to 255); packets without a connection never match."""

    mask: int
    generation: int


@dataclass(frozen=True, slots=True)
class MarkIs:
    """The bits `mask` of the connection's mark hold this value; packets without a connection never match."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class PacketMarkIs:
    """The bits `mask` of the packet's own mark hold this value."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class FlowBytesAbove:
    """The connection has moved more bytes of layer 3 than this, both directions and this packet counted.

    Needs connections to be counted (net.netfilter.nf_conntrack_acct), which the kernel switches on when it is given a rule with
    this node; one that began before has moved nothing as far as the kernel knows.
    """

    octets: int


@dataclass(frozen=True, slots=True)
class FlowPacketsBelow:
    """The connection has had fewer packets than this, both directions and this one counted; counted as FlowBytesAbove says."""

    packets: int


@dataclass(frozen=True, slots=True)
class HasLease:
    """The map has a tc class for the address at this end; the packet gets it as its priority, which HTB goes by."""

    side: Side
    family: Family
    map: str


@dataclass(frozen=True, slots=True)
class OverLimit:
    """The map has a limit for the address at this end, and the packet is beyond it."""

    side: Side
    family: Family
    map: str


Match = (
    CameIn
    | GoesOut
    | IsFamily
    | PortIs
    | TransportIs
    | AddressIn
    | AddressNotIn
    | PrefixIn
    | StateIn
    | DirectionIs
    | RateAbove
    | GenerationIs
    | MarkIs
    | PacketMarkIs
    | FlowBytesAbove
    | FlowPacketsBelow
    | HasLease
    | OverLimit
)


# --- what becomes of a packet ---


@dataclass(frozen=True, slots=True)
class Accept:
    """The packet leaves this base chain and meets the next one, where there is one; the port policies are all in the first."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The packet ends here, without a word."""


@dataclass(frozen=True, slots=True)
class ResetTcp:
    """The packet ends here and its sender gets a TCP reset, where one can be built."""


@dataclass(frozen=True, slots=True)
class Prohibit:
    """The packet ends here and its sender gets an ICMP error: administratively prohibited."""


@dataclass(frozen=True, slots=True)
class SetGeneration:
    """Write the generation into the bits `mask` of the connection's mark, other bits as they are, and on to the next rule.

    `judged` is a digest of all that the connection was judged by: where that changes, the generation must.
    """

    mask: int
    generation: int
    judged: str


@dataclass(frozen=True, slots=True)
class SetMark:
    """Write a value into the bits `mask` of the connection's mark, other bits as they are, and on to the next rule."""

    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Remember:
    """Put the address at this end into the set, for so many seconds from now on, and on to the next rule."""

    side: Side
    family: Family
    set: str
    seconds: int


class QueueForm(Enum):
    """How a packet is handed to user space: not every kernel knows nft's own expression (CONFIG_NFT_QUEUE)."""

    EXPRESSION = "queue"
    TARGET = "NFQUEUE"  # of xtables, by nft's compatibility layer (CONFIG_NFT_COMPAT, xt_NFQUEUE)


@dataclass(frozen=True, slots=True)
class Queue:
    """To one of the queues from 0 up, by the packet's addresses; the packet leaves this base chain, whoever listens or not."""

    queues: int
    form: QueueForm = QueueForm.EXPRESSION


@dataclass(frozen=True, slots=True)
class Jump:
    """On to that chain, and back when it has no answer."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """On to that chain; without an answer there, back to where the present chain was jumped to from."""

    chain: str


@dataclass(frozen=True, slots=True)
class Return:
    """Back to the chain that jumped here."""


@dataclass(frozen=True, slots=True)
class Continue:
    """On to the next rule."""


Verdict = Accept | Drop | ResetTcp | Prohibit | SetGeneration | SetMark | Remember | Queue | Jump | Goto | Return | Continue
