"""The table as nft text, for people and for `nft -c -f`. One walk over the tree; what it prints is what the encoder writes.

The owner flag is not in the text: nft would hold it only for as long as that nft process lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from edged.addresses import Family, Range
from edged.marks import in_field
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    Continue,
    DirectionIs,
    Drop,
    FlowBytesAbove,
    FlowPacketsBelow,
    GenerationIs,
    GoesOut,
    Goto,
    HasLease,
    IsFamily,
    Jump,
    MarkIs,
    Match,
    OverLimit,
    PacketMarkIs,
    PortIs,
    PrefixIn,
    Prohibit,
    Queue,
    RateAbove,
    Remember,
    ResetTcp,
    Return,
    SetGeneration,
    SetMark,
    Side,
    StateIn,
    TransportIs,
    Verdict,
)
from edged.ruleset.sets import KEY_LENGTH, AddressSet, AnySet, Element, Holds, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Rule, Table

_PORT = {Side.SOURCE: "sport", Side.DESTINATION: "dport"}
_ADDRESS = {Side.SOURCE: "saddr", Side.DESTINATION: "daddr"}


def render(table: Table, now: int) -> str:
    """The table in nft's language; `now` (seconds since the epoch) turns the elements' ends into timeouts."""
    lines = [f"table inet {table.name} {{"]
    lines += [f"\tcounter {counter.name} {{ }}" for counter in table.counters]
    for each in table.sets:
        lines += _set(each, now)
    for chain in table.chains:
        lines += _chain(chain)
    return "\n".join([*lines, "}", ""])


def render_rule(rule: Rule) -> str:
    """One rule in nft's language, without its comment."""
    parts = [_match(match) for match in rule.when]
    if isinstance(rule.then, ResetTcp):
        parts.append("meta l4proto tcp")
    if rule.count is not None:
        parts.append(f'counter name "{rule.count.name}"')
    verdict = _verdict(rule.then)
    return " ".join([*parts, verdict] if verdict else parts)


def _set(each: AnySet, now: int) -> Iterator[str]:
    match each:
        case AddressSet():
            return _address_set(each, now)
        case PrefixSet():
            return _prefix_set(each)
        case LiveSet():
            return _live_set(each)
        case _:
            assert_never(each)


def _address_set(each: AddressSet, now: int) -> Iterator[str]:
    yield f"\tset {each.name} {{"
    yield f"\t\ttype {'ipv4_addr' if each.family is Family.IPV4 else 'ipv6_addr'}"
    yield f"\t\tflags interval{',timeout' if each.expiring else ''}"
    if each.hidden:
        yield _not_shown(len(each.elements))
    elif each.elements:
        listed = ",\n\t\t\t".join(_element(element, each.family, now) for element in each.elements)
        yield f"\t\telements = {{ {listed} }}"
    yield "\t}"


def _prefix_set(each: PrefixSet) -> Iterator[str]:
    """Networks stand as the addresses they are looked up by: the length is in the rule."""
    yield f"\tset {each.name} {{"
    yield f"\t\ttype {'ipv4_addr' if each.family is Family.IPV4 else 'ipv6_addr'}"
    yield f"\t\tsize {each.size}"
    if each.hidden:
        yield _not_shown(len(each.keys))
    elif len(each.keys):
        listed = ",\n\t\t\t".join(str(each.family.address(network)) for network in each.keys.networks())
        yield f"\t\telements = {{ {listed} }}"
    yield "\t}"


def _live_set(each: LiveSet) -> Iterator[str]:
    """Empty: what is in it belongs to the moment."""
    key = "ipv4_addr" if each.family is Family.IPV4 else "ipv6_addr"
    yield f"\t{'set' if each.holds is Holds.NOTHING else 'map'} {each.name} {{"
    yield f"\t\ttype {key}" + (f" : {each.holds.value}" if each.holds.value else "")
    yield f"\t\tsize {each.size}"
    yield f"\t\tflags {'dynamic,timeout' if each.holds is Holds.NOTHING else 'timeout'}"
    yield "\t}"


def _not_shown(count: int) -> str:
    return f"\t\t# {count} elements, not shown: some are of a confidential list"


