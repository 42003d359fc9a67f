"""Packets that no honest client sends, built by hand, and a witness that sees what arrives at a host.

Only what the lab needs: one IPv4 or IPv6 header without options, one UDP datagram or TCP SYN.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from edged.addresses import Address, Family
from edged.lab.topology import Host

TCP, UDP, ICMPV6 = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMPV6

INET = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_ETHERTYPE = {Family.IPV4: 0x0800, Family.IPV6: 0x86DD}  # linux/if_ether.h
_SYN = 0x02
_TTL = 64
_WINDOW = 64240


@dataclass(frozen=True, slots=True)
class Packet:
    """What the lab looks at in a packet; the ports are 0 where the protocol has none."""

    source: Address
    destination: Address
    protocol: int
    source_port: int = 0
    destination_port: int = 0

    @property
    def family(self) -> Family:
        """The packet's address family."""
        return Family.of(self.source)


def send(host: Host, packet: Packet) -> None:
    """Sends the packet from the host as it stands, whoever its source belongs to."""
    with host.socket(INET[packet.family], socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(build(packet), (str(packet.destination), 0))


def build(packet: Packet) -> bytes:
    """The bytes of a UDP datagram with a few bytes in it, or of a TCP SYN; raises ValueError for another protocol."""
    if packet.protocol == UDP:
        content = b"edged lab"
        head = struct.pack("!HHHH", packet.source_port, packet.destination_port, 8 + len(content), 0)
        return _network(packet, _with_checksum(packet, head + content, 6))
    if packet.protocol == TCP:
        # RFC 9293 section 3.1: data offset of 5 words in the high half of its byte
        head = struct.pack("!HHIIBBHHH", packet.source_port, packet.destination_port, 1, 0, 5 << 4, _SYN, _WINDOW, 0, 0)
        return _network(packet, _with_checksum(packet, head, 16))
    raise ValueError(f"the lab builds TCP and UDP only, not protocol {packet.protocol}")


def _network(packet: Packet, content: bytes) -> bytes:
    addresses = packet.source.packed + packet.destination.packed
    if packet.family is Family.IPV6:
        return struct.pack("!IHBB", 6 << 28, len(content), packet.protocol, _TTL) + addresses + content
    # ip(7): with a raw socket the kernel fills in the header's checksum
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0, _TTL, packet.protocol, 0) + addresses + content


def _with_checksum(packet: Packet, content: bytes, at: int) -> bytes:
    """RFC 1071 over the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1: the sum is the same) and the content."""
    pseudo = packet.source.packed + packet.destination.packed + struct.pack("!II", len(content), packet.protocol)
    summed = pseudo + content + b"\0" * (len(content) % 2)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    # RFC 768: a sum of zero is sent as all ones
    return content[:at] + struct.pack("!H", (~total & 0xFFFF) or 0xFFFF) + content[at + 2 :]


class Witness:
    """Sees every packet of one family that comes in at a host's own interface, from entering the context on."""

    def __init__(self, host: Host, family: Family) -> None:
        self._host = host
        self._family = family
        self._seen: list[Packet] = []

    def __enter__(self) -> Self:
        # packet(7): a socket for one protocol, unlike one for all, does not see what the host itself sends
        self._socket = self._host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE[self._family]))
        self._socket.settimeout(0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def seen(self) -> list[Packet]:
        """What has come in so far; the family's own housekeeping (neighbour discovery) left out."""
        self._seen.extend(self._read())
        return self._seen

    def waits_for(self, wanted: Callable[[Packet], bool], seconds: float) -> bool:
        """Whether such a packet has come in, or comes within `seconds`."""
        until = time.monotonic() + seconds
        while not any(map(wanted, self.seen())):
            if not select.select([self._socket], [], [], max(0, until - time.monotonic()))[0]:
                return False
        return True

    def _read(self) -> Iterator[Packet]:
        while True:
            try:
                content = self._socket.recv(256)
            except BlockingIOError:
                return
            if packet := parse(content):
                yield packet


def parse(content: bytes) -> Packet | None:
    """The packet that starts with these bytes; None for what is too short, and for neighbour and router discovery."""
    if content[0] >> 4 == 4:
        length, protocol, source, destination = (content[0] & 15) * 4, content[9], content[12:16], content[16:20]
    else:
        length, protocol, source, destination = 40, content[6], content[8:24], content[24:40]
    rest = content[length:]
    if len(rest) < 4 or (protocol == ICMPV6 and 133 <= rest[0] <= 137):  # RFC 4861 section 4
        return None
    ports = struct.unpack("!HH", rest[:4]) if protocol in (TCP, UDP) else (0, 0)
    return Packet(ip_address(source), ip_address(destination), protocol, *ports)
