"""A subscriber's traffic of all kinds with one far end, whose addresses, name and payload are nowhere else.

Each kind meets a policy or an inspector: mail and DNS, a film and what asks for it in TLS and QUIC, BitTorrent, what no parser
reads, forged sources, and an address of a confidential list.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

from edged.addresses import Family
from edged.lab.packets import INET, TCP, UDP, Packet, send
from edged.lab.topology import Host, Topology
from tests.secrecy import Sentinel
from tests.unit.inspect.names.hellos import named, records
from tests.unit.inspect.names.initials import crypto, initial

ZONE = "films.example"  # what the operator's list of streaming hosts has
FAR = Sentinel(
    IPv4Address("192.0.2.213"), IPv6Address("2001:db8:a::5ec:2e7"), f"visited-5ec2e7.{ZONE}", b"letter-5ec2e7-to-nobody"
)
# an entry of the confidential list; nobody but the authority may know it
LISTED = Sentinel(IPv4Address("192.0.2.214"), IPv6Address("2001:db8:a::5ec:2e8"), "listed-5ec2e8.example", b"entry-5ec2e8")
FILM = 600_000  # bytes
_PORTS = (80, 443, 6881)


@contextmanager
def far_end(topology: Topology) -> Iterator[None]:
    """The far end's addresses in the Internet's namespace, and its servers: they answer whatever comes with a film."""
    outside = topology.outside
    for address, length in ((FAR.ipv4, 24), (FAR.ipv6, 64), (LISTED.ipv4, 24), (LISTED.ipv6, 64)):
        nodad = ("nodad", "preferred_lft", "0") if address.version == 6 else ()
        outside.run(["ip", "address", "add", f"{address}/{length}", "dev", "eth0", *nodad], check=True)
    listeners = []
    for family in Family:
        for port in _PORTS:
            listener = outside.socket(INET[family], socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(_of(FAR, family)), port))
            listener.listen(64)
            listeners.append(listener)
    threads = [threading.Thread(target=_serve, args=(each,)) for each in listeners]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)
        for thread, listener in zip(threads, listeners, strict=True):
            thread.join()
            listener.close()


def all_kinds(topology: Topology, family: Family) -> None:
    """Everything once, from the dynamic subscriber."""
    subscriber = topology.dynamic
    far = str(_of(FAR, family))
    request = f"GET /{FAR.payload.decode()} HTTP/1.1\r\nHost: {FAR.name}\r\nCookie: {FAR.payload.decode()}\r\n\r\n".encode()
    _talk(subscriber, family, far, 80, request)
    _talk(subscriber, family, far, 443, records(named(FAR.name.encode())))
    digest = FAR.payload.ljust(20)  # of what is fetched, as it were
    _talk(subscriber, family, far, 6881, b"\x13BitTorrent protocol" + bytes(8) + digest + b"-LT20B0-" + bytes(12))
    question = b"".join(bytes([len(label)]) + label.encode() for label in FAR.name.split(".")) + b"\0\0\1\0\1"
    noise = random.Random(family.value).randbytes(200)
    for port, payload in (
        (443, initial(crypto(0, named(FAR.name.encode())), size=1200)),
        (443, initial(crypto(0, b"\1\0\xff\xff" + FAR.name.encode()), size=1200)),
        (53, b"\1\2\1\0\0\1\0\0\0\0\0\0" + question),
        (53, b"\1\2\1\0\0\1\0\0\0\0\0\0\xff" + FAR.name.encode()),
        (6881, b"d1:ad2:id20:" + digest + b"e1:q4:ping1:t2:aa1:y1:qe"),
        (9999, FAR.payload + noise),
    ):
        _datagram(subscriber, family, far, port, payload)
    _datagram(subscriber, family, str(_of(LISTED, family)), 9999, LISTED.payload)
    _stopped(topology, family)


def _stopped(topology: Topology, family: Family) -> None:
    """What op25b, ip53b and spoof stop, each with the far end in it."""
    subscriber, far = topology.dynamic.address(family), _of(FAR, family)
    send(topology.dynamic, Packet(subscriber, far, TCP, 40025, 25))
    send(topology.outside, Packet(far, subscriber, TCP, 25, 40026))
    send(topology.outside, Packet(far, subscriber, UDP, 40053, 53))
    send(topology.dynamic, Packet(far, topology.web.address(family), UDP, 40054, 4000))
    send(topology.outside, Packet(topology.static.address(family), subscriber, UDP, 40055, 4000))


def _talk(subscriber: Host, family: Family, far: str, port: int, words: bytes) -> None:
    """A connection in which the far end has the last, and a long, word."""
    with subscriber.socket(INET[family], socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect((far, port))
        connection.sendall(words)
        got = 0
        with contextlib.suppress(TimeoutError):
            while got < FILM and (block := connection.recv(65536)):
                got += len(block)


def _datagram(subscriber: Host, family: Family, far: str, port: int, payload: bytes) -> None:
    with subscriber.socket(INET[family], socket.SOCK_DGRAM) as sender:
        sender.sendto(payload, (far, port))


def _serve(listener: socket.socket) -> None:
    body = FAR.payload * (FILM // len(FAR.payload))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # it is over
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            connection.recv(4096)
            connection.sendall(head + body)


def _of(sentinel: Sentinel, family: Family) -> IPv4Address | IPv6Address:
    return sentinel.ipv4 if family is Family.IPV4 else sentinel.ipv6
