"""Faults between edged and the kernel: netlink sockets that fail at one kind of message, as a kernel short of something would.

`Faults` is what all sockets of a test share; it arms one fault at a time, and counts how often it struck. A fault stays until it
is lifted: a machine that is out of memory is so for a while.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from edged.kernel import conntrack, namespace, nftsocket, routesocket, uapi
from edged.kernel.fake import FakeKernel
from edged.kernel.refusals import commit_refused
from edged.ruleset.plan import Plan, Step, describe

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port


class At(Enum):
    """Where a message meets its fault."""

    SEND = "sending"  # sendmsg fails; the kernel never sees the message
    ANSWER = "answered"  # the kernel refuses this message of a datagram, and does nothing of the datagram
    RECEIVE = "receiving"  # the kernel did as asked, and recvmsg fails once before its answer


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to fail: messages with this netlink type, once so many datagrams with one have gone `before`."""

    kind: int
    at: At
    errno: int
    before: int = 0

    def __str__(self) -> str:
        return f"{self.kind:#x}-{self.at.value}-{errno.errorcode[self.errno]}-{self.before}"


@dataclass
class Faults:
    """The fault that all sockets of a test meet, if one is armed."""

    armed: Fault | None = None
    struck: int = 0
    passed: int = 0
    opened: list[FaultySocket] = field(default_factory=list)

    def arm(self, fault: Fault | None) -> None:
        self.armed, self.struck, self.passed = fault, 0, 0

    def close(self) -> None:
        for each in self.opened:
            each.close()

    def wrap(self, made: socket.socket) -> FaultySocket:
        self.opened.append(FaultySocket(made, self))
        return self.opened[-1]


class FaultySocket:
    """A netlink socket with all that edged asks of one."""

    def __init__(self, made: socket.socket, faults: Faults) -> None:
        self._socket = made
        self._faults = faults
        self._answers: deque[bytes] = deque()
        self._fails_with = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send(self, datagram: bytes) -> int:
        fault = self._faults.armed
        place = None if fault is None else _place(datagram, fault.kind)
        if fault is None or place is None:
            return self._socket.send(datagram)
        if self._faults.passed < fault.before:
            self._faults.passed += 1
            return self._socket.send(datagram)
        self._faults.struck += 1
        match fault.at:
            case At.SEND:
                raise OSError(fault.errno, os.strerror(fault.errno))
            case At.ANSWER:
                header = datagram[place : place + _HEADER.size]
                sequence = _HEADER.unpack(header)[3]
                body = struct.pack("=i", -fault.errno) + header
                self._answers.append(_HEADER.pack(_HEADER.size + len(body), uapi.NLMSG_ERROR, 0, sequence, 0) + body)
                return len(datagram)
            case At.RECEIVE:
                self._fails_with = fault.errno
                return self._socket.send(datagram)

    def recv_into(self, buffer: memoryview, size: int = 0, flags: int = 0) -> int:
        if self._answers:
            answer = self._answers.popleft()
            buffer[: len(answer)] = answer
            return len(answer)
        if self._fails_with:
            failed, self._fails_with = self._fails_with, 0
            raise OSError(failed, os.strerror(failed))
        return self._socket.recv_into(buffer, size, flags)


class FaultyKernel(FakeKernel):
    """A kernel in memory that refuses the steps of one kind."""

    refuses: type[Step] | None = None
    errno = 0
    struck = 0

    def check(self, plan: Plan, *, now: float) -> None:
        self._refuse(plan)
        super().check(plan, now=now)

    def apply(self, plan: Plan, *, now: float) -> int:
        self._refuse(plan)
        return super().apply(plan, now=now)

    def _refuse(self, plan: Plan) -> None:
        for step in plan.steps:
            if self.refuses is not None and isinstance(step, self.refuses):
                self.struck += 1
                raise commit_refused(self.errno, describe(step))


def _place(datagram: bytes, kind: int) -> int | None:
    """The offset of the first message with that type."""
    return next((place for place, found in _messages(datagram) if found == kind), None)


def _messages(datagram: bytes) -> Iterator[tuple[int, int]]:
    """Offset and type of each message."""
    place = 0
    while place + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, place)
        yield place, kind
        place += (length + 3) & ~3


def inject(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Have every netlink socket that is opened from now on meet the faults of what this gives."""
    faults = Faults()
    nftables, route = namespace.open_nftables, namespace.open_route
    for module, name, opens in (
        (nftsocket, "open_nftables", nftables),
        (conntrack, "open_nftables", nftables),
        (routesocket, "open_route", route),
    ):
        monkeypatch.setattr(module, name, lambda netns, opens=opens: faults.wrap(opens(netns)))
    return faults
