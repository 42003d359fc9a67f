"""The rule tree: the closed set of nodes that policies are compiled to.

`render`, `evaluate` and the netlink encoder each walk it with one exhaustive `match` that ends in `assert_never`; a node
added here fails the type check in all three until each handles it. That keeps the simulator and the kernel one product.

What a node means is what nft means by it. A tree is valid by construction: `Table` refuses dangling and circular references.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from edged.addresses import Family, Range
from edged.origin import Origin

if TYPE_CHECKING:
    from edged.packed import Keys  # numpy, which a table without long lists does without


class Transport(Enum):
    """A transport protocol with ports, by its IP protocol number."""

    TCP = 6
    UDP = 17

    @property
    def label(self) -> str:
        """The protocol's name in nft and on the command line."""
        return self.name.lower()


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


Match = (
    CameIn | GoesOut | IsFamily | PortIs | AddressIn | AddressNotIn | PrefixIn | StateIn | DirectionIs | RateAbove | GenerationIs
)


# --- what becomes of a packet ---


@dataclass(frozen=True, slots=True)
class Accept:
    """Nothing of edged stops this packet any more."""


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


Verdict = Accept | Drop | ResetTcp | Prohibit | SetGeneration | Jump | Goto | Return | Continue


# --- what the nodes stand in ---


@dataclass(frozen=True, slots=True)
class Counter:
    """A named counter; it outlives the refilling of the chains that use it. The labels are those of the metrics."""

    policy: str
    direction: Direction
    family: Family
    verdict: str  # drop | reject | observe

    @property
    def name(self) -> str:
        """The counter's name in the kernel."""
        return f"{self.policy}_{self.direction.value}_{self.family.value}_{self.verdict}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when all of `when` hold, count, then `then`.

    `name` is unique in its table and is what traces and comments call the rule. `origin` is for people: two rules that
    differ in it alone are the same rule.
    """

    name: str
    when: tuple[Match, ...] = ()
    then: Verdict = Continue()
    count: Counter | None = None
    policy: str | None = None
    origin: Origin | None = field(default=None, compare=False)

    @property
    def note(self) -> tuple[str, str] | None:
        """What observing the rule must give back word for word, as a name and a value: content that is never read back itself."""
        if isinstance(self.then, SetGeneration):
            return GENERATION, str(self.then.generation)
        for match in self.when:
            if isinstance(match, PrefixIn):
                return match.set, match.content
        return None


GENERATION = "generation"  # the name of SetGeneration's note


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a base chain meets the packets: nft's hook and priority of a filter chain whose policy is accept."""

    name: str = "forward"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in their order; with a hook it is a base chain."""

    name: str
    rules: tuple[Rule, ...] = ()
    hook: Hook | None = None

    @property
    def asked(self) -> frozenset[str]:
        """The names of the sets that the rules look addresses up in."""
        looking_up = (
            match for rule in self.rules for match in rule.when if isinstance(match, AddressIn | AddressNotIn | PrefixIn)
        )
        return frozenset(match.set for match in looking_up)


@dataclass(frozen=True, slots=True, order=True)
class Element:
    """A range of addresses in a set; it leaves by itself at `until` (seconds since the epoch) where that is given."""

    range: Range
    until: int | None = None


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of address ranges, sorted and disjoint; only an `expiring` set may hold elements with an end."""

    name: str
    family: Family
    elements: tuple[Element, ...] = ()
    expiring: bool = False
    hidden: bool = False  # its content is nobody's to see

    def __post_init__(self) -> None:
        limit = 1 << self.family.bits
        for before, after in zip(self.elements, self.elements[1:], strict=False):
            if after.range.first <= before.range.last:
                raise ValueError(f"set {self.name}: {before.range} and {after.range} overlap or are out of order")
        if any(element.range.last >= limit for element in self.elements):
            raise ValueError(f"set {self.name}: a range leaves the {self.family.label} address space")
        if not self.expiring and any(element.until is not None for element in self.elements):
            raise ValueError(f"set {self.name}: an element ends, but the set is not expiring")


