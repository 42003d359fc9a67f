"""The decoder and scapy read the same packets alike: all link layers, both families, extension headers, tunnels, fragments."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    fragment6,
)
from scapy.layers.l2 import GRE, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.sctp import SCTP
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from edged.packet.decode import COOKED, COOKED_2, ETHERNET, RAW
from edged.packet.layers import Decoded
from edged.packet.reassembly import Kept, Reassembler, Whole
from edged.packet.tunnels import innermost
from tests.unit.packet.frames import decoded

MACS = st.integers(1, (1 << 40) - 1).map(lambda value: ":".join(f"{value:012x}"[at : at + 2] for at in range(0, 12, 2)))
PORTS = st.integers(0, 65535)
FAR = "02:00:00:00:00:01"  # written out: scapy asks the network for what is left open
BYTES = st.binary(max_size=60)
V4 = st.integers(1 << 24, (224 << 24) - 1).map(lambda value: str(ip_address(value)))
V6 = st.integers(2 << 124, (4 << 124) - 1).map(lambda value: str(ip_address(value)))
# Ports that scapy has no layer for, so that it leaves the payload as it is
PLAIN = st.sampled_from([25, 1025, 6000, 40_000, 65_535])


@st.composite
def transports(draw: st.DrawFn, icmp: type[Packet]) -> Packet:
    kind = draw(st.sampled_from(["tcp", "udp", "icmp", "sctp", "esp"]))
    payload = Raw(draw(BYTES))
    sport, dport = draw(PLAIN), draw(PLAIN)
    match kind:
        case "tcp":
            options = [("NOP", None)] * draw(st.integers(0, 12))
            sequence, acknowledgement = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))
            flags, window = draw(st.integers(0, 511)), draw(PORTS)
            return (
                TCP(sport=sport, dport=dport, flags=flags, seq=sequence, ack=acknowledgement, window=window, options=options)
                / payload
            )
        case "udp":
            return UDP(sport=sport, dport=dport) / payload
        case "icmp":
            return icmp(id=draw(PORTS)) / payload
        case "sctp":
            return SCTP(sport=sport, dport=dport) / payload
        case _:
            return Raw(b"\1" * 24)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    if draw(st.booleans()):
        body = draw(transports(ICMP))
        head = IP(src=draw(V4), dst=draw(V4), ttl=draw(st.integers(1, 255)), options=[IPOption_NOP()] * draw(st.integers(0, 4)))
        if isinstance(body, Raw):
            head.proto = 50
        return head / body
    body = draw(transports(ICMPv6EchoRequest))
    packet: Packet = IPv6(src=draw(V6), dst=draw(V6), hlim=draw(st.integers(1, 255)))
    last = packet
    if draw(st.booleans()):
        last = IPv6ExtHdrHopByHop()
        packet /= last
    for kind in draw(st.lists(st.sampled_from([IPv6ExtHdrDestOpt, IPv6ExtHdrRouting]), max_size=3)):
        last = kind() if kind is IPv6ExtHdrRouting else kind(options=[PadN(optdata=bytes(draw(st.integers(0, 5))))])
        packet /= last
    if isinstance(body, Raw):
        packet.lastlayer().nh = 50
    return packet / body


def agree(found: Decoded, data: bytes, packet: Packet) -> None:
    """What was found is what scapy finds in the same bytes."""
    ip = packet[IP] if IP in packet else packet[IPv6]
    assert found.dropped_by_stack == ""
    assert (found.source, found.destination) == (int(ip_address(ip.src)), int(ip_address(ip.dst)))
    assert found.hop_limit == (ip.ttl if IP in packet else ip.hlim)
    transport = next((layer for layer in (TCP, UDP, SCTP) if layer in ip), None)
    number = {TCP: 6, UDP: 17, SCTP: 132, None: {ICMP in ip: 1, ICMPv6EchoRequest in ip: 58}.get(True, 50)}[transport]
    assert found.protocol == number
    ports = (ip[transport].sport, ip[transport].dport) if transport else (None, None)
    assert (found.source_port, found.destination_port) == ports
    if transport is TCP:
        tcp = ip[TCP]
        expected = (int(tcp.flags), tcp.seq, tcp.ack, tcp.window)
        assert (found.flags, found.sequence, found.acknowledgement, found.window) == expected
        assert data[found.payload : found.end] == bytes(tcp.payload)
    elif transport is UDP:
        assert data[found.payload : found.end] == bytes(ip[UDP].payload)
    elif number in (1, 58):
        assert (found.icmp_type, found.icmp_code) == ((8, 0) if number == 1 else (128, 0))


@given(packets())
def test_raw_packets(packet: Packet) -> None:
    data = bytes(packet)
    agree(decoded(data, RAW), data, packet.__class__(data))


@given(
    packets(),
    MACS,
    st.lists(st.integers(0, 4095), max_size=3),
    st.sampled_from(["plain", "pppoe", "mpls"]),
    st.binary(max_size=8),
)
def test_ethernet_frames(packet: Packet, mac: str, vlans: list[int], link: str, padding: bytes) -> None:
    frame: Packet = Ether(src=mac, dst=FAR)
    for place, vlan in enumerate(vlans):
        frame /= Dot1AD(vlan=vlan) if place + 1 < len(vlans) else Dot1Q(vlan=vlan)
    if link == "pppoe":
        frame /= PPPoE(sessionid=len(vlans)) / PPP()
    if link == "mpls":
        frame.lastlayer().type = 0x8847
        frame /= MPLS(label=17, s=0) / MPLS(label=18, s=1)
    data = bytes(frame / packet)
    found = decoded(data + padding, ETHERNET)
    agree(found, data, Ether(data))
    assert found.before.vlans == tuple(vlans)
    assert found.before.source_mac == int(mac.replace(":", ""), 16)
    assert found.before.pppoe_session == (len(vlans) if link == "pppoe" else None)
    assert found.before.labels == ((17, 18) if link == "mpls" else ())


@given(packets())
def test_cooked_frames(packet: Packet) -> None:
    ethertype = 0x0800 if IP in packet else 0x86DD
    for head, link in ((CookedLinux(proto=ethertype), COOKED), (CookedLinuxV2(proto=ethertype), COOKED_2)):
        data = bytes(head / packet)
        agree(decoded(data, link), data, head.__class__(data))


@given(packets(), V4, V6, st.sampled_from(["4", "6", "gre", "gre-key", "vxlan", "gtp-u"]))
def test_tunnels(packet: Packet, v4: str, v6: str, kind: str) -> None:
    inner = bytes(packet)
    family = "4" if IP in packet else "6"
    ethertype = 0x0800 if IP in packet else 0x86DD
    outer: Packet
    match kind:
        case "4":
            outer, name = IP(src=v4, proto=4 if family == "4" else 41), f"{family}in4"
        case "6":
            outer, name = IPv6(src=v6, nh=4 if family == "4" else 41), f"{family}in6"
        case "gre":
            outer, name = IP(src=v4) / GRE(proto=ethertype), "gre"
        case "gre-key":
            outer = IPv6(src=v6) / GRE(proto=ethertype, key_present=1, key=7, seqnum_present=1, chksum_present=1)
            name = "gre"
        case "vxlan":
            outer, name = IP(src=v4) / UDP(sport=9, dport=4789) / VXLAN(vni=7) / Ether(src=FAR, dst=FAR, type=ethertype), "vxlan"
        case _:
            outer, name = IP(src=v4) / UDP(sport=2152, dport=2152) / GTP_U_Header(gtp_type=255, teid=7, S=1, seq=9), "gtp-u"
    data = bytes(outer / Raw(inner))
    found, taken_off = innermost(decoded(data), data)
    assert [each.value for each in taken_off] == [name]
    agree(found, data, packet.__class__(inner))


@pytest.mark.parametrize("seed", range(20))
def test_fragments_that_scapy_cuts(seed: int) -> None:
    chance = random.Random(seed)
    body = UDP(sport=25, dport=1025) / Raw(chance.randbytes(chance.randrange(1400, 6000)))
    four = IP(src="192.0.2.1", dst="192.0.2.2", id=seed) / body
    six = IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment(id=seed) / body
    plain = IPv6(src="2001:db8::1", dst="2001:db8::2") / body
    cut4 = fragment(four, fragsize=chance.randrange(8, 1400))  # type: ignore[no-untyped-call]
    cut6 = fragment6(six, 1280)  # type: ignore[no-untyped-call]
    for whole, pieces in ((four, cut4), (plain, cut6)):
        assert len(pieces) > 1
        chance.shuffle(pieces)
        reassembler = Reassembler()
        for piece in pieces[:-1]:
            assert reassembler.take(decoded(bytes(piece)), bytes(piece), 0) == Kept()
        data = bytes(pieces[-1])
        found = reassembler.take(decoded(data), data, 0)
        assert isinstance(found, Whole)
        expected = bytes(whole)
        # scapy's checksum of UDP is that of the whole, but where it cuts IPv6 it is not there yet
        place = len(expected) - len(bytes(body)) + 6
        assert found.data[:place] + found.data[place + 2 :] == expected[:place] + expected[place + 2 :]
        agree(decoded(found.data), found.data, whole.__class__(found.data))
