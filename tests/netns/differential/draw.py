"""What hypothesis draws for a trial: a configuration, and a volley of shots at the edges of what it names."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from edged.addresses import Address, Prefix, span
from tests.netns.differential.conntrack import key, turned
from tests.netns.differential.netfilter import Key
from tests.netns.differential.shots import (
    ACK,
    AH,
    DESTINATION_OPTIONS,
    FIN,
    HOP_BY_HOP,
    INTERFACES,
    ISN,
    PEER_ISN,
    PSH,
    ROUTING,
    RST,
    SYN,
    URG,
    Echo,
    Form,
    Other,
    Shot,
    Tcp,
    Udp,
    Unreachable,
)
from tests.strategies import Drawn, configurations

SCENES = 32  # of a volley, about: a packet alone, or one with those that opened its connection

PORTS = (24, 25, 25, 25, 25, 26, 52, 53, 53, 54, 80, 465, 587)
OUTSIDE = tuple(map(ip_address, ("192.0.2.200", "198.18.0.7", "2001:db8:ffff::1", "2001:db8:a::26")))
# The kernel forwards nothing from or to these, whatever the rules: RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.
NOT_FORWARDED = tuple(
    ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/8", "fe80::/10", "ff00::/8")
)
FLAGS = (SYN, SYN, SYN | ACK, ACK, ACK | PSH, ACK | URG, RST, RST | ACK, FIN | ACK, FIN, 0, SYN | FIN, SYN | RST, FIN | PSH | URG)
# GRE, ESP, AH, SCTP, MPLS in IP, an experimental one; AH in IPv6 is drawn as the extension header that it is there, and
# Mobility is one that Linux does not walk past
OTHERS = {4: (47, 50, 51, 132, 137, 253), 6: (47, 50, 132, 135, 137, 253)}


@dataclass(frozen=True)
class Trial:
    """A configuration and the shots at it, openers before what they open, in the order they are fired."""

    drawn: Drawn
    volley: tuple[Shot, ...]


def trials() -> st.SearchStrategy[Trial]:
    """Each scene of a volley comes from a seed and its place in the volley: drawn fast, and never the same twice."""
    seeds = st.lists(st.integers(0, (1 << 32) - 1), min_size=SCENES - 4, max_size=SCENES + 4)
    return st.builds(lambda drawn, seeds: Trial(drawn, volley(drawn, seeds)), configurations(), seeds)


def volley(drawn: Drawn, seeds: Sequence[int]) -> tuple[Shot, ...]:
    """Shots whose connections do not meet by accident: the prediction of conntrack's states is for those alone."""
    fired: list[Shot] = []
    taken: set[Key] = set()
    pools = edges([prefix for pool in drawn.site.pools.values() for prefix in pool])
    ends = _Ends(edges(drawn.prefixes()), pools)
    for place, seed in enumerate(seeds):
        shots = _scene(random.Random(f"{seed} {place}"), ends, number=4 * place + 1)
        keys = {k for shot in shots for k in (key(shot), turned(key(shot)))}
        if not keys & taken:
            taken |= keys
            fired += shots
    return tuple(fired)


