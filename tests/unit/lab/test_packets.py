"""The hand-built packets are what scapy builds, and the witness reads what scapy writes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6ND_NS, IPv6
from scapy.packet import Packet as Layers

from edged.addresses import Family
from edged.lab.packets import Packet, build, parse
from edged.lab.topology import DYNAMIC, WEB

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)
NETWORK = {Family.IPV4: IP, Family.IPV6: IPv6}


def packet(family: Family, protocol: int, sport: int = 0, dport: int = 0) -> Packet:
    at = 0 if family is Family.IPV4 else 1
    return Packet(DYNAMIC[at], WEB[at], protocol, sport, dport)


def network(family: Family) -> Layers:
    at = 0 if family is Family.IPV4 else 1
    return NETWORK[family](src=str(DYNAMIC[at]), dst=str(WEB[at]))


@FAMILIES
@pytest.mark.parametrize("protocol", [6, 17])
def test_what_is_built_reads_back_with_its_checksum_right(family: Family, protocol: int) -> None:
    layer = TCP if protocol == 6 else UDP
    for sport in (25, 53, 26025):
        wanted = packet(family, protocol, sport, 9)
        raw = build(wanted)
        assert parse(raw) == wanted
        read = NETWORK[family](raw)
        written = read[layer].chksum
        del read[layer].chksum
        assert NETWORK[family](bytes(read))[layer].chksum == written
        assert (read[layer].sport, read[layer].dport) == (sport, 9)
    if protocol == 6:
        assert read[TCP].flags == "S"


def test_only_tcp_and_udp_are_built() -> None:
    with pytest.raises(ValueError, match="not protocol 1"):
        build(packet(Family.IPV4, 1))


@FAMILIES
def test_what_scapy_writes_is_read(family: Family) -> None:
    assert parse(bytes(network(family) / UDP(sport=1, dport=2) / b"x")) == packet(family, 17, 1, 2)
    assert parse(bytes(network(family) / TCP(sport=3, dport=4))) == packet(family, 6, 3, 4)


def test_errors_are_seen_and_neighbour_discovery_is_not() -> None:
    error = parse(bytes(network(Family.IPV6) / ICMPv6DestUnreach() / b"what it was about"))
    assert error == packet(Family.IPV6, 58)
    assert parse(bytes(network(Family.IPV6) / ICMPv6ND_NS(tgt=str(WEB[1])))) is None
    assert parse(bytes(network(Family.IPV4) / ICMP(type=3, code=13))) == packet(Family.IPV4, 1)


def test_options_of_ipv4_are_passed_over_and_scraps_left_alone() -> None:
    with_options = IP(src="192.0.2.80", dst="203.0.113.10", options=b"\x01\x01\x01\x00") / UDP(sport=7, dport=8)
    assert parse(bytes(with_options)) == Packet(ip_address("192.0.2.80"), ip_address("203.0.113.10"), 17, 7, 8)
    assert parse(bytes(with_options)[:26]) is None
