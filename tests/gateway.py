"""A gateway for tests: one site with pools in both families, and the shortest way from policies to a judged packet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TypeVar

import numpy as np

from edged.addresses import Address, Family, Prefix
from edged.config.gateway import PoolName
from edged.origin import Origin
from edged.packed import Entries, Keys, pack
from edged.packet.packet import FlowState, Packet
from edged.policies import POLICIES, Blocklist, Caps, Policy, Site
from edged.ruleset.compile import compile_table
from edged.ruleset.evaluate import Decision, evaluate
from edged.ruleset.tree import Table

NOW = 1_800_000_000  # 2027-01-15; the core reads no clock, so any moment does
TCP, UDP, ICMP, ESP, ICMPV6 = 6, 17, 1, 50, 58
NEW_FLOW = FlowState()


@dataclass(frozen=True)
class KeyAsOrigin:
    """Places whose file is the policy and the key: a rule's origin then says what setting it came from."""

    policy: str

    def at(self, *path: str | int) -> Origin:
        return Origin(".".join((self.policy, *map(str, path))), 1)


@dataclass(frozen=True)
class Addresses:
    """Addresses of one family of SITE, by what they are."""

    family: Family
    first_dynamic: Address
    last_dynamic: Address
    before_dynamic: Address
    after_dynamic: Address
    static_inside: Address  # in a static prefix that lies in a dynamic one
    dynamic_inside: Address  # in a dynamic prefix that lies in a static one
    static: Address
    outside: Address
    server: Address
    guarded: Address  # a never-block far end

    @property
    def dynamic(self) -> Address:
        return self.first_dynamic + 5


def prefixes(*texts: str) -> tuple[Prefix, ...]:
    return tuple(ip_network(text) for text in texts)


def entries(*texts: str) -> Mapping[Family, Entries]:
    """What a list says that has these prefixes, one a line."""
    return entries_of(enumerate(prefixes(*texts), start=1))


def entries_of(lines: Iterable[tuple[int, Prefix]]) -> Mapping[Family, Entries]:
    """What a list says that has these prefixes on these lines."""
    said = tuple(lines)
    found = {}
    for family in Family:
        own = [(line, prefix) for line, prefix in said if Family.of(prefix) is family]
        addresses = pack(family, b"".join(prefix.network_address.packed for _, prefix in own))
        lengths = np.array([prefix.prefixlen for _, prefix in own], np.uint8)
        found[family] = Entries.ordered(family, addresses, lengths, np.array([line for line, _ in own], np.uint32))
    return found


def networks(listed: Mapping[Family, Entries]) -> tuple[Prefix, ...]:
    """The prefixes that a list says, those of IPv4 first."""
    return tuple(
        ip_network((address, int(length)))
        for each in listed.values()
        for address, length in zip(Keys(each.family, each.family.bits, each.addresses).networks(), each.lengths, strict=True)
    )


IPV4 = Addresses(
    Family.IPV4,
    *map(ip_address, ("203.0.113.0", "203.0.113.127", "203.0.112.255", "203.0.113.128", "203.0.113.64", "198.51.100.200")),
    *map(ip_address, ("198.51.100.9", "192.0.2.200", "192.0.2.25", "192.0.2.3")),
)
IPV6 = Addresses(
    Family.IPV6,
    *map(
        ip_address,
        (
            "2001:db8:d::",
            "2001:db8:d:ffff:ffff:ffff:ffff:ffff",
            "2001:db8:c:ffff:ffff:ffff:ffff:ffff",
            "2001:db8:e::",
            "2001:db8:d:5::1",
            "2001:db8:5:d::1",
        ),
    ),
    *map(ip_address, ("2001:db8:5::9", "2001:db8:ffff::1", "2001:db8:a::25", "2001:db8:b::3")),
)
BOTH = (IPV4, IPV6)

SITE = Site(
    access=("lan0",),
    upstream=("wan0",),
    pools={
        PoolName.DYNAMIC: prefixes("203.0.113.0/25", "198.51.100.200/29", "2001:db8:d::/48", "2001:db8:5:d::/64"),
        PoolName.STATIC: prefixes("203.0.113.64/28", "198.51.100.0/24", "2001:db8:5::/48", "2001:db8:d:5::/64"),
    },
    lists={"bad": entries(*(str(address) for at in BOTH for address in (at.outside, at.guarded)))},
)
GUARDED_SITE = replace(SITE, never_block=prefixes("192.0.2.0/28", "2001:db8:b::/64"), never_block_origin=Origin("edged.yaml", 9))
SERVERS = ("192.0.2.25", "2001:db8:a::25")
CLASSES = {
    "p2p": {"after": "10MB", "down": "2mbit", "up": "1mbit"},
    "streaming": {"after": "50MB", "down": "8mbit", "up": "8mbit"},
    "bulk": {"after": "500MB", "sustained": "20mbit", "for": "60s", "down": "10mbit", "up": "5mbit"},
}
_Kind = TypeVar("_Kind", bound=Policy)
LEAST: Mapping[type[Policy], Mapping[str, object]] = {
    Blocklist: {"lists": [{"name": "bad", "path": "bad.txt"}]},
    Caps: {"classes": CLASSES},
}


def make(kind: type[_Kind], **settings: object) -> _Kind:
    """A policy with these settings, all others at their defaults, and those without one as in LEAST."""
    return kind.model_validate({"policy": name_of(kind), **LEAST.get(kind, {}), **settings})


def name_of(kind: type[Policy]) -> str:
    """The policy's name, which is the only value its field `policy` takes."""
    return str(kind.model_json_schema()["properties"]["policy"]["const"])


def table_of(policies: Iterable[Policy], site: Site = SITE, now: int = NOW) -> Table:
    """The compiled table of these policies, in the order of precedence."""
    ordered = sorted(policies, key=lambda policy: POLICIES.index(type(policy)))
    fragments = [site.declare(), *(policy.declare(site, KeyAsOrigin(policy.policy), now) for policy in ordered)]
    return compile_table(site.access, site.upstream, fragments)


def up(source: Address, destination: Address, protocol: int = TCP, sport: int | None = 40000, dport: int | None = 25) -> Packet:
    return Packet("lan0", "wan0", source, destination, protocol, sport, dport)


def down(source: Address, destination: Address, protocol: int = TCP, sport: int | None = 25, dport: int | None = 40000) -> Packet:
    return Packet("wan0", "lan0", source, destination, protocol, sport, dport)


def between(packet: Packet) -> Packet:
    """The same packet from subscriber to subscriber."""
    return replace(packet, came_in="lan0", goes_out="lan0")


def judge(policies: Sequence[Policy], packet: Packet, flow: FlowState = NEW_FLOW, site: Site = SITE, now: int = NOW) -> Decision:
    """What the policies, compiled at NOW, make of the packet at `now`."""
    return evaluate(table_of(policies, site), packet, flow, now)
