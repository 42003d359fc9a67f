"""A worker process, from its order to its end.

The program that a supervisor starts calls `main` with what makes its inspector out of the supervisor's settings. All of it is
imported and made before privileges go: as nobody the process may be unable to read edged's own folder.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable

from edged.inspectors.board import Board
from edged.inspectors.confine import confine
from edged.inspectors.inspector import Inspector
from edged.inspectors.order import Order, order_of
from edged.inspectors.queue import Queue
from edged.inspectors.service import Service, complain, fault
from edged.privileges import NotGivenUp


def main(make: Callable[[bytes], Inspector]) -> int:
    """Serves the queue that the command line's last argument orders; the exit status, 0 where the supervisor went first."""
    # a service manager sends it to all of a service's processes at once; the supervisor ends its workers, or they see it go
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    order = order_of(sys.argv[-1])
    try:
        inspector = make(_settings(order))
        queue = Queue(order.queue, socket.socket(fileno=order.socket))
        control = socket.socket(fileno=order.control)
        service = Service(queue, Board(order.board), control, inspector, order.marks)
        confine(order.memory)
        gc.disable()  # nothing here makes cycles, and a collection over all flows would keep packets waiting for milliseconds
        service.run()
    except NotGivenUp as still:
        complain(f"queue {order.queue}: the worker did not begin: {still}")
        return 1
    except Exception as failed:  # noqa: BLE001  a traceback's last line could hold what was in a packet
        complain(f"queue {order.queue}: its worker ends: {fault(failed)}")
        return 1
    return 0


def _settings(order: Order) -> bytes:
    # every worker has the same open file: its offset is nobody's
    return os.pread(order.settings, os.fstat(order.settings).st_size, 0)
