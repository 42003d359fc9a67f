"""The machine's own connections, by which it is managed and lives: sockets, as ss(8) lists them (sock_diag(7)).

Forwarded traffic has no sockets here: nothing that a subscriber says to anybody shows.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Flag
from ipaddress import IPv6Address, ip_address

from edged.addresses import Address
from edged.kernel import plain
from edged.kernel.attrs import parse

_NETLINK_SOCK_DIAG = 4  # linux/netlink.h
_SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
_REQUEST = struct.Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states; the id matches any
_MESSAGE = struct.Struct("!4xHH16s16s")  # inet_diag_msg up to the addresses; ports and addresses are in network order
_MESSAGE_SIZE = 72
_INFO = 2  # INET_DIAG_INFO; asked for by the bit below it
_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcp_info (linux/tcp.h), up to tcpi_bytes_acked


class State(Flag):
    """States of sockets, by the bit that asks for them (net/tcp_states.h); a connected UDP socket is ESTABLISHED."""

    ESTABLISHED = 1 << 1
    TIME_WAIT = 1 << 6
    LISTEN = 1 << 10


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of this machine's own; `acknowledged` is how many bytes of it the other end has acknowledged (of TCP)."""

    transport: int
    local_port: int
    peer: Address
    peer_port: int
    acknowledged: int = 0


def listening_ports() -> frozenset[int]:
    """The TCP ports that programs of this machine listen on. Raises KernelError."""
    return frozenset(found.local_port for found in _sockets(socket.IPPROTO_TCP, State.LISTEN))


def connections(transport: int) -> tuple[Connection, ...]:
    """The TCP (6) or UDP (17) connections, those of TCP that ended in the last minute as well. Raises KernelError."""
    return tuple(_sockets(transport, State.ESTABLISHED | State.TIME_WAIT))


def _sockets(transport: int, states: State) -> Iterator[Connection]:
    for family in (socket.AF_INET, socket.AF_INET6):
        request = _REQUEST.pack(family, transport, 1 << (_INFO - 1), states.value)
        for body in plain.dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, request, "the machine's own connections"):
            yield decode(transport, family, body)


def decode(transport: int, family: int, body: bytes) -> Connection:
    """One message of the kernel's."""
    local_port, peer_port, _, far = _MESSAGE.unpack_from(body)
    peer = ip_address(far[:4] if family == socket.AF_INET else far)
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:  # a socket of both families
        peer = peer.ipv4_mapped
    info = parse(body[_MESSAGE_SIZE:]).get(_INFO, b"")
    acknowledged = _ACKNOWLEDGED.unpack_from(info)[0] if transport == socket.IPPROTO_TCP and len(info) >= 128 else 0
    return Connection(transport, local_port, peer, peer_port, acknowledged)
