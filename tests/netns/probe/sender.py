"""The sender, a process of its own in the subscriber's namespace: one SYN a millisecond to each port, in both families.

    python -m tests.netns.probe.sender LEAST SOURCE,DESTINATION[;...] PORT[,...]

It sends by an absolute schedule, in which a late packet does not move the later ones, until it has sent the least number and
its standard input has something to say. It asks for a real-time priority, so that a busy machine does not move it. The
sequence number of a SYN is its place in the schedule, from 0. At the end it prints how many it sent to a port and family, and
how late the latest one was, in milliseconds.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import sys
import time
from contextlib import suppress
from ipaddress import ip_address

from tests.netns.differential.shots import Tcp, transport

INTERVAL = 0.001


def source_port(number: int) -> int:
    """The source port of a SYN: it names its moment too, and no two of one run share a connection."""
    return 10_000 + number % 50_000


def main() -> None:
    least = int(sys.argv[1])
    pairs = [(ip_address(source), ip_address(destination)) for source, destination in map(split, sys.argv[2].split(";"))]
    ports = [int(port) for port in sys.argv[3].split(",")]
    outlets = []
    for source, destination in pairs:
        family = socket.AF_INET if source.version == 4 else socket.AF_INET6
        outlet = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        outlet.bind((str(source), 0))
        outlet.connect((str(destination), 0))
        outlets.append(outlet)
    enough = select.poll()
    enough.register(sys.stdin, select.POLLIN | select.POLLHUP)
    with suppress(PermissionError):  # in a container without CAP_SYS_NICE
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("begins", flush=True)
    begin = time.monotonic()
    latest = 0.0
    for number in itertools.count():
        volley = [
            (outlet, transport(Tcp(source_port(number), port, seq=number), *pair))
            for outlet, pair in zip(outlets, pairs, strict=True)
            for port in ports
        ]
        due = begin + number * INTERVAL
        if (left := due - time.monotonic()) > 0:
            time.sleep(left)
        latest = max(latest, time.monotonic() - due)
        for outlet, segment in volley:
            outlet.send(segment)
        if number + 1 >= least and enough.poll(0):
            print(number + 1, f"{latest * 1000:.1f}", flush=True)
            return


def split(pair: str) -> list[str]:
    """SOURCE,DESTINATION."""
    return pair.split(",")


if __name__ == "__main__":
    main()
