"""A netlink socket to links and qdiscs: requests in batches whose errors name the step, and dumps read in place.

Unlike nftables, rtnetlink knows no transactions: each message of a batch stands for itself.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from edged.errors import KernelError
from edged.kernel import uapi
from edged.kernel.messages import Refusal, refusal, unpack
from edged.kernel.namespace import open_route
from edged.kernel.receiving import drain
from edged.kernel.refusals import advice, reason, unanswered, unsent

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_AT_ONCE = 256  # messages a system call; so many errors, cut short, fit into the receive buffer
_RECEIVE_SIZE = 256 * 1024
_ANSWER_SECONDS = 10  # the kernel answers before send returns; only a broken one lets this pass


class Request(NamedTuple):
    """A message that changes something: type, flags beside NLM_F_REQUEST, body."""

    kind: int
    flags: int
    body: bytes


class RouteSocket:
    """A netlink socket to rtnetlink, for one thread at a time."""

    def __init__(self, netns: str | None = None) -> None:
        """Open one in the present or the named network namespace. Raises KernelError."""
        self._socket = open_route(netns)
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(uapi.SOL_NETLINK, uapi.NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_SECONDS, 0))
        # one buffer for all: a fresh one costs more than the change that it is for
        self._buffer = memoryview(bytearray(_RECEIVE_SIZE))
        self._sequence = 0

    @property
    def port(self) -> int:
        """The netlink port that notifications of what was asked for here come with."""
        port, _ = self._socket.getsockname()
        return int(port)

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()

    def send(self, requests: Sequence[Request], label: Callable[[int], str]) -> None:
        """Have the requests carried out in order, the first refusal ending it; `label` is what people call the one at a position.

        Raises KernelError with the label of what was refused; what came before is done, and up to 255 after it may be.
        """
        for start in range(0, len(requests), _AT_ONCE):
            some = requests[start : start + _AT_ONCE]
            first = self._sequence + 1
            self._sequence += len(some)
            self._transmit(b"".join(_pack(each.kind, each.flags, first + place, each.body) for place, each in enumerate(some)))
            if refusals := self._refusals_waiting(first):
                raise _refused(refusals[0], label(start + refusals[0].sequence - first))

    def verdict(self, request: Request) -> int:
        """The errno that the kernel answers one request with; 0 where it carried it out. Raises KernelError."""
        self._sequence += 1
        self._transmit(_pack(request.kind, request.flags, self._sequence, request.body))
        refusals = self._refusals_waiting(self._sequence)
        return refusals[0].errno if refusals else 0

    def ask(self, kind: int, body: bytes) -> bytes | None:
        """The answer to a request for one object; None where there is none. Raises KernelError."""
        self._sequence += 1
        self._transmit(_pack(kind, 0, self._sequence, body))
        while True:
            for reply in unpack(self._buffer[: self._receive(0)]):
                if reply.sequence != self._sequence:
                    continue
                if reply.kind != uapi.NLMSG_ERROR:
                    return reply.body
                if (refused := refusal(reply)) is not None and refused.errno == errno.ENODEV:
                    return None
                raise _refused(refused or Refusal(errno.EPROTO, 0, ""), "reading")

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """All objects of a kind, each valid until the next is asked for. Raises KernelError."""
        self._sequence += 1
        self._transmit(_pack(kind, uapi.NLM_F_DUMP, self._sequence, body))
        while True:
            size = self._receive(0)
            for found, sequence, start, end in _messages(self._buffer, size):
                if sequence != self._sequence:
                    continue
                if found == uapi.NLMSG_DONE:
                    return
                if found == uapi.NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", self._buffer, start)
                    raise _refused(Refusal(-code, sequence, ""), "reading")
                yield self._buffer[start:end]

    def _transmit(self, encoded: bytes) -> None:
        try:
            self._socket.send(encoded)
        except OSError as failed:
            raise unsent("rtnetlink", failed) from failed

    def _receive(self, flags: int) -> int:
        try:
            return self._socket.recv_into(self._buffer, 0, flags)
        except BlockingIOError:
            if flags:
                return 0
            raise KernelError("rtnetlink did not answer", errno=errno.EAGAIN) from None
        except OSError as failed:
            drain(self._socket, self._buffer)
            raise unanswered("rtnetlink", failed) from failed

    def _refusals_waiting(self, first: int) -> list[Refusal]:
        """The errors to what was sent from that sequence number on: rtnetlink answers a batch before send returns."""
        found = []
        while size := self._receive(socket.MSG_DONTWAIT):
            replies = (reply for reply in unpack(self._buffer[:size]) if reply.kind == uapi.NLMSG_ERROR)
            found += [refused for reply in replies if (refused := refusal(reply)) is not None and refused.sequence >= first]
        return found


def _pack(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, kind, uapi.NLM_F_REQUEST | flags, sequence, 0) + body + bytes(-length % 4)


def _messages(buffer: memoryview, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Type, sequence number, start and end of each body; read in place, for dumps of thousands."""
    offset = 0
    while offset + _HEADER.size <= size:
        length, kind, _, sequence, _ = _HEADER.unpack_from(buffer, offset)
        if length < _HEADER.size or offset + length > size:
            return
        yield kind, sequence, offset + _HEADER.size, offset + length
        offset += (length + 3) & ~3


def _refused(refused: Refusal, label: str) -> KernelError:
    why = f"{reason(refused.errno, refused.explanation)}{advice(refused.errno)}"
    if refused.errno == errno.EPERM:
        why += ". It lacks the capability CAP_NET_ADMIN in its network namespace: run as root, or grant the capability"
    return KernelError(f"the kernel refused: {label}: {why}", errno=refused.errno, label=label)
