"""What becomes of one packet, and why: the question behind `edged explain`, answered by the evaluator that the kernel is held to.

Question     what the operator asked; what was left open is chosen here, and told as `assumed`
Explanation  the decision, with every rule named by its file and line, down to the entry of the list that let it through
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edged.addresses import Address, Prefix, span
from edged.config.gateway import PoolName
from edged.packet.packet import FlowState, Packet
from edged.policies import Ip53b, Op25b
from edged.ruleset.evaluate import Decision, Outcome, evaluate
from edged.ruleset.nodes import AddressIn, Side
from edged.ruleset.tree import Rule

if TYPE_CHECKING:
    from edged.lists.provenance import Listing
    from edged.loader import Configuration
    from edged.origin import Origin, Places
    from edged.policies import Site

TCP, UDP = 6, 17
BLOCKLIST = "blocklist"
_WITH_PORTS = {TCP: "TCP", UDP: "UDP"}
_NAMES = {1: "ICMP", TCP: "TCP", UDP: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6"}
# IANA's first dynamic port (RFC 6335 section 6): no policy speaks of it, as of none a client would choose
_SOME_PORT = 49152


@dataclass(frozen=True, slots=True)
class Question:
    """A packet as people describe it; what is None is chosen by `packet`."""

    source: Address
    destination: Address
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    comes_from: str | None = None  # access | upstream
    flow: FlowState = field(default_factory=FlowState)


@dataclass(frozen=True, slots=True)
class Entry:
    """The line of a list that a packet's address is on; `until` is its end in seconds since the epoch."""

    origin: Origin
    prefix: Prefix
    until: int | None = None
    owner: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer; `entry` is the line of the list behind `decision.exempted_by`, where that rule goes by a list."""

    packet: Packet
    flow: FlowState
    assumed: tuple[str, ...]
    decision: Decision
    entry: Entry | None
    listings: tuple[tuple[Address, Listing], ...] = ()  # the packet's ends that stand in lists, and where

    @property
    def exempted_by(self) -> Rule | None:
        """The rule that let the packet through, which would otherwise have met a policy."""
        return self.decision.exempted_by if self.decision.outcome is Outcome.ACCEPT else None

    @property
    def observed(self) -> tuple[Rule, ...]:
        """The rules of policies in observe mode that would have stopped the packet."""
        return tuple(rule for rule in self.decision.counted if rule.count is not None and rule.count.verdict == "observe")


def explain(configuration: Configuration, question: Question, now: int, key: bytes | None = None) -> Explanation:
    """What the configuration's table does with the packet at `now` (seconds since the epoch). Raises CannotJudge.

    `key` makes the opaque numbers of confidential lists' entries.
    """
    site = configuration.site()
    packet, assumed = _packet(site, question)
    decision = evaluate(configuration.table(now), packet, question.flow, now)
    exempting = decision.exempted_by
    entry = _entry(configuration, exempting, packet, now) if exempting else None
    counted = {rule.policy for rule in decision.counted}
    listings = tuple(_listings(configuration, packet, key)) if BLOCKLIST in counted else ()
    return Explanation(packet, question.flow, assumed, decision, entry, listings)


def _listings(configuration: Configuration, packet: Packet, key: bytes | None) -> Iterator[tuple[Address, Listing]]:
    from edged.lists.provenance import standing  # noqa: PLC0415  numpy, for those who have lists

    for address in (packet.source, packet.destination):
        found = standing(configuration, address, key)
        if found is not None and found.allowed_by is None:
            yield from ((address, each) for each in found.listings)


def pool_of(site: Site, address: Address) -> PoolName | None:
    """The pool with the longest prefix around an address; static wins a tie (OP-5)."""
    fitting = [
        (prefix.prefixlen, name is PoolName.STATIC, name)
        for name, prefixes in site.pools.items()
        for prefix in prefixes
        if _within(address, prefix)
    ]
    return max(fitting, key=lambda item: item[:2])[2] if fitting else None


def protocol_name(protocol: int) -> str:
    """The protocol's name, or its number where it has none that everybody knows."""
    return _NAMES.get(protocol, f"IP protocol {protocol}")


def _packet(site: Site, question: Question) -> tuple[Packet, tuple[str, ...]]:
    assumed = []
    comes_from = question.comes_from
    if comes_from is None:
        comes_from = _side(site, question.source)
        assumed.append(f"it comes in from {comes_from}, as its source is in {_pool_words(site, question.source)}")
    goes_to = _side(site, question.destination)
    assumed.append(f"it goes out to {goes_to}, as its destination is in {_pool_words(site, question.destination)}")
    source_port = question.source_port
    if source_port is None and question.protocol in _WITH_PORTS:
        source_port = _SOME_PORT
        assumed.append(f"source port {_SOME_PORT}, which stands for any that no policy speaks of")
    packet = Packet(
        _interface(site, comes_from),
        _interface(site, goes_to),
        question.source,
        question.destination,
        question.protocol,
        source_port,
        question.destination_port,
    )
    return packet, tuple(assumed)


def _side(site: Site, address: Address) -> str:
    return "access" if pool_of(site, address) else "upstream"


def _pool_words(site: Site, address: Address) -> str:
    pool = pool_of(site, address)
    return f"pool {pool.value}" if pool else "no pool"


def _interface(site: Site, side: str) -> str:
    """An interface of that side; one that fits the first name, where that is a wildcard."""
    name = (site.access if side == "access" else site.upstream)[0]
    return f"{name[:-1]}0" if name.endswith("*") else name


def _entry(configuration: Configuration, rule: Rule, packet: Packet, now: int) -> Entry | None:
    """The entry of the list that the rule goes by, which has the packet's address; the one that lasts longest (OP-10)."""
    for match in rule.when:
        if isinstance(match, AddressIn):
            address = packet.source if match.side is Side.SOURCE else packet.destination
            fitting = [each for each in _entries(configuration, rule) if _within(address, each.prefix)]
            alive = [each for each in fitting if each.until is None or each.until > now]
            return max(alive, key=lambda each: each.until or 0, default=None)
    return None


def _entries(configuration: Configuration, rule: Rule) -> Iterator[Entry]:
    """Every entry of the lists that let packets by: the never-block list, or those of the rule's policy."""
    if rule.policy is None:
        yield from _plain(configuration.edged.never_block, configuration.places, "never_block")
    for placed in configuration.policies:
        settings, places = placed.settings, placed.places
        if settings.policy != rule.policy:
            continue
        if isinstance(settings, Op25b):
            yield from _plain(settings.exempt.destinations, places, "exempt", "destinations")
        if isinstance(settings, Ip53b):
            yield from _plain(settings.exempt.sources, places, "exempt", "sources")
        if isinstance(settings, Op25b | Ip53b):
            for index, item in enumerate(settings.exempt.subscribers):
                origin = places.at("exempt", "subscribers", index)
                yield Entry(origin, item.prefix, item.until, item.owner, item.reason)


def _plain(prefixes: Sequence[Prefix], places: Places, *path: str) -> Iterator[Entry]:
    for index, prefix in enumerate(prefixes):
        yield Entry(places.at(*path, index), prefix)


def _within(address: Address, prefix: Prefix) -> bool:
    return address.version == prefix.version and int(address) in span(prefix)
