"""A worker process from the supervisor's side: started, heard, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from time import monotonic_ns
from typing import Self

from edged.inspectors.order import Order
from edged.inspectors.queue import Queue
from edged.marks import MarkFields


@dataclass(frozen=True, slots=True)
class Duty:
    """What all workers have in common.

    `program` is the command line before the order, `settings` the descriptor of what its inspector is made of, `length` the most
    packets that wait in a queue, `memory` the most bytes that a worker may take.
    """

    program: tuple[str, ...]
    settings: int
    marks: MarkFields
    length: int
    memory: int


class Worker:
    """A process that runs; it has ended when the descriptor `exited` is readable. `control` is the datagram socket to it."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.began = monotonic_ns()
        self.control = control
        self._process = process
        self.exited = os.pidfd_open(process.pid)

    @classmethod
    def start(cls, duty: Duty, queue: Queue, board: int) -> Self:
        """A new one at the queue; `board` is a descriptor. Raises OSError."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = Order(queue.number, queue.socket.fileno(), board, its.fileno(), duty.settings, duty.marks, duty.memory)
        try:
            process = subprocess.Popen(  # noqa: S603  our own program
                [*duty.program, order.argument()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(order.socket, order.board, order.control, order.settings),
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """The process's number, as long as it was not ended here."""
        return self._process.pid

    def ending(self) -> str:
        """How it ended by itself, for people."""
        status = self._process.wait()
        return f"ended with exit status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"

    def end(self) -> None:
        """Kill it, if it lives, also where it is stopped, and reap it."""
        self._process.kill()
        self._process.wait()
        self.control.close()
        os.close(self.exited)
