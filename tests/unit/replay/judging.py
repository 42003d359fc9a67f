"""Judged packets for the tests of what is made of them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from edged.addresses import Family
from edged.packet.layers import NOTHING_BEFORE, Decoded, Fragment
from edged.replay.arrival import Arrival, Side
from edged.replay.verdict import Judged, Judgement, Verdict

ACCEPTED = Judgement(Verdict.ACCEPT)

NAMES = {
    "dynamic": (ip_network("203.0.113.0/26"), ip_network("203.0.113.80/28"), ip_network("2001:db8:d::/48")),
    "static": (ip_network("203.0.113.64/28"),),
    "pools": (ip_network("203.0.113.0/25"), ip_network("2001:db8:d::/48")),
    "never_block": (),
}
TCP, UDP, ICMP, ICMPV6, SYN, ACK = 6, 17, 1, 58, 0x02, 0x10


def packet(
    source: str = "203.0.113.7",
    destination: str = "198.51.100.9",
    protocol: int | None = TCP,
    sport: int | None = 40000,
    dport: int | None = 25,
    *,
    flags: int | None = None,
    icmp: tuple[int, int] | None = None,
    fragment: Fragment | None = None,
    length: int = 60,
) -> Decoded:
    first, second = ip_address(source), ip_address(destination)
    kind, code = icmp or (None, None)
    return Decoded(
        family=Family.of(first),
        source=int(first),
        destination=int(second),
        protocol=protocol,
        source_port=sport,
        destination_port=dport,
        flags=flags,
        sequence=None,
        acknowledgement=None,
        window=None,
        icmp_type=kind,
        icmp_code=code,
        fragment=fragment,
        hop_limit=64,
        length=length,
        dropped_by_stack="",
        network=0,
        transport=0,
        payload=0,
        end=0,
        before=NOTHING_BEFORE,
    )


def judged(fields: Decoded | None = None, judgement: Judgement = ACCEPTED, **more: Any) -> Judged:
    arrival = Arrival("a.pcap", 1, 1_700_000_000_123_456_789, b"", fields or packet(), Side.ACCESS)
    return Judged(arrival._replace(**more), judgement)


def rejected(fields: Decoded | None = None, line: int = 4, **more: Any) -> Judged:
    return judged(fields, Judgement(Verdict.REJECT, "op25b", f"rules.d/20-op25b.yaml:{line}"), **more)
