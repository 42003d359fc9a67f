"""A gateway whose first packets go through queues to workers, and traffic whose every datagram is accounted for.

The rules are those of iptables, whose NFQUEUE target is in kernels that lack nft's `queue`, in both families alike.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.addresses import Family
from edged.inspectors.workers import Workers
from edged.lab.topology import Topology
from edged.marks import MarkFields
from tests.netns.daemon_process import eventually
from tests.netns.topology import INET

PROGRAM = (sys.executable, "-B", str(Path(__file__).parent / "inspector_program.py"))
MARKS = MarkFields()
PORT = 9000
FOREIGN = 0x81F0_0005  # bits of the packet mark that are somebody else's
_TABLES = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}
_FLOWS = 64
_MOMENT = struct.Struct("=IQ")


def queue_through(topology: Topology, queues: int) -> None:
    """All of UDP and TCP that the gateway forwards comes with a foreign mark and goes through queues 0 to `queues` - 1."""
    target = ["--queue-balance", f"0:{queues - 1}"] if queues > 1 else ["--queue-num", "0"]
    for tool in _TABLES.values():
        for protocol in ("udp", "tcp"):
            topology.gateway.run(
                [tool, "-t", "mangle", "-A", "PREROUTING", "-p", protocol, "-j", "MARK", "--set-mark", FOREIGN], check=True
            )
            rule = [tool, "-t", "mangle", "-A", "FORWARD", "-p", protocol, "-j", "NFQUEUE", *target, "--queue-bypass"]
            topology.gateway.run(rule, check=True)


@contextmanager
def inspected(topology: Topology, queues: int = 1, **settings: float) -> Iterator[Workers]:
    """Workers at the queues, with rules that send to them, from when all of them inspect."""
    workers = Workers.start(PROGRAM, range(queues), MARKS, json.dumps(settings).encode(), topology.gateway.netns)
    try:
        queue_through(topology, queues)
        await_inspection(workers)
        yield workers
    finally:
        workers.stop()


def await_inspection(workers: Workers, seconds: float = 20.0) -> float:
    """Wait until every queue is inspected; how long that took, in seconds."""
    return eventually(lambda: all(each.state.name == "INSPECTING" for each in workers.figures()), seconds)


def packets(workers: Workers, result: str) -> int:
    """How many packets of all queues had that result."""
    return sum(each.packets[result] for each in workers.figures())


def ask(topology: Topology, family: Family, payload: bytes, port: int = PORT, source: int = 0) -> bool:
    """One datagram of a flow of its own, unless `source` says from which port; whether it came."""
    sender, receiver = topology.dynamic, topology.web
    with receiver.socket(INET[family], socket.SOCK_DGRAM) as inbox, sender.socket(INET[family], socket.SOCK_DGRAM) as outbox:
        inbox.bind((str(receiver.address(family)), port))
        outbox.bind((str(sender.address(family)), source))
        outbox.sendto(payload, (str(receiver.address(family)), port))
        inbox.settimeout(3)
        try:
            return inbox.recv(2048) == payload
        except TimeoutError:
            return False


class Traffic:
    """Numbered datagrams, of many flows, one every `gap` seconds while the context lasts, but `most` of them."""

    def __init__(self, topology: Topology, gap: float, most: int = 1 << 30) -> None:
        self.sent = 0
        self.delays: dict[int, float] = {}  # seconds from a datagram's sending to its arrival, by its number
        self._gap, self._most = gap, most
        self._topology = topology
        self._inbox = topology.web.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._inbox.bind((str(topology.web.ipv4), PORT))
        self._inbox.settimeout(2.0)
        self._outboxes = [topology.dynamic.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_FLOWS)]
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._receive)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        for each in (self._inbox, *self._outboxes):
            each.close()

    def percentile(self, share: float) -> float:
        """Seconds that this share of the datagrams took at most."""
        ordered = sorted(self.delays.values())
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def lost(self) -> list[int]:
        return [number for number in range(self.sent) if number not in self.delays]

    def _send(self) -> None:
        target = (str(self._topology.web.ipv4), PORT)
        due = time.monotonic()
        while not self._ending.is_set() and self.sent < self._most:
            self._outboxes[self.sent % _FLOWS].sendto(_MOMENT.pack(self.sent, time.monotonic_ns()), target)
            self.sent += 1
            due += self._gap
            time.sleep(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        while True:
            try:
                number, moment = _MOMENT.unpack(self._inbox.recv(64))
            except TimeoutError:
                if self._ending.is_set():
                    return
            else:
                self.delays[number] = (time.monotonic_ns() - moment) / 1e9
