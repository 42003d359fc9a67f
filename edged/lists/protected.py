"""What no list may name (semantics BL-8): never_block, the gateway's own addresses, its default routes and its resolvers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

from edged.addresses import Address, Prefix
from edged.errors import KernelError
from edged.kernel.reach import default_gateways, own_addresses
from edged.loader import Configuration
from edged.sources.guards import Protected

_log = logging.getLogger(__name__)
_RESOLVERS = Path("/etc/resolv.conf")


def protected(configuration: Configuration) -> Iterator[Protected]:
    """All that a list must leave alone on this machine, with what it is."""
    for index, prefix in enumerate(configuration.edged.never_block):
        yield Protected(prefix, f"never_block, {configuration.places.at('never_block', index)}")
    try:
        own, gateways = own_addresses(), default_gateways()
    except KernelError as error:
        _log.error("%s; lists are not checked against them", error)
        own, gateways = (), ()
    yield from _each(own, "the gateway's own address")
    yield from _each(gateways, "the next hop of a default route")
    yield from _each(tuple(_resolvers()), f"a resolver of {_RESOLVERS}")


def _each(addresses: tuple[Address, ...], what: str) -> Iterator[Protected]:
    for address in addresses:
        if not (address.is_loopback or address.is_link_local):
            yield Protected(_single(address), what)


def _single(address: Address) -> Prefix:
    return ip_network(address)


def _resolvers() -> Iterator[Address]:
    try:
        lines = _RESOLVERS.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                yield ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
