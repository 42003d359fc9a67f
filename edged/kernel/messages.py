"""Netlink messages: packed to be sent, taken apart as received, and the kernel's refusals in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edged.kernel import uapi
from edged.kernel.attrs import parse, string

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_FAMILY = struct.Struct("!BBH")  # address family, version 0, resource id
_ERRNO = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class Reply:
    """One message as received; the body starts after netlink's header.

    Of a notification, `port` is the netlink port that asked for what it tells of; 0: nobody did, or the kernel does not tell.
    """

    kind: int
    flags: int
    sequence: int
    body: bytes
    port: int = 0

    @property
    def family(self) -> int:
        """The address family in nfnetlink's header."""
        return self.body[0] if self.body else uapi.NFPROTO_UNSPEC

    @property
    def attributes(self) -> dict[int, bytes]:
        """What follows nfnetlink's header."""
        return parse(memoryview(self.body)[_FAMILY.size :])


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the kernel: its errno, the sequence number it answers, and its explanation where it gives one."""

    errno: int
    sequence: int
    explanation: str


def pack(kind: int, flags: int, sequence: int, body: bytes, *, family: int = uapi.NFPROTO_INET, resource: int = 0) -> bytes:
    """A whole message: netlink's header, nfnetlink's header, attributes."""
    length = _HEADER.size + _FAMILY.size + len(body)
    return _HEADER.pack(length, kind, flags, sequence, 0) + _FAMILY.pack(family, 0, resource) + body


def nft(kind: int) -> int:
    """The netlink type of an NFT_MSG_*."""
    return uapi.NFNL_SUBSYS_NFTABLES << 8 | kind


def unpack(datagram: memoryview) -> Iterator[Reply]:
    """The messages of one datagram; a torn one ends the walk."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, flags, sequence, port = _HEADER.unpack_from(datagram, offset)
        if length < _HEADER.size or offset + length > len(datagram):
            return
        yield Reply(kind, flags, sequence, bytes(datagram[offset + _HEADER.size : offset + length]), port)
        offset += (length + 3) & ~3


def refusal(reply: Reply) -> Refusal | None:
    """The error in an NLMSG_ERROR; None where it is an acknowledgement."""
    (code,) = _ERRNO.unpack_from(reply.body)
    if code == 0:
        return None
    _, _, _, sequence, _ = _HEADER.unpack_from(reply.body, _ERRNO.size)
    explanation = ""
    # The explanation follows the header it answers; with NETLINK_CAP_ACK nothing more of the request is between (CAPPED).
    if reply.flags & uapi.NLM_F_ACK_TLVS and reply.flags & uapi.NLM_F_CAPPED:
        explanation = string(parse(reply.body[_ERRNO.size + _HEADER.size :]).get(uapi.NLMSGERR_ATTR_MSG))
    return Refusal(-code, sequence, explanation)
