"""What the kernel is told of packets: several verdicts in one system call, in the packets' order."""

from __future__ import annotations

import struct

from edged.inspectors import wire
from edged.inspectors.queue import Queue

_WORD = struct.Struct("!I")


class Verdicts:
    """The verdicts on one queue's packets. What was accepted goes on when `tell` is called: do so before waiting for more.

    A call costs the kernel more than a verdict, and one message accepts all packets up to a number, so only those that get a mark
    have a message of their own.
    """

    __slots__ = ("_accepting", "_last", "_marked_head", "_marking", "_messages", "_send")

    def __init__(self, queue: Queue) -> None:
        self._send = queue.socket.send
        self._accepting = wire.accepted(queue.number, 0)[: -_WORD.size]
        marked = wire.accepted_with_mark(queue.number, 0, 0)
        self._marking = marked[: -3 * _WORD.size]  # what stands before the number, between it and the mark: an attribute's head
        self._marked_head = marked[-2 * _WORD.size : -_WORD.size]
        self._last: int | None = None
        self._messages: list[bytes] = []

    def accept(self, number: int) -> None:
        """The packet goes on as it is, and so do all before it of which nothing was said."""
        self._last = number

    def accept_marked(self, number: int, mark: int) -> None:
        """The packet goes on with that mark."""
        self._accept_before()
        self._messages.append(self._marking + _WORD.pack(number) + self._marked_head + _WORD.pack(mark))

    def tell(self) -> None:
        """Let them go on. Raises OSError."""
        self._accept_before()
        if self._messages:
            self._send(b"".join(self._messages))
            self._messages.clear()

    def _accept_before(self) -> None:
        if self._last is not None:
            self._messages.append(self._accepting + _WORD.pack(self._last))
            self._last = None
