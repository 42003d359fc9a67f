"""The work of one worker: the packets of its queue are read, inspected and accepted, in their order, some at a time."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from time import monotonic_ns
from types import TracebackType

from edged.inspect.sight import TrafficClass
from edged.inspectors import peers
from edged.inspectors.board import CLASSES, Board, Word
from edged.inspectors.inspector import Inspector
from edged.inspectors.queue import Queue
from edged.inspectors.verdicts import Verdicts
from edged.inspectors.wire import LARGEST, Reader
from edged.marks import FlowClass, MarkFields
from edged.packet.layers import Undecodable
from edged.packet.network import ip
from edged.packet.segment import plain, segment_of

_REST_MS = 250  # between two signs of life where nothing comes
_AT_ONCE = 16  # packets that are accepted by one system call
_HELD_NS = 1_000_000  # and for how long the first of them may be held, where one after it takes long
_BETWEEN = 16  # such calls between two looks at the control socket where packets never end
_ON_WIRE = 1 << 17  # what was copied may be less than the packet, which the kernel has found whole

# looking an enum's member up costs time
_BEAT, _BUSY, _LAST = int(Word.BEAT), int(Word.BUSY), int(Word.LAST)
_UNDECIDED, _DECIDED, _UNREADABLE, _FAILED = int(Word.UNDECIDED), int(Word.DECIDED), int(Word.UNREADABLE), int(Word.FAILED)
_FLOW_CLASSES = {None: FlowClass.NONE, TrafficClass.P2P: FlowClass.P2P, TrafficClass.STREAMING: FlowClass.STREAMING}
_COUNTS = {traffic_class: int(word) for traffic_class, word in CLASSES.items()}


class Service:
    """One queue's packets through one inspector, until the supervisor is gone.

    `control` is a datagram socket to it: what other workers learnt comes in, what this one learns goes out. Whatever the
    inspector raises, the packet passes; MemoryError alone ends the worker, since it would come again.
    """

    def __init__(self, queue: Queue, board: Board, control: socket.socket, inspector: Inspector, marks: MarkFields) -> None:
        self._queue = queue
        self._reader = Reader()
        self._verdicts = Verdicts(queue)
        self._words = board.words
        self._control = control
        self._inspector = inspector
        self._kept = ~(marks.inspected | marks.class_and_weight)
        self._answers = {traffic_class: marks.answered(0, each) for traffic_class, each in _FLOW_CLASSES.items()}
        self._waits = select.poll()
        for each in (queue.socket, control):
            self._waits.register(each, select.POLLIN)
        self._has_failed = False

    def run(self) -> None:
        """Serve; returns when the supervisor has closed its end, with every packet accepted. Raises MemoryError, OSError."""
        words = self._words
        while self._confer():
            if words[_BUSY] == 0:
                self._waits.poll(_REST_MS)
            words[_BEAT] = monotonic_ns()
            words[_BUSY] = 1
            for _ in range(_BETWEEN):
                if not self._serve():
                    words[_BUSY] = 0
                    break
        self._queue.release(words[_LAST])

    def _serve(self) -> bool:
        """Some of the packets that wait, up to their verdicts; False where no more do."""
        words, receive, take = self._words, self._queue.socket.recv, self.take
        until = monotonic_ns() + _HELD_NS
        try:
            for _ in range(_AT_ONCE):
                take(receive(LARGEST, socket.MSG_DONTWAIT))
                if words[_BEAT] > until:
                    break
        except BlockingIOError:
            return False
        finally:
            self._verdicts.tell()
        return True

    def take(self, message: bytes) -> None:
        """One message from the kernel; a packet in it is to be accepted, whatever is found in it. Raises MemoryError."""
        words = self._words
        words[_BEAT] = now = monotonic_ns()
        waiting = self._reader.waiting_in(message)
        if waiting is None:
            return
        number, mark, at, end = waiting
        words[_LAST] = number
        segment = plain(message, at, end)
        if segment is None:
            message = message[at:end]
            packet = ip(message, 0, _ON_WIRE)
            segment = None if isinstance(packet, Undecodable) else segment_of(packet)
            if segment is None:
                self._verdicts.accept(number)
                words[_UNREADABLE if isinstance(packet, Undecodable) else _UNDECIDED] += 1
                return
        decided = self._inspector.decided
        try:
            decision = self._inspector.take(now, segment, message)
        except Exception as failed:  # noqa: BLE001  no fault of an inspector may cost a packet
            self._failed(number, failed)
            return
        if decision is None or not decision.final:
            self._verdicts.accept(number)
            words[_UNDECIDED] += 1
            return
        self._verdicts.accept_marked(number, mark & self._kept | self._answers[decision.traffic_class])
        # packets that were on their way when the flow was decided come too, and are answered like the one that decided it
        words[_COUNTS[decision.traffic_class]] += self._inspector.decided - decided
        words[_DECIDED] += 1

    def _failed(self, number: int, failed: Exception) -> None:
        self._verdicts.accept(number)
        self._words[_FAILED] += 1
        if isinstance(failed, MemoryError):
            raise failed
        if not self._has_failed:
            self._has_failed = True
            complain(f"queue {self._queue.number}: packets pass uninspected, and are counted as failed: {fault(failed)}")

    def _confer(self) -> bool:
        """Exchange what was learnt; False where the supervisor is gone."""
        try:
            return self._hear() and self._tell()
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _hear(self) -> bool:
        try:
            while said := self._control.recv(peers.LARGEST, socket.MSG_DONTWAIT):
                self._inspector.learn(monotonic_ns(), peers.endpoints(said))
        except BlockingIOError:
            return True
        return False

    def _tell(self) -> bool:
        # what finds no room is lost: a worker never waits for its supervisor
        with contextlib.suppress(BlockingIOError):
            for each in peers.datagrams(self._inspector.learnt()):
                self._control.send(each, socket.MSG_DONTWAIT)
        return True


def complain(line: str) -> None:
    """Say it on stderr, which is the supervisor's; if nobody hears it, that is no reason to end."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode())


def fault(failed: BaseException) -> str:
    """What went wrong and where: not the exception's own text, which could hold what was in a packet."""
    return f"{type(failed).__name__} at {_place(failed.__traceback__)}; please report it"


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
