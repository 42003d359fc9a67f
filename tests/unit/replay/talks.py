"""Captures of connections, packet by packet, each packet whole or damaged in some way."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from edged.packet.decode import ETHERNET
from tests.unit.packet.frames import TCP, UDP, checksum, ethernet, fragment_header

SECOND = 1_000_000_000
UNTIL = int(datetime(2030, 12, 31, tzinfo=UTC).timestamp())  # an exemption ends; captures begin a second before
FIN, SYN, RST, ACK, URG = 0x01, 0x02, 0x04, 0x10, 0x20


class Talk(NamedTuple):
    """A connection's ends; the first is a subscriber's, or pretends to be."""

    protocol: int
    near: str
    far: str
    near_port: int
    far_port: int


class Step(NamedTuple):
    """Some packets of one direction of a talk that are alike, the first of them `gap` nanoseconds after what came before."""

    talk: int
    is_reply: bool
    flags: int
    payload: bytes
    packets: int
    gap: int
    damage: str


DAMAGE = (
    *("checksum", "length", "version", "options", "type", "vlan", "transport", "protocol"),  # what headers say
    *("cut", "short", "longer", "first piece", "last piece"),  # how much of it there is
)


def frame(talk: Talk, step: Step, number: int, link: int) -> tuple[bytes, int]:
    """The packet, and how long it was on the wire."""
    ends, ports = (talk.near, talk.far), (talk.near_port, talk.far_port)
    if step.is_reply:
        ends, ports = ends[::-1], ports[::-1]
    protocol = talk.protocol
    if step.damage == "protocol":
        protocol = UDP if protocol == TCP else TCP
    if protocol == TCP:
        data = struct.pack("!HHIIHHHH", *ports, number, 7, 5 << 12 | step.flags, 512, 0, 0) + step.payload
    else:
        data = struct.pack("!HHHH", *ports, 8 + len(step.payload), 0) + step.payload
    if step.damage == "transport":
        data = data[: 7 if protocol == UDP else 19]
    source, destination = (ip_address(each).packed for each in ends)
    if len(source) == 4:
        data, ethertype = _ipv4(protocol, source + destination, data, step.damage), 0x0800
    else:
        data, ethertype = _ipv6(protocol, source + destination, data, step.damage), 0x86DD
    if link == ETHERNET:
        if step.damage == "vlan":
            data, ethertype = struct.pack("!HH", 7, ethertype) + data, 0x8100
        data = ethernet(data, 0x0806 if step.damage == "type" else ethertype)
    on_wire = len(data)
    if step.damage in ("cut", "short"):
        data = data[: -len(step.payload) - 3]
    return data, len(data) if step.damage == "short" else on_wire


def _ipv4(protocol: int, ends: bytes, data: bytes, damage: str) -> bytes:
    cut = {"first piece": 0x2000, "last piece": 5}.get(damage, 0)
    options = bytes(4) if damage == "options" else b""
    length = 20 + len(options) + len(data) + {"length": 1, "longer": -3}.get(damage, 0)
    first = (3 if damage == "version" else 4) << 4 | 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", first, 0, length, 7, cut, 63, protocol, 0) + ends + options
    return head[:10] + struct.pack("!H", checksum(head) ^ (damage == "checksum")) + head[12:] + data


def _ipv6(protocol: int, ends: bytes, data: bytes, damage: str) -> bytes:
    if damage in ("first piece", "last piece"):
        more = damage == "first piece"
        data, protocol = fragment_header(protocol, 0 if more else 40, more=more) + data, 44
    elif damage == "options":
        data, protocol = bytes((protocol, 0, 1, 4, 0, 0, 0, 0)) + data, 60
    length = len(data) + {"length": 1, "longer": -3}.get(damage, 0)
    return struct.pack("!IHBB", (5 if damage == "version" else 6) << 28, length, protocol, 62) + ends + data


def capture(path: Path, talking: list[Talk], steps: list[Step], link: int) -> None:
    now, number = (UNTIL - 1) * SECOND, 0
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, link))
        for step in steps:
            now += step.gap
            for _ in range(step.packets):
                number += 1
                data, on_wire = frame(talking[step.talk % len(talking)], step, number, link)
                out.write(struct.pack("<IIII", now // SECOND, now % SECOND, len(data), on_wire) + data)
                now += 1_000_000