@dataclass(frozen=True, slots=True)
class PrefixSet:
    """A set of network addresses of one family and prefix length, by the million; `hidden`: its content is nobody's to see."""

    name: str
    keys: Keys
    hidden: bool = False

    @property
    def family(self) -> Family:
        """The family of its addresses."""
        return self.keys.family

    @property
    def size(self) -> int:
        """How many elements the kernel makes room for: a quarter more than there are, in steps, so that it seldom changes.

        The kernel's table has size * 4/3 buckets, rounded up to a power of two (nft_hash_buckets): 3 * 2^n fills that.
        """
        size = 768
        while size * 4 < len(self.keys) * 5:
            size *= 2
        return size


@dataclass(frozen=True)
class Table:
    """A whole `inet` table, all ours: what the kernel shall hold."""

    counters: tuple[Counter, ...] = ()
    sets: tuple[AddressSet | PrefixSet, ...] = ()
    chains: tuple[Chain, ...] = ()
    name: str = "edged"

    def __post_init__(self) -> None:
        for kind, names in (
            ("counter", [counter.name for counter in self.counters]),
            ("set", [each.name for each in self.sets]),
            ("chain", [chain.name for chain in self.chains]),
            ("rule", [rule.name for rule in self.rules()]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} defined twice: {', '.join(twice)}")
        for rule in self.rules():
            self._check_references(rule)
        for chain in self.chains:
            self._check_acyclic(chain.name, ())

    def rules(self) -> Iterator[Rule]:
        """Every rule of the table, chain after chain."""
        for chain in self.chains:
            yield from chain.rules

    @cached_property
    def sets_by_name(self) -> dict[str, AddressSet | PrefixSet]:
        """The sets, by name."""
        return {each.name: each for each in self.sets}

    @cached_property
    def chains_by_name(self) -> dict[str, Chain]:
        """The chains, by name."""
        return {chain.name: chain for chain in self.chains}

    def ranges(self, name: str) -> AddressSet:
        """The set of ranges of that name. Raises LookupError where there is none."""
        found = self.sets_by_name[name]
        if not isinstance(found, AddressSet):
            raise LookupError(name)  # noqa: TRY004  it is the name that is wrong
        return found

    def prefixes(self, name: str) -> PrefixSet:
        """The set of prefixes of that name. Raises LookupError where there is none."""
        found = self.sets_by_name[name]
        if not isinstance(found, PrefixSet):
            raise LookupError(name)  # noqa: TRY004  it is the name that is wrong
        return found

    def _check_references(self, rule: Rule) -> None:
        for match in rule.when:
            if isinstance(match, AddressIn | AddressNotIn):
                asked = self.sets_by_name.get(match.set)
                fits = isinstance(asked, AddressSet) and asked.family is match.family
            elif isinstance(match, PrefixIn):
                asked = self.sets_by_name.get(match.set)
                fits = isinstance(asked, PrefixSet) and (match.family, match.length, match.content) == (
                    asked.family,
                    asked.keys.length,
                    asked.keys.digest,
                )
            else:
                continue
            if not fits:
                raise ValueError(f"rule {rule.name} asks for {match.family.label} set {match.set}, which is not there")
        if isinstance(rule.then, Jump | Goto) and rule.then.chain not in self.chains_by_name:
            raise ValueError(f"rule {rule.name} goes to chain {rule.then.chain}, which is not there")
        if rule.count is not None and rule.count not in self.counters:
            raise ValueError(f"rule {rule.name} counts in {rule.count.name}, which is not there")

    def _check_acyclic(self, chain: str, above: tuple[str, ...]) -> None:
        if chain in above:
            raise ValueError(f"chains go round in a circle: {' > '.join((*above, chain))}")
        for rule in self.chains_by_name[chain].rules:
            if isinstance(rule.then, Jump | Goto):
                self._check_acyclic(rule.then.chain, (*above, chain))
