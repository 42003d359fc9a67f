"""The conversations that far ends live by, as packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from edged.addresses import Address, Family
from edged.config.gateway import PoolName
from edged.lockout.farend import FarEnd, Role
from edged.packet.packet import FlowState, Packet
from edged.policies import Site
from edged.ruleset.nodes import ConntrackDirection, ConntrackState, Transport
from edged.ruleset.tree import FORWARDING, RECEIVING, SENDING

_OPENING = FlowState()
_ANSWERING = FlowState(ConntrackState.ESTABLISHED, ConntrackDirection.REPLY)
_SOME_PORT = 49152  # RFC 6335 section 6: one that a client would choose

_SSH, _SNMP, _DNS = 22, 161, 53
# how each is reached, or reaches the gateway; what is behind the gateway is reached from a login by SSH, from monitoring by SNMP
_PORTS = {
    Role.LOGIN: ((Transport.TCP, _SSH),),
    Role.MONITORING: ((Transport.UDP, _SNMP),),
    Role.RESOLVER: ((Transport.UDP, _DNS), (Transport.TCP, _DNS)),
    Role.ROUTING: ((Transport.TCP, 179),),
    Role.ACCOUNTS: ((Transport.UDP, 1812), (Transport.UDP, 1813)),
    Role.CLUSTER: ((Transport.TCP, 2379),),
}
_WORKS_THROUGH = (Role.LOGIN, Role.MONITORING)


@dataclass(frozen=True, slots=True)
class Step:
    """One packet of a conversation, what conntrack says of it, and the hooks that it passes."""

    packet: Packet
    flow: FlowState
    hooks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Station:
    """An address and the interface it is beyond; without one it is the gateway's own."""

    address: Address
    interface: str = ""


def steps(site: Site, end: FarEnd, ends: Sequence[FarEnd]) -> Iterator[Step]:
    """Every packet that must pass for this far end to do its part; `ends` are all there are, itself included."""
    there, here = _Station(end.address, end.interface), _Station(end.source)
    yield from chain.from_iterable(_talk(*each, *how) for how in _PORTS[end.role] for each in ((there, here), (here, there)))
    subscribers = tuple(_subscribers(site, Family.of(end.address)))
    if end.role in _WORKS_THROUGH:
        others = tuple(_Station(each.address, each.interface) for each in ends if each.role not in _WORKS_THROUGH)
        for server in (*subscribers, *(each for each in others if each.address.version == end.address.version)):
            yield from chain.from_iterable(_talk(there, server, *how) for how in _PORTS[end.role])
    if end.role is Role.RESOLVER:
        yield from chain.from_iterable(_talk(client, there, *how) for client in subscribers for how in _PORTS[end.role])
    if end.through is not None:
        server = _Station(end.through.server, _side_of(site, end.through.server, end))
        yield from _talk(there, server, Transport.TCP, end.through.server_port, end.through.peer_port)


def _talk(client: _Station, server: _Station, transport: Transport, port: int, source_port: int = _SOME_PORT) -> Iterator[Step]:
    """The opening packet and its answer."""
    for sender, receiver, ports, flow in (
        (client, server, (source_port, port), _OPENING),
        (server, client, (port, source_port), _ANSWERING),
    ):
        hooks = SENDING if not sender.interface else RECEIVING if not receiver.interface else FORWARDING
        packet = Packet(sender.interface, receiver.interface, sender.address, receiver.address, transport.value, *ports)
        yield Step(packet, flow, hooks)


def _subscribers(site: Site, family: Family) -> Iterator[_Station]:
    """One subscriber of each pool: the policies treat all of a pool alike, but for exemptions, which only let more pass."""
    for pool in PoolName:
        for extent in site.addresses((pool,), family)[:1]:
            yield _Station(family.address(extent.first), _some_interface(site.access))


def _side_of(site: Site, address: Address, end: FarEnd) -> str:
    """The interface that a server behind the gateway is beyond: opposite to who works on it."""
    pooled = any(int(address) in extent for extent in site.addresses(PoolName, Family.of(address)))
    return _some_interface(site.access if pooled or end.interface not in site.access else site.upstream)


def _some_interface(names: Sequence[str]) -> str:
    """One that fits the first name, where that is a wildcard."""
    return f"{names[0][:-1]}0" if names[0].endswith("*") else names[0]