def _element(element: Element, family: Family, now: int) -> str:
    text = _range(element.range, family)
    return text if element.until is None else f"{text} timeout {_duration(max(element.until - now, 1))}"


def _duration(seconds: int) -> str:
    """In days and below: nft 1.0.6 refuses eight digits of seconds."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return "".join(f"{count}{unit}" for count, unit in ((day, "d"), (hour, "h"), (minute, "m"), (second, "s")) if count)


def _range(extent: Range, family: Family) -> str:
    """A prefix where the range is one, else first-last."""
    first = family.address(extent.first)
    size = extent.last - extent.first + 1
    if size & (size - 1) or extent.first % size:
        return f"{first}-{family.address(extent.last)}"
    length = family.bits - (size.bit_length() - 1)
    return str(first) if length == family.bits else f"{first}/{length}"


def _chain(chain: Chain) -> Iterator[str]:
    yield f"\tchain {chain.name} {{"
    if chain.hook is not None:
        yield f"\t\ttype filter hook {chain.hook.name} priority {chain.hook.priority}; policy accept;"
    for rule in chain.rules:
        yield f'\t\t{render_rule(rule)} comment "{rule.name}"'
    yield "\t}"


def _match(match: Match) -> str:
    match match:
        case CameIn(interface):
            return f'iifname "{interface}"'
        case GoesOut(interface):
            return f'oifname "{interface}"'
        case IsFamily(family):
            return f"meta nfproto {family.label}"
        case PortIs(transport, side, port):
            return f"{transport.label} {_PORT[side]} {port}"
        case TransportIs(transport):
            return f"meta l4proto {transport.label}"
        case AddressIn(side, family, name):
            return f"{family.value} {_ADDRESS[side]} @{name}"
        case AddressNotIn(side, family, name):
            return f"{family.value} {_ADDRESS[side]} != @{name}"
        case PrefixIn(side, family, length, name, _):
            return f"{_network(side, family, length)} @{name}"
        case GenerationIs(mask, value) | MarkIs(mask, value):
            return f"ct mark & {mask:#010x} == {in_field(mask, value):#010x}"
        case PacketMarkIs(mask, value):
            return f"meta mark & {mask:#010x} == {in_field(mask, value):#010x}"
        case FlowBytesAbove(octets):
            return f"ct bytes > {octets}"
        case FlowPacketsBelow(packets):
            return f"ct packets < {packets}"
        case HasLease(side, family, name):
            return f"meta priority set {_network(side, family, KEY_LENGTH[family])} map @{name}"
        case OverLimit(side, family, name):
            return f"limit name {_network(side, family, KEY_LENGTH[family])} map @{name}"
        case StateIn(states):
            return f"ct state {','.join(state.value for state in states)}"
        case DirectionIs(direction):
            return f"ct direction {direction.value}"
        case RateAbove(per_second, burst):
            return f"limit rate over {per_second}/second burst {burst} packets"
        case _:
            assert_never(match)


def _network(side: Side, family: Family, length: int) -> str:
    """The network of that length around the address at an end."""
    mask = (1 << family.bits) - (1 << (family.bits - length))
    return f"{family.value} {_ADDRESS[side]}" + ("" if length == family.bits else f" & {family.address(mask)}")


def _verdict(verdict: Verdict) -> str:
    match verdict:
        case Accept():
            return "accept"
        case Drop():
            return "drop"
        case ResetTcp():
            return "reject with tcp reset"
        case Prohibit():
            return "reject with icmpx admin-prohibited"
        case SetGeneration(mask, value, _) | SetMark(mask, value):
            return f"ct mark set ct mark & {mask ^ 0xFFFFFFFF:#010x} | {in_field(mask, value):#010x}"
        case Remember(side, family, name, seconds):
            return f"update @{name} {{ {_network(side, family, KEY_LENGTH[family])} timeout {_duration(seconds)} }}"
        case Queue(queues, _):
            return f"queue flags bypass to {f'0-{queues - 1}' if queues > 1 else '0'}"
        case Jump(chain):
            return f"jump {chain}"
        case Goto(chain):
            return f"goto {chain}"
        case Return():
            return "return"
        case Continue():
            return ""
        case _:
            assert_never(verdict)
