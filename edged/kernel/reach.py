"""What the machine itself lives by: its own addresses and the next hops of its default routes, over rtnetlink."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from edged.addresses import Address
from edged.kernel import plain
from edged.kernel.attrs import attribute, parse

_NETLINK_ROUTE = 0  # linux/netlink.h
_RTM_GETADDR, _RTM_GETROUTE = 22, 26  # linux/rtnetlink.h
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_IFADDRMSG_SIZE = 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NEXT_HOP = struct.Struct("=HBBi")  # rtnexthop: length, flags, hops, interface
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_MULTIPATH = 1, 4, 5, 7, 9
_RTN_LOCAL = 2
_INDEX = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class Way:
    """How this machine's own packets go to an address: out by which interface, and from which of its addresses."""

    interface: str
    source: Address


def own_addresses() -> tuple[Address, ...]:
    """The addresses of every interface. Raises KernelError."""
    found = []
    for body in plain.dump(_NETLINK_ROUTE, _RTM_GETADDR, bytes(_RTMSG.size), "addresses"):
        fields = parse(body[_IFADDRMSG_SIZE:])
        # of a point-to-point link ADDRESS is the peer's
        found.append(_address(fields.get(_IFA_LOCAL, fields.get(_IFA_ADDRESS, b""))))
    return tuple(dict.fromkeys(address for address in found if address is not None))


def default_gateways() -> tuple[Address, ...]:
    """The next hops of the default routes of both families. Raises KernelError."""
    found = []
    for body in plain.dump(_NETLINK_ROUTE, _RTM_GETROUTE, bytes(_RTMSG.size), "routes"):
        length = _RTMSG.unpack_from(body)[1]
        if length:
            continue
        fields = parse(body[_RTMSG.size :])
        found.append(_address(fields.get(_RTA_GATEWAY, b"")))
        found += _next_hops(fields.get(_RTA_MULTIPATH, b""))
    return tuple(dict.fromkeys(address for address in found if address is not None))


def way_to(address: Address) -> Way | None:
    """The way to another machine; None where there is no route, or the address is this machine's own. Raises KernelError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    head = _RTMSG.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    body = plain.get(_NETLINK_ROUTE, _RTM_GETROUTE, head + attribute(_RTA_DST, address.packed), "the route")
    if body is None or _RTMSG.unpack_from(body)[7] == _RTN_LOCAL:
        return None
    fields = parse(body[_RTMSG.size :])
    source = _address(fields.get(_RTA_PREFSRC, b""))
    try:
        return None if source is None else Way(socket.if_indextoname(_INDEX.unpack(fields[_RTA_OIF])[0]), source)
    except (KeyError, OSError):  # no interface, or one that went meanwhile
        return None


def _next_hops(payload: bytes) -> Iterator[Address | None]:
    while len(payload) >= _NEXT_HOP.size:
        length = _NEXT_HOP.unpack_from(payload)[0]
        if length < _NEXT_HOP.size:
            return
        yield _address(parse(payload[_NEXT_HOP.size : length]).get(_RTA_GATEWAY, b""))
        payload = payload[(length + 3) & ~3 :]


def _address(packed: bytes) -> Address | None:
    return ip_address(packed) if len(packed) in (4, 16) else None
