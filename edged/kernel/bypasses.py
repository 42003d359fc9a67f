"""What may take packets of the gateway's interfaces past the rules (semantics G-5); none of it is edged's.

A drop of edged's cannot be undone by another table's accept. But what acts on a packet before the forward hook, and sends it on
by itself, has passed every policy: that is looked for here, and told wherever edged tells how it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edged.interfaces import fits
from edged.kernel.flowtables import Flowtable
from edged.kernel.foreignrules import Forwarder
from edged.kernel.ingress import Filter, links_with_ingress, read_ingress
from edged.kernel.linkstate import XDP_MODES, Link, beneath, is_bundled, is_in_vrf, named, read_links
from edged.kernel.linux import LinuxKernel


@dataclass(frozen=True, slots=True)
class Bypass:
    """One of them: what it is, why packets pass the rules by it, and what to do."""

    what: str
    why: str
    remedy: str


def bypasses(kernel: LinuxKernel, interfaces: Sequence[str]) -> tuple[Bypass, ...]:
    """All of them on these interfaces of the present namespace, wildcards among them. Raises KernelError."""
    flowtables, forwarders, links = kernel.foreign_flowtables(), kernel.forwarders(), read_links()
    filtered = links_with_ingress()
    ours = named(links, interfaces)
    early = beneath(links, ours)
    return (
        *(_flowtable(each) for each in flowtables if _on(each.devices, early, interfaces)),
        *(_forwarder(each) for each in forwarders if _on(each.devices, early, interfaces)),
        *(_xdp(link) for link in early if link.xdp_mode),
        *(_bundled(link, links) for link in ours if is_bundled(link)),
        *(_in_vrf(link, links) for link in ours if is_in_vrf(link) and link.master not in {each.index for each in ours}),
        *(each for link in early if link.index in filtered for each in _filters(link, read_ingress(link.index), links)),
    )


def _on(devices: Iterable[str], early: Iterable[Link], interfaces: Sequence[str]) -> bool:
    names = {link.name for link in early}
    # a table may name devices that are not there yet
    return any(device in names or any(fits(device, pattern) for pattern in interfaces) for device in devices)


def _flowtable(found: Flowtable) -> Bypass:
    where = "the hardware forwards them" if found.hardware else "they are forwarded where they come in"
    return Bypass(
        f"flowtable {found}",
        f"flows that another program puts into it pass every rule and every cap: {where}",
        "remove it, or take the gateway's interfaces out of it",
    )


def _forwarder(found: Forwarder) -> Bypass:
    return Bypass(
        f"rules of netdev table {found.table}",
        "what they forward (`fwd`) leaves by another interface without having met a policy",
        f"take the gateway's interfaces out of its chains: nft list table netdev {found.table}",
    )


def _xdp(link: Link) -> Bypass:
    return Bypass(
        f"XDP program {link.xdp_program} on {link.name} ({XDP_MODES.get(link.xdp_mode, 'unknown')})",
        "it sees packets ahead of every rule, and what it sends on by itself meets no policy",
        f"where it does more than count or drop: ip link set dev {link.name} xdp off (bpftool prog show id {link.xdp_program})",
    )


def _bundled(link: Link, links: Iterable[Link]) -> Bypass:
    master = _master(link, links)
    return Bypass(
        f"interface {link.name}",
        f"it is a port of {link.port_of} {master}: the rules see its packets come in by {master}, and none is about that",
        f"name {master} in edged.yaml in its place",
    )


def _in_vrf(link: Link, links: Iterable[Link]) -> Bypass:
    master = _master(link, links)
    return Bypass(
        f"interface {link.name}",
        f"it is in VRF {master}: what it receives comes in by {master}, and no rule that asks where from is about that",
        f"name {master} beside {link.name} in edged.yaml; where access and upstream are in one VRF, no name tells them apart",
    )


def _master(link: Link, links: Iterable[Link]) -> str:
    return next((each.name for each in links if each.index == link.master), f"link {link.master}")


def _filters(link: Link, filters: Iterable[Filter], links: Iterable[Link]) -> Iterator[Bypass]:
    """Each kind of them once; a link may have thousands of filters."""
    # an intermediate functional block gives packets back to where they were taken, ahead of the rules (drivers/net/ifb.c)
    returning = {each.index for each in links if each.kind == "ifb"}
    names = {each.index: each.name for each in links}
    remedy = f"look at it: tc filter show dev {link.name} ingress"
    told = set()
    for each in filters:
        if each.in_hardware:
            told.add(
                (
                    f"tc filters of {link.name} in hardware",
                    "the network card carries them out, and what it forwards meets no policy",
                )
            )
        if each.classifier == "bpf":
            told.add(
                (
                    f"BPF program of tc on {link.name}",
                    "it sees packets ahead of every rule, and what it redirects meets no policy",
                )
            )
        for target in each.redirects:
            if target not in returning:
                to = names.get(target, f"link {target}")
                told.add((f"tc filters of {link.name}", f"they send packets to {to} ahead of every rule"))
    yield from (Bypass(what, why, remedy) for what, why in sorted(told))
