"""Asking the kernel over a plain netlink socket: for who reads once, in the present namespace, and has no 200 ms for pyroute2."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.messages import unpack

_HEADER = struct.Struct("=IHHII")
_ERRNO = struct.Struct("=i")
_BUFFER_SIZE = 256 * 1024
_ANSWER_SECONDS = 10  # the kernel answers before send returns; only a broken one lets this pass


def dump(protocol: int, kind: int, body: bytes, what: str) -> Iterator[bytes]:
    """The bodies of all objects of a kind; `what` names them to people. Raises KernelError."""
    return _answers(protocol, kind, uapi.NLM_F_DUMP, body, what)


def get(protocol: int, kind: int, body: bytes, what: str) -> bytes | None:
    """The body of the one object that was asked for; None where the kernel has none. Raises KernelError."""
    try:
        return next(_answers(protocol, kind, 0, body, what), None)
    except KernelError as refused:
        if refused.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENODEV, errno.ENOENT, errno.EACCES, errno.EINVAL):
            return None
        raise


def _answers(protocol: int, kind: int, flags: int, body: bytes, what: str) -> Iterator[bytes]:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_SECONDS, 0))
            buffer = memoryview(bytearray(_BUFFER_SIZE))
            opened.send(_HEADER.pack(_HEADER.size + len(body), kind, uapi.NLM_F_REQUEST | flags, 1, 0) + body)
            while True:
                for reply in unpack(buffer[: opened.recv_into(buffer)]):
                    if reply.kind == uapi.NLMSG_DONE:
                        return
                    if reply.kind == uapi.NLMSG_ERROR:
                        _raise(reply.body)
                    yield reply.body
                    if not flags:
                        return
    except OSError as failed:
        raise KernelError(f"cannot read {what}: {failed}", errno=failed.errno or 0) from failed


def _raise(error: bytes) -> None:
    (code,) = _ERRNO.unpack_from(error)
    raise OSError(-code, os.strerror(-code))
