"""What no list may name (semantics BL-8): never_block, the gateway's own addresses and default routes, and who manages it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from ipaddress import ip_network

from edged.addresses import Address, Prefix
from edged.errors import KernelError
from edged.kernel.reach import default_gateways, own_addresses
from edged.loader import Configuration
from edged.lockout.farend import FarEnd
from edged.sources.guards import Protected

_log = logging.getLogger(__name__)


def protected(configuration: Configuration, ends: Sequence[FarEnd]) -> Iterator[Protected]:
    """All that a list must leave alone on this machine, with what it is; `ends` are those of the lock-out guard."""
    for index, prefix in enumerate(configuration.edged.never_block):
        yield Protected(prefix, f"never_block, {configuration.places.at('never_block', index)}")
    try:
        own, gateways = own_addresses(), default_gateways()
    except KernelError as error:
        _log.error("%s; lists are not checked against them", error)
        own, gateways = (), ()
    yield from _each(own, "the gateway's own address")
    yield from _each(gateways, "the next hop of a default route")
    for end in ends:
        yield Protected(_single(end.address), end.told)


def _each(addresses: tuple[Address, ...], what: str) -> Iterator[Protected]:
    for address in addresses:
        if not (address.is_loopback or address.is_link_local):
            yield Protected(_single(address), what)


def _single(address: Address) -> Prefix:
    return ip_network(address)
