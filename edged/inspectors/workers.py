"""The supervisor of all workers: a thread that looks after each queue a hundred times a second, and hears of each end at once."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Sequence
from socket import MSG_DONTWAIT
from time import monotonic_ns
from typing import Self

from edged.inspectors import peers
from edged.inspectors.child import Duty, Worker
from edged.inspectors.order import MEBIBYTE
from edged.inspectors.post import Post, QueueFigures
from edged.inspectors.queue import Queue
from edged.marks import MarkFields

_log = logging.getLogger(__name__)

LENGTH = 128  # packets that wait in a queue: 2 ms at the least pace that is promised of a worker
MEMORY = 512 * MEBIBYTE
_LOOK_MS = 10
_AT_A_LOOK = 16  # datagrams of one worker


class Workers:
    """A worker process at each of the queues, from `start` to `stop`.

    No packet is dropped, whatever becomes of a worker. One waits for `pace.LAG_NS` and two looks at most, 60 ms, and no more
    than `LENGTH` do so at a time in one queue; then all pass uninspected, until the worker has caught up or the next one is
    there. Where this process is killed, its workers accept what waits, and end; what comes then is for the rules' `bypass`.
    """

    def __init__(self, queues: Sequence[Queue], duty: Duty) -> None:
        self._duty = duty
        self._posts = tuple(Post(queue, duty) for queue in queues)
        self._stop = os.eventfd(0)
        self._thread = threading.Thread(target=self._watch, name="inspectors", daemon=True)

    @classmethod
    def start(
        cls, program: Sequence[str], queues: Sequence[int], marks: MarkFields, settings: bytes = b"", netns: str | None = None
    ) -> Self:
        """Bind the queues, which is best done before any rule sends to them, and start a worker at each.

        `program` is a worker's command line, of what calls `worker.main`; of `settings` that makes its inspector.
        Raises KernelError, and binds none then.
        """
        with contextlib.ExitStack() as undo:
            bound = []
            for number in queues:
                bound.append(Queue.bind(number, netns))
                undo.callback(bound[-1].close)
            kept = os.memfd_create("edged-inspector")
            with os.fdopen(os.dup(kept), "wb") as written:
                written.write(settings)
            workers = cls(bound, Duty(tuple(program), kept, marks, LENGTH, MEMORY))
            undo.pop_all()
        workers._thread.start()
        return workers

    def stop(self) -> None:
        """End the workers and give the queues up; every packet has gone on when this returns."""
        if self._thread.is_alive():
            os.eventfd_write(self._stop, 1)
        self._thread.join()

    def figures(self) -> tuple[QueueFigures, ...]:
        """A queue each, as of now; any thread may ask, also after the end."""
        return tuple(post.figures() for post in self._posts)

    def pids(self) -> tuple[int, ...]:
        """The processes that are at work now."""
        return tuple(worker.pid for post in self._posts if (worker := post.worker))

    def _watch(self) -> None:
        try:
            while not self._wait():
                now = monotonic_ns()
                for post in self._posts:
                    post.look(now)
        except OSError as failed:
            _log.critical("no flow is inspected from now on, and all pass: %s; start edged anew, and please report it", failed)
        finally:
            with contextlib.ExitStack() as closing:
                for descriptor in (self._stop, self._duty.settings):
                    closing.callback(os.close, descriptor)
                for post in self._posts:
                    closing.callback(post.close)

    def _wait(self) -> bool:
        """Until it is time to look, or something was heard, which is dealt with; True where that is to stop."""
        waits = select.poll()
        waits.register(self._stop, select.POLLIN)
        heard, ended = {}, {}
        for post in self._posts:
            if worker := post.worker:
                heard[worker.control.fileno()] = worker
                ended[worker.exited] = post
        for descriptor in (*heard, *ended):
            waits.register(descriptor, select.POLLIN)
        for descriptor, _ in waits.poll(_LOOK_MS):
            if descriptor == self._stop:
                return True
            if descriptor in ended:
                ended[descriptor].gone(monotonic_ns())
            else:
                self._relay(heard[descriptor])
        return False

    def _relay(self, worker: Worker) -> None:
        """What one worker learnt goes to the others; who has no room for it does without."""
        others = [post.worker for post in self._posts if post.worker not in {None, worker}]
        with contextlib.suppress(OSError):  # it has ended, or has no more to say
            for _ in range(_AT_A_LOOK):
                said = worker.control.recv(peers.LARGEST, MSG_DONTWAIT)
                for other in others if said else ():
                    with contextlib.suppress(OSError):
                        other.control.send(said, MSG_DONTWAIT)
