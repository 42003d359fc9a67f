"""What the machine itself lives by: its own addresses and the next hops of its default routes, over rtnetlink."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

from edged.addresses import Address
from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.attrs import parse
from edged.kernel.messages import unpack

_NETLINK_ROUTE = 0  # linux/netlink.h
_RTM_GETADDR, _RTM_GETROUTE = 22, 26  # linux/rtnetlink.h
_HEADER = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_IFADDRMSG_SIZE = 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_GATEWAY, _RTA_MULTIPATH = 5, 9
_NEXT_HOP = struct.Struct("=HBBi")  # rtnexthop: length, flags, hops, interface
_BUFFER_SIZE = 256 * 1024


def own_addresses() -> tuple[Address, ...]:
    """The addresses of every interface. Raises KernelError."""
    found = []
    for body in _dump(_RTM_GETADDR):
        fields = parse(body[_IFADDRMSG_SIZE:])
        # of a point-to-point link ADDRESS is the peer's
        found.append(_address(fields.get(_IFA_LOCAL, fields.get(_IFA_ADDRESS, b""))))
    return tuple(dict.fromkeys(address for address in found if address is not None))


def default_gateways() -> tuple[Address, ...]:
    """The next hops of the default routes of both families. Raises KernelError."""
    found = []
    for body in _dump(_RTM_GETROUTE):
        length = _RTMSG.unpack_from(body)[1]
        if length:
            continue
        fields = parse(body[_RTMSG.size :])
        found.append(_address(fields.get(_RTA_GATEWAY, b"")))
        found += _next_hops(fields.get(_RTA_MULTIPATH, b""))
    return tuple(dict.fromkeys(address for address in found if address is not None))


def _next_hops(payload: bytes) -> Iterator[Address | None]:
    while len(payload) >= _NEXT_HOP.size:
        length = _NEXT_HOP.unpack_from(payload)[0]
        if length < _NEXT_HOP.size:
            return
        yield _address(parse(payload[_NEXT_HOP.size : length]).get(_RTA_GATEWAY, b""))
        payload = payload[(length + 3) & ~3 :]


def _address(packed: bytes) -> Address | None:
    return ip_address(packed) if len(packed) in (4, 16) else None


def _dump(kind: int) -> Iterator[bytes]:
    body = bytes(_RTMSG.size)
    # a plain socket: `edged check` looks here too, and has no 200 ms for pyroute2
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 10, 0))
        buffer = memoryview(bytearray(_BUFFER_SIZE))
        try:
            opened.send(_HEADER.pack(_HEADER.size + len(body), kind, uapi.NLM_F_REQUEST | uapi.NLM_F_DUMP, 1, 0) + body)
            while True:
                for reply in unpack(buffer[: opened.recv_into(buffer)]):
                    if reply.kind in (uapi.NLMSG_DONE, uapi.NLMSG_ERROR):
                        return
                    yield reply.body
        except OSError as failed:
            raise KernelError(f"cannot read addresses and routes: {failed}", errno=failed.errno or 0) from failed
