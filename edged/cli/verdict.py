"""An explanation in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from edged.addresses import Address
from edged.explain import BLOCKLIST, TCP, UDP, Entry, Explanation, pool_of, protocol_name
from edged.ruleset.evaluate import Decision, Outcome
from edged.ruleset.nodes import (
    AddressIn,
    AddressNotIn,
    CameIn,
    ConntrackDirection,
    DirectionIs,
    FlowBytesAbove,
    FlowPacketsBelow,
    GenerationIs,
    GoesOut,
    HasLease,
    IsFamily,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    PortIs,
    PrefixIn,
    RateAbove,
    ResetTcp,
    Side,
    StateIn,
    TransportIs,
)
from edged.ruleset.render import render_rule
from edged.ruleset.tree import Rule

if TYPE_CHECKING:
    from edged.lists.provenance import Listing
    from edged.policies import Site

_VERDICTS = {Outcome.ACCEPT: "passes", Outcome.DROP: "dropped without a word"}


def as_text(site: Site, explained: Explanation, *, verbose: bool) -> Iterator[str]:
    """The answer in one sentence, then what it is about; `verbose` adds every rule that matched."""
    yield f"{_verdict(explained.decision)}: {_because(site, explained)}"
    yield f"packet:  {_packet(site, explained)}"
    for each in explained.assumed:
        yield f"assumed: {each}"
    if explained.decision.outcome is Outcome.REJECT:
        yield "assumed: such answers are below their limit; above it the packet is dropped without a word"
    if verbose:
        yield "matched:" if explained.decision.matched else "matched: no rule"
        for rule in explained.decision.matched:
            yield f"  {rule.name:<28} {_place(rule) or '-':<28} {render_rule(rule)}"


def as_json(explained: Explanation) -> dict[str, object]:
    """The answer's fields of schema edged/v1/explain."""
    decision, exempting = explained.decision, explained.exempted_by
    deciding = decision.rule if decision.outcome is not Outcome.ACCEPT else None
    return {
        "verdict": decision.outcome.value,
        "policy": deciding.policy if deciding else None,
        "rule": _place(deciding) if deciding else None,
        "name": deciding.name if deciding else None,
        "exempted_by": {**_rule(exempting), **_entry(explained.entry)} if exempting else None,
        "lists": [_listing(address, each) for address, each in explained.listings],
        "observed": [_rule(rule) for rule in explained.observed],
        "matched": [_rule(rule) for rule in decision.matched],
        "assumed": list(explained.assumed),
    }


def _verdict(decision: Decision) -> str:
    if decision.outcome is not Outcome.REJECT:
        return _VERDICTS[decision.outcome]
    by_reset = decision.rule is not None and isinstance(decision.rule.then, ResetTcp)
    return "refused with a TCP reset" if by_reset else "refused with an ICMP error (administratively prohibited)"


def _listing(address: Address, each: Listing) -> dict[str, object]:
    return {
        "address": str(address),
        "list": each.list,
        "place": str(each.place) if each.place else None,
        "prefix": each.prefix,
        "entry": each.entry,
    }


def _listed(site: Site, address: Address, each: Listing) -> str:
    if each.place is not None:
        return f"{_address(site, address)} is in list {each.list}, {each.place} ({each.prefix})"
    number = f"entry {each.entry}" if each.entry is not None else "an entry"
    return f"{_address(site, address)} is in confidential list {each.list} ({number})"


def _rule(rule: Rule) -> dict[str, object]:
    return {"policy": rule.policy, "rule": _place(rule), "name": rule.name}


def _entry(entry: Entry | None) -> dict[str, object]:
    if entry is None:
        return {"entry": None, "prefix": None, "until": None}
    return {"entry": str(entry.origin), "prefix": str(entry.prefix), "until": entry.until}


def _place(rule: Rule) -> str | None:
    return str(rule.origin) if rule.origin else None