def edges(prefixes: Sequence[Prefix]) -> dict[int, list[Address]]:
    """First and last address of each prefix, the ones outside of them and one within, by IP version; and some far ones."""
    found: dict[int, list[Address]] = {4: [], 6: []}
    for prefix in prefixes:
        extent = span(prefix)
        inside = {extent.first, extent.last, (extent.first + extent.last) // 2}
        for value in sorted(inside | {extent.first - 1, extent.last + 1}):
            if 0 <= value < 1 << prefix.max_prefixlen:
                found[prefix.version].append(type(prefix.network_address)(value))
    for address in OUTSIDE:
        found[address.version].append(address)
    return {version: [a for a in some if not any(a in net for net in NOT_FORWARDED)] for version, some in found.items()}


@dataclass(frozen=True)
class _Ends:
    """Addresses to draw from, by IP version: at the edges of all prefixes that are named, and of the pools."""

    named: dict[int, list[Address]]
    pools: dict[int, list[Address]]

    def pair(self, source: random.Random, version: int) -> tuple[Address, Address]:
        """One that may well be a subscriber's, and another."""
        near = source.choice((self.pools if source.random() < 0.7 else self.named)[version])
        return near, source.choice([address for address in self.named[version] if address != near])


def _scene(source: random.Random, ends: _Ends, number: int) -> list[Shot]:
    """A shot, after the shots that opened its connection where it belongs to one."""
    version, free = source.choice((4, 6)), 20000 + number
    near, far = ends.pair(source, version)
    access, upstream = source.choice(("lan0", "lan0", "ppp0")), source.choice(("wan0", "wan0", "wan1"))
    up, down = (access, upstream, near, far), (upstream, access, far, near)
    match source.choice(("op25b up", "op25b down", "ip53b", "blocklist", "any way", "any way", "any way")):
        case "op25b up":
            way, form = up, _form(source, version, "tcp", (free, 25))
        case "op25b down":
            way, form = down, _form(source, version, "tcp", (25, free))
        case "ip53b":
            way, form = down, _form(source, version, "udp", (source.choice((53, free)), 53))
        case "blocklist":
            way, form = up, _form(source, version, source.choice(("tcp", "udp", "echo", "other")), (free, 443))
        case _:
            kind = source.choices(("tcp", "udp", "echo", "unreachable", "other"), (10, 6, 1, 1, 2))[0]
            way = source.choice((up, down, (source.choice(INTERFACES), source.choice(INTERFACES), near, far)))
            form = _form(source, version, kind, _ports(source, free))
    shot = Shot(number + 3, *way, form, tracked=source.random() > 0.1)
    return _conversation(source, shot) if source.random() < 0.45 else [_dressed(source, shot)]


def _form(source: random.Random, version: int, kind: str, ports: tuple[int, int]) -> Form:
    good = source.random() > 0.05
    match kind:
        case "tcp":
            length = 20 if source.random() > 0.08 else source.choice((0, 1, 2, 3, 4, 8, 19))
            return Tcp(*ports, flags=source.choice(FLAGS), length=length, good_checksum=good)
        case "udp":
            length = 8 if source.random() > 0.08 else source.choice((0, 2, 3, 4, 7))
            return Udp(*ports, length=length, good_checksum=good)
        case "echo":
            return Echo(source.random() < 0.5, max(ports))
        case "unreachable":
            return Unreachable(Udp(ports[1], ports[0]))
        case _:
            return Other(source.choice(OTHERS[version]))


def _ports(source: random.Random, free: int) -> tuple[int, int]:
    """One port at least is of interest; the other is one that nobody else in the volley has, or of interest too."""
    one = source.choice(PORTS)
    other = source.choice(PORTS) if source.random() < 0.3 else free
    return (one, other) if source.random() < 0.5 else (other, one)


def _dressed(source: random.Random, shot: Shot) -> Shot:
    """The shot with options, extension headers, and cut into fragments, or without."""
    options = source.choice((0, 0, 0, 4, 40)) if shot.source.version == 4 else 0
    extensions: tuple[int, ...] = ()
    if shot.source.version == 6 and source.random() < 0.4:
        chain = (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, DESTINATION_OPTIONS, AH)
        extensions = tuple(header for header in chain if source.random() < 0.35)
    cuts: tuple[int, ...] = ()
    if source.random() < 0.25:
        cuts = tuple(sorted(source.sample((8, 16, 24, 32, 40), source.choice((1, 1, 2)))))
    dressed = replace(shot, options=options, extensions=extensions, cuts=cuts, backwards=source.random() < 0.3)
    return dressed if _can_be_cut(dressed) else replace(dressed, cuts=())


def _can_be_cut(shot: Shot) -> bool:
    """Whether the cuts make fragments of it; one that is cut nowhere is an IPv6 packet with an atomic fragment's header."""
    return not shot.cuts or len(shot.datagrams()) > 1 or shot.source.version == 6


def _conversation(source: random.Random, shot: Shot) -> list[Shot]:
    """The shot in a connection: opened from the other side or from its own, before the rules came or after."""
    before = source.random() < 0.5
    opened = replace(
        shot,
        number=shot.number - 3,
        came_in=shot.goes_out,
        goes_out=shot.came_in,
        source=shot.destination,
        destination=shot.source,
        before_rules=before,
        tracked=True,
    )
    match shot.form:
        case Tcp():
            whole = replace(shot.form, length=20, good_checksum=True, seq=PEER_ISN, ack=ISN + 1)
            back = Tcp(shot.form.dport, shot.form.sport, SYN, ISN, 0)
            if not before:
                answer = replace(whole, flags=source.choice((SYN | ACK, SYN | ACK, ACK)))
                return [replace(opened, form=back), replace(shot, form=answer)]
            handshake = [
                replace(opened, form=back),
                replace(shot, number=shot.number - 2, form=replace(whole, flags=SYN | ACK), before_rules=True, tracked=True),
                replace(opened, number=shot.number - 1, form=replace(back, flags=ACK, seq=ISN + 1, ack=PEER_ISN + 1)),
            ]
            far = source.choice((1, 1, 1 << 30))
            if source.random() < 0.5:
                return [*handshake, replace(shot, form=replace(whole, flags=ACK | PSH, seq=PEER_ISN + far))]
            onward = Tcp(back.sport, back.dport, ACK | PSH, ISN + far, PEER_ISN + 1)
            return [*handshake, replace(opened, number=shot.number, form=onward, before_rules=False, tracked=shot.tracked)]
        case Udp():
            back_again = Udp(shot.form.dport, shot.form.sport)
            return [replace(opened, form=back_again), replace(shot, form=replace(shot.form, length=8, good_checksum=True))]
        case Echo():
            return [replace(opened, form=Echo(True, shot.form.ident)), replace(shot, form=Echo(False, shot.form.ident))]
        case Unreachable():
            return [replace(opened, form=shot.form.about), shot]
        case Other():
            return [replace(opened, form=shot.form), shot]


def kinds(shots: Sequence[Shot]) -> Iterator[str]:
    """Words for what was fired, to count by."""
    for shot in shots:
        yield f"{type(shot.form).__name__.lower()}{shot.source.version}"
        if shot.cuts:
            yield f"fragments{shot.source.version}"
        if shot.extensions:
            yield "extension headers"
        if shot.options:
            yield "options"
