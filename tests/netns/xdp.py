"""The least XDP program there is, put on a link: it lets every packet pass."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from edged.kernel.attrs import attribute, nest
from edged.kernel.namespace import inside

_BPF = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _TYPE_XDP = 5, 6  # linux/bpf.h
_PASS = struct.pack("=BBhi", 0xB7, 0, 0, 2) + struct.pack("=BBhi", 0x95, 0, 0, 0)  # r0 = XDP_PASS; exit
_RTM_SETLINK, _REQUEST_ACK = 19, 0x5
_IFLA_XDP, _XDP_FD, _XDP_FLAGS, _GENERIC = 43, 1, 3, 1 << 1


class CannotLoad(Exception):
    """This machine loads no XDP program."""


@contextmanager
def xdp(netns: str, interface: str) -> Iterator[None]:
    """The program on that interface, generic mode. Raises CannotLoad."""
    program = _load()
    try:
        inside(netns, lambda: _attach(interface, program))
        try:
            yield
        finally:
            inside(netns, lambda: _attach(interface, -1))
    finally:
        os.close(program)


def _load() -> int:
    number = _BPF.get(platform.machine())
    if number is None:
        raise CannotLoad(f"no number of bpf(2) is known for {platform.machine()}")
    code, licence = ctypes.create_string_buffer(_PASS), ctypes.create_string_buffer(b"GPL")
    asked = struct.pack("=IIQQ", _TYPE_XDP, len(_PASS) // 8, ctypes.addressof(code), ctypes.addressof(licence)) + bytes(104)
    buffer = ctypes.create_string_buffer(asked)
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(number, _PROG_LOAD, buffer, len(asked))
    if descriptor < 0:
        raise CannotLoad(f"bpf(2): {os.strerror(ctypes.get_errno())}")
    return int(descriptor)


def _attach(interface: str, program: int) -> None:
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(interface), 0, 0)
    body += nest(_IFLA_XDP, attribute(_XDP_FD, struct.pack("=i", program)), attribute(_XDP_FLAGS, struct.pack("=I", _GENERIC)))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.send(struct.pack("=IHHII", 16 + len(body), _RTM_SETLINK, _REQUEST_ACK, 1, 0) + body)
        (error,) = struct.unpack_from("=i", route.recv(4096), 16)
    if error:
        raise CannotLoad(f"the kernel does not take it: {os.strerror(-error)}")
