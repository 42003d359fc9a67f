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
from edged.inspectors.queue import LARGEST, Queue, waiting_in


def main() -> None:
    """Serve until the supervisor ends it."""
    order = order_of(sys.argv[-1])
    queue = Queue(order.queue, socket.socket(fileno=order.socket))
    words = Board(order.board).words
    waits = select.poll()
    waits.register(queue.socket, select.POLLIN)
    while True:
        words[Word.BEAT] = monotonic_ns()
        try:
            waiting = waiting_in(queue.socket.recv(LARGEST, socket.MSG_DONTWAIT))
        except BlockingIOError:
            waits.poll(250)
            continue
        if waiting:
            words[Word.LAST] = waiting.number
            queue.accept(waiting.number)
            words[Word.UNDECIDED] += 1


if __name__ == "__main__":
    main()
