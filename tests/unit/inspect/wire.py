"""Conversations packet by packet, as an inspector is fed them: written, decoded, and the clock kept."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from edged.inspect.decision import Decision
from edged.inspect.engine import Inspector
from edged.packet.decode import RAW
from tests.unit.packet.frames import decoded, ipv4, ipv6

SECOND = 1_000_000_000
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
CLIENT, SERVER = ("192.0.2.1", 50_000), ("198.51.100.2", 443)

End = tuple[str, int]


class Wire:
    """A conversation between two ends over one transport; each packet comes a millisecond after the one before."""

    def __init__(self, inspector: Inspector, client: End = CLIENT, server: End = SERVER, now: int = SECOND) -> None:
        self.inspector = inspector
        self.ends = (client, server)
        self.now = now
        self.next = [1_000, 2**32 - 2]  # the server's numbers wrap at once

    def packet(self, side: int, protocol: int, transport: bytes) -> Decision | None:
        source, destination = self.ends[side][0], self.ends[1 - side][0]
        self.now += SECOND // 1_000
        if ":" in source:
            data = ipv6(transport, protocol, source=source, destination=destination)
        else:
            packed = ip_address(destination).packed
            data = ipv4(transport, protocol, source=source)
            data = data[:16] + packed + data[20:]  # the checksum is the stack's business, not the inspector's
        return self.inspector.feed(self.now, decoded(data, RAW), data)

    def udp(self, payload: bytes, side: int = 0) -> Decision | None:
        ports = self.ends[side][1], self.ends[1 - side][1]
        return self.packet(side, 17, struct.pack("!4H", *ports, 8 + len(payload), 0) + payload)

    def tcp(self, flags: int, payload: bytes = b"", side: int = 0, sequence: int | None = None) -> Decision | None:
        ports = self.ends[side][1], self.ends[1 - side][1]
        number = self.next[side] if sequence is None else sequence
        return self.packet(
            side, 6, struct.pack("!HHIIHHHH", *ports, number & 0xFFFF_FFFF, 7, 5 << 12 | flags, 512, 0, 0) + payload
        )

    def open(self) -> None:
        """The handshake."""
        self.tcp(SYN)
        self.next[0] += 1
        self.tcp(SYN | ACK, side=1)
        self.next[1] += 1
        self.tcp(ACK)

    def say(self, payload: bytes, side: int = 0) -> Decision | None:
        """The next bytes of a direction."""
        decision = self.tcp(PSH | ACK, payload, side)
        self.next[side] += len(payload)
        return decision

    def lose(self, count: int, side: int = 0) -> None:
        """So many bytes are sent and not seen."""
        self.next[side] += count


def opened(inspector: Inspector, client: End = CLIENT, server: End = SERVER, now: int = SECOND) -> Wire:
    """A TCP connection after its handshake."""
    wire = Wire(inspector, client, server, now)
    wire.open()
    return wire
