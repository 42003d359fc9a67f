"""A worker that reads packets and accepts them, with no look at them: what the inspecting one is compared with."""

from __future__ import annotations

import select
import socket
import sys
from pathlib import Path
from time import monotonic_ns

sys.path.insert(0, str(Path(__file__).parents[1]))

from edged.inspectors.board import Board, Word
from edged.inspectors.order import order_of
from edged.inspectors.queue import Queue
from edged.inspectors.verdicts import Verdicts
from edged.inspectors.wire import LARGEST, waiting_in

AT_ONCE = 16  # packets that are accepted by one system call, as the inspecting one does


def main() -> None:
    """Serve until the supervisor ends it."""
    order = order_of(sys.argv[-1])
    queue = Queue(order.queue, socket.socket(fileno=order.socket))
    words = Board(order.board).words
    waits = select.poll()
    waits.register(queue.socket, select.POLLIN)
    verdicts = Verdicts(queue)
    while True:
        words[Word.BEAT] = monotonic_ns()
        try:
            for _ in range(AT_ONCE):
                waiting = waiting_in(queue.socket.recv(LARGEST, socket.MSG_DONTWAIT))
                if waiting:
                    verdicts.accept(waiting.number)
                    words[Word.LAST] = waiting.number
                    words[Word.UNDECIDED] += 1
            verdicts.tell()
        except BlockingIOError:
            verdicts.tell()
            waits.poll(250)


if __name__ == "__main__":
    main()
