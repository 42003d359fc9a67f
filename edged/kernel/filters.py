"""Classic BPF on sockets (linux/filter.h): what nobody asks for never reaches the program."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence

_SO_ATTACH_FILTER = 26
_LD, _LDH, _LD_INDEXED, _TAX, _LD_IMMEDIATE, _LDX_IMMEDIATE, _JEQ, _RET = 0x20, 0x28, 0x40, 0x07, 0x00, 0x01, 0x15, 0x06
_PROTOCOL, _PACKET_TYPE, _NETLINK_ATTRIBUTE = 0xFFFFF000, 0xFFFFF004, 0xFFFFF00C  # SKF_AD_OFF + SKF_AD_*
_OUTGOING = 4  # PACKET_OUTGOING

Instruction = tuple[int, int, int, int]


def outgoing_or(ethertype: int, most: int) -> tuple[Instruction, ...]:
    """Of a packet socket: the first `most` bytes of what goes out, and of what has that ethertype."""
    return (
        (_LDH, 0, 0, _PROTOCOL),
        (_JEQ, 2, 0, ethertype),
        (_LD, 0, 0, _PACKET_TYPE),
        (_JEQ, 0, 1, _OUTGOING),
        (_RET, 0, 0, most),
        (_RET, 0, 0, 0),
    )


def with_attribute(kind: int, value: int) -> tuple[Instruction, ...]:
    """Of a netlink socket to netfilter: messages with an attribute of that kind and that value of 32 bits."""
    return (
        (_LD_IMMEDIATE, 0, 0, 20),  # behind the headers of netlink and nfnetlink
        (_LDX_IMMEDIATE, 0, 0, kind),
        (_LD, 0, 0, _NETLINK_ATTRIBUTE),
        (_JEQ, 3, 0, 0),
        (_TAX, 0, 0, 0),
        (_LD_INDEXED, 0, 0, 4),
        (_JEQ, 1, 0, value),
        (_RET, 0, 0, 0),
        (_RET, 0, 0, 0xFFFFFFFF),
    )


def of_others(kinds: Iterable[int], own: int) -> tuple[Instruction, ...]:
    """Of a netlink socket: messages of these types that tell of what another port than `own` asked for.

    Netlink's header is in the machine's byte order, and classic BPF loads in the network's.
    """
    wanted = [socket.htons(kind) for kind in kinds]
    return (
        (_LD, 0, 0, 12),  # nlmsg_pid
        (_JEQ, len(wanted) + 1, 0, socket.htonl(own)),
        (_LDH, 0, 0, 4),  # nlmsg_type
        *((_JEQ, len(wanted) - place, 0, kind) for place, kind in enumerate(wanted)),
        (_RET, 0, 0, 0),
        (_RET, 0, 0, 0xFFFFFFFF),
    )


def attach(to: socket.socket, program: Sequence[Instruction]) -> None:
    """Have the kernel ask the program about whatever comes to the socket from now on."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))
