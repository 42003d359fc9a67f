"""The compiled policy in other forms, which judge packets the same way: as linear nft rules, and as iptables rules.

Linear means one rule a prefix where edged asks a set, which is how such policies are mostly written by hand. Chains, their
order and the interface and port matches stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import summarize_address_range

from edged.addresses import Family
from edged.ruleset.nodes import (
    Accept,
    AddressIn,
    AddressNotIn,
    CameIn,
    Continue,
    DirectionIs,
    Drop,
    GoesOut,
    Goto,
    IsFamily,
    Jump,
    Match,
    PortIs,
    RateAbove,
    ResetTcp,
    Return,
    Side,
    StateIn,
    Verdict,
)
from edged.ruleset.render import render_rule
from edged.ruleset.sets import AddressSet
from edged.ruleset.tree import Rule, Table

Line = tuple[str, tuple[Match, ...], str | None, Verdict]  # chain, other matches, "saddr 192.0.2.0/24", what then


def _lines(table: Table) -> Iterator[tuple[str, list[Line]]]:
    """Each chain with its rules, sets taken apart; `!= @set` becomes a chain that the addresses of the set return from."""
    for chain in table.chains:
        lines: list[Line] = []
        apart: list[tuple[str, list[Line]]] = []
        for rule in chain.rules:
            asked = next((match for match in rule.when if isinstance(match, AddressIn | AddressNotIn)), None)
            rest = tuple(match for match in rule.when if match is not asked)
            if asked is None:
                lines.append((chain.name, rest, None, rule.then))
                continue
            end = "saddr" if asked.side is Side.SOURCE else "daddr"
            prefixes = [f"{asked.family.value} {end} {prefix}" for prefix in _prefixes(table, asked)]
            if isinstance(asked, AddressIn):
                lines += [(chain.name, rest, prefix, rule.then) for prefix in prefixes]
            else:
                name = f"not_{rule.name.replace('.', '_')}"
                lines.append((chain.name, (*rest, IsFamily(asked.family)), None, Jump(name)))
                inside: list[Line] = [(name, (), prefix, Return()) for prefix in prefixes]
                apart.append((name, [*inside, (name, (), None, rule.then)]))
        yield chain.name, lines
        yield from apart


def _prefixes(table: Table, asked: AddressIn | AddressNotIn) -> Iterator[str]:
    asked_set = table.sets_by_name[asked.set]
    assert isinstance(asked_set, AddressSet), "lists have no linear form"
    for element in asked_set.elements:
        first, last = (asked.family.address(value) for value in (element.range.first, element.range.last))
        yield from (str(prefix) for prefix in summarize_address_range(first, last))


def linear_nft(table: Table) -> str:
    """The policy as nft text without sets; every verdict counts, as named counters do."""
    hooks = {chain.name: chain.hook for chain in table.chains}
    text = ["table inet linear {"]
    chains = list(_lines(table))
    text += [f"chain {name} {{ }}" for name, _ in chains if not hooks.get(name)]  # before what jumps to them
    for name, lines in chains:
        text.append(f"chain {name} {{")
        if hooks.get(name):
            text.append("type filter hook forward priority 0; policy accept;")
        for _, matches, address, then in lines:
            words = [render_rule(Rule("x", matches)), address or "", "counter" if isinstance(then, Drop | ResetTcp) else ""]
            words.append(render_rule(Rule("x", (), then)))
            text.append(" ".join(word for word in words if word))
        text.append("}")
    return "\n".join([*text, "}", ""])


def iptables(table: Table, family: Family) -> str:
    """The policy of one family for iptables-restore or ip6tables-restore."""
    base = next(chain.name for chain in table.chains if chain.hook is not None)
    chains = list(_lines(table))
    rename: Callable[[str], str] = lambda name: "FORWARD" if name == base else name[:28]  # noqa: E731
    text = ["*filter", ":FORWARD ACCEPT [0:0]", *(f":{rename(name)} - [0:0]" for name, _ in chains if name != base)]
    for name, lines in chains:
        for _, matches, address, then in lines:
            wanted = address.split() if address else [family.value]
            if wanted[0] != family.value or IsFamily(_other(family)) in matches:
                continue
            words = ["-A", rename(name), *(word for match in matches for word in _ipt_match(match))]
            if address:
                words += ["-s" if wanted[1] == "saddr" else "-d", wanted[2]]
            if isinstance(then, ResetTcp) and "tcp" not in words:
                words += ["-p", "tcp"]
            text.append(" ".join([*words, *_ipt_target(then, rename)]))
    return "\n".join([*text, "COMMIT", ""])


def _other(family: Family) -> Family:
    return Family.IPV6 if family is Family.IPV4 else Family.IPV4


def _ipt_match(match: Match) -> list[str]:
    match match:
        case CameIn(interface):
            return ["-i", interface.replace("*", "+")]
        case GoesOut(interface):
            return ["-o", interface.replace("*", "+")]
        case IsFamily():
            return []
        case PortIs(transport, side, port):
            return ["-p", transport.label, "--sport" if side is Side.SOURCE else "--dport", str(port)]
        case StateIn(states):
            return ["-m", "conntrack", "--ctstate", ",".join(state.value.upper() for state in states)]
        case DirectionIs(direction):
            return ["-m", "conntrack", "--ctdir", direction.value.upper()]
        case RateAbove(per_second, burst):
            rate = ["--hashlimit-above", f"{per_second}/sec", "--hashlimit-burst", str(burst)]
            return ["-m", "hashlimit", *rate, "--hashlimit-name", "resets"]
        case _:
            raise AssertionError(f"the port policies have no {type(match).__name__} once sets are taken apart")


def _ipt_target(then: Verdict, rename: Callable[[str], str]) -> list[str]:
    match then:
        case Accept():
            return ["-j", "ACCEPT"]
        case Drop():
            return ["-j", "DROP"]
        case ResetTcp():
            return ["-j", "REJECT", "--reject-with", "tcp-reset"]
        case Jump(chain):
            return ["-j", rename(chain)]
        case Goto(chain):
            return ["-g", rename(chain)]
        case Return():
            return ["-j", "RETURN"]
        case Continue():
            return []
        case _:
            raise AssertionError(f"the port policies do not end a rule with {type(then).__name__}")