def _because(site: Site, explained: Explanation) -> str:
    """Why the verdict is what it is."""
    decision = explained.decision
    if decision.outcome is not Outcome.ACCEPT and decision.rule is not None:
        return f"{decision.rule.policy} stops it, as {_conditions(site, explained, decision.rule)}; {_place(decision.rule)}"
    observing = [f"{rule.policy} in observe mode counts it and would stop it; {_place(rule)}" for rule in explained.observed]
    if observing:
        return "; ".join(observing)
    exempting = explained.exempted_by
    if exempting is not None:
        who = exempting.policy or "never_block"
        return f"{who} lets it through, as {_conditions(site, explained, exempting)}; {_exempt_place(explained, exempting)}"
    return "no policy stops it"


def _exempt_place(explained: Explanation, exempting: Rule) -> str:
    entry = explained.entry
    if entry is None:
        return str(_place(exempting))
    until = f", until {datetime.fromtimestamp(entry.until, UTC):%Y-%m-%dT%H:%M:%SZ}" if entry.until else ""
    owner = f", for {entry.owner}: {entry.reason}" if entry.owner else ""
    return f"{entry.origin} ({entry.prefix}{until}{owner})"


def _conditions(site: Site, explained: Explanation, deciding: Rule) -> str:
    """All that the deciding policy asked of the packet on its way, in words, each once."""
    ways = [rule for rule in explained.decision.matched if rule.policy == deciding.policy]
    ways = ways[: ways.index(deciding) + 1]
    found = [_holds(site, explained, match) for rule in ways for match in rule.when]
    if deciding.policy == BLOCKLIST:
        found = [_listed(site, address, each) for address, each in explained.listings]
    return ", ".join(dict.fromkeys(text for text in found if text)) or "it is meant for every packet"


def _holds(site: Site, explained: Explanation, match: Match) -> str:
    """That the match holds, in words; empty where that says nothing new."""
    packet = explained.packet
    match match:
        case CameIn(interface):
            return f"it came in by {interface}"
        case GoesOut(interface):
            return f"it goes out by {interface}"
        case IsFamily() | RateAbove():
            return ""
        case TransportIs(transport):
            return f"it is {transport.name}"
        case MarkIs() | PacketMarkIs():
            return "its mark says so"
        case FlowBytesAbove(octets):
            return f"its connection has moved more than {octets} bytes"
        case FlowPacketsBelow(packets):
            return f"its connection has had fewer than {packets} packets"
        case HasLease(_, _, name):
            return f"its subscriber has a lease in map {name}"
        case OverLimit(_, _, name):
            return f"it is beyond its subscriber's limit in map {name}"
        case PortIs(transport, side, port):
            return f"it is {transport.name} {'from' if side is Side.SOURCE else 'to'} port {port}"
        case AddressIn(side, _, name):
            return f"{_address(site, packet.source if side is Side.SOURCE else packet.destination)} is in set {name}"
        case AddressNotIn(side, _, name):
            return f"{_address(site, packet.source if side is Side.SOURCE else packet.destination)} is not in set {name}"
        case PrefixIn(side, _, length, name, _):
            end = _address(site, packet.source if side is Side.SOURCE else packet.destination)
            return f"the /{length} around {end} is in set {name}"
        case GenerationIs():
            return "its connection was judged by the present lists"
        case StateIn(states):
            return f"its connection is {' or '.join(state.value for state in states)}"
        case DirectionIs(direction):
            answers = "it answers a packet that went the other way"
            return answers if direction is ConntrackDirection.REPLY else "it goes the way its connection was opened"
        case _:
            assert_never(match)


def _address(site: Site, address: Address) -> str:
    pool = pool_of(site, address)
    return f"{address} ({f'pool {pool.value}' if pool else 'in no pool'})"


def _packet(site: Site, explained: Explanation) -> str:
    packet, flow = explained.packet, explained.flow
    source, destination = _address(site, packet.source), _address(site, packet.destination)
    if packet.protocol in (TCP, UDP):
        source, destination = f"{source} port {packet.source_port}", f"{destination} port {packet.destination_port}"
    way = ", an answer" if flow.direction is ConntrackDirection.REPLY else ""
    return (
        f"{protocol_name(packet.protocol)} from {source} to {destination}, in by {packet.came_in}, out by {packet.goes_out}, "
        f"conntrack: {flow.state.value}{way}"
    )
