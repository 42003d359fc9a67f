"""The lab's topology for tests, and the least traffic that shows a way through it is open.

from tests.netns.topology import deliver

def test_something(topology):          # fresh namespaces for one test: they cost 0.1 s
    topology.gateway.run(["nft", "-f", "-"], stdin=...)
    assert deliver(topology.dynamic, topology.web, Family.IPV4)
"""

from __future__ import annotations

import socket
import time

from edged.addresses import Family
from edged.lab.topology import Host, Topology

INET = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}

__all__ = ["INET", "Host", "Topology", "deliver"]


def deliver(sender: Host, receiver: Host, family: Family, port: int = 9999, *, seconds: float = 1.0) -> str | None:
    """Sends one datagram; the source address the receiver saw, or None where nothing came in `seconds`."""
    with (
        receiver.socket(INET[family], socket.SOCK_DGRAM) as inbox,
        sender.socket(INET[family], socket.SOCK_DGRAM) as outbox,
    ):
        inbox.bind((str(receiver.address(family)), port))
        outbox.bind((str(sender.address(family)), 0))
        word = str(time.monotonic_ns()).encode()
        outbox.sendto(word, (str(receiver.address(family)), port))
        inbox.settimeout(seconds)
        try:
            text, source = inbox.recvfrom(64)
        except TimeoutError:
            return None
        assert text == word
        return str(source[0])
