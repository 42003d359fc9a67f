"""A policy that is changed while packets wait in a queue: none of them is dropped, as one would be with its base chain."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edged.inspectors.queue import Queue
from edged.inspectors.verdicts import Verdicts
from edged.inspectors.wire import LARGEST, waiting_in
from tests.netns.caps.gateway import Plan, Settings, unstarted
from tests.promises import Measured

PACKETS, APPLIES = 150, 5
SECONDS_A_PACKET = 0.02
PORT = 9000


class SlowConsumer:
    """Accepts packets of a queue one by one, in their order, each after a while."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._consume)
        self.accepted = 0
        queue.hold(2 * PACKETS)
        queue.socket.settimeout(0.1)
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread.join()

    def _consume(self) -> None:
        verdicts = Verdicts(self._queue)
        while not self._ending.is_set():
            try:
                waiting = waiting_in(self._queue.socket.recv(LARGEST))
            except TimeoutError:
                continue
            if waiting is not None:
                time.sleep(SECONDS_A_PACKET)
                verdicts.accept(waiting.number)
                verdicts.tell()
                self.accepted += 1


@contextmanager
def slow_consumer(netns: str) -> Iterator[SlowConsumer]:
    """At queue 0, which the daemon finds taken: its own workers leave it alone."""
    queue = Queue.bind(0, netns)
    consumer = SlowConsumer(queue)
    try:
        yield consumer
    finally:
        consumer.end()
        queue.close()


@pytest.mark.promise(6)
def test_no_apply_drops_a_packet_that_waits_in_a_queue(measured: Measured) -> None:
    with (
        unstarted(Settings([Plan("ten", 10_000, 10_000)], pool=0), ["ten"]) as gateway,
        slow_consumer(gateway.topology.gateway.netns) as consumer,
        gateway.topology.web.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox,
    ):
        there = (str(gateway.topology.web.ipv4), PORT)
        inbox.bind(there)
        gateway.start()
        before = consumer.accepted
        outboxes = [gateway.topology.dynamic.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PACKETS)]
        for number, outbox in enumerate(outboxes):
            outbox.sendto(number.to_bytes(2, "big"), there)
        waited = []
        for number in range(APPLIES):
            gateway.settings = Settings([Plan("ten", 9_000 - number, 9_000), Plan(f"p{number}", 0, 0)], pool=0)
            gateway.reload()
            waited.append(PACKETS - (consumer.accepted - before))
        assert min(waited) > 0, f"packets that waited at each apply: {waited}"
        inbox.settimeout(SECONDS_A_PACKET * PACKETS)
        arrived = {int.from_bytes(inbox.recv(9), "big") for _ in range(PACKETS)}
        for outbox in outboxes:
            outbox.close()
    assert arrived == set(range(PACKETS))
    measured(f"{len(arrived)} of {PACKETS} packets arrived through {APPLIES} applies, each with {min(waited)} or more waiting")
