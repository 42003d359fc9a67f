"""Link layers: each of them leads to the same IP packet, and what leads to none says why."""

from __future__ import annotations

import struct

import pytest

from edged.packet import decode as links
from edged.packet.decode import decode
from edged.packet.layers import Before, Decoded, Undecodable
from tests.unit.packet.frames import MAC, decoded, ethernet, ipv4, ipv6, reason, tcp

V4, V6 = ipv4(tcp(b"payload")), ipv6(tcp(b"payload"))
PPPOE = struct.pack("!BBHH", 0x11, 0, 0xBEEF, 2 + len(V4))
COOKED = struct.pack("!HHHQ", 0, 1, 6, MAC << 16)
PADDING = bytes(9)


def vlan(ident: int, ethertype: int) -> bytes:
    return struct.pack("!HH", 0xE000 | ident, ethertype)  # priority 7


def label(value: int, *, bottom: bool) -> bytes:
    return struct.pack("!I", value << 12 | bottom << 8 | 64)


def test_ethernet_tells_its_source_and_is_not_misled_by_padding() -> None:
    for ethertype, packet in ((0x0800, V4), (0x86DD, V6)):
        data = ethernet(packet + PADDING, ethertype)
        found = decoded(data, 1)
        assert found.before == Before(source_mac=MAC)
        assert found.network == 14
        assert data[found.payload : found.end] == b"payload"


@pytest.mark.parametrize("ethertype", [0x8100, 0x88A8, 0x9100])
def test_vlan_tags_are_read_outermost_first(ethertype: int) -> None:
    found = decoded(ethernet(vlan(100, 0x8100) + vlan(4095, 0x0800) + V4, ethertype), 1)
    assert found.before.vlans == (100, 4095)
    assert found.destination_port == 25


def test_vlan_tags_are_read_to_a_bound() -> None:
    tags = b"".join(vlan(n, 0x8100) for n in range(7)) + vlan(7, 0x86DD)
    assert decoded(ethernet(tags + V6, 0x8100), 1).before.vlans == tuple(range(8))
    assert reason(ethernet(vlan(1, 0x8100) + tags + V6, 0x8100), 1) == "more than 8 VLAN tags"


@pytest.mark.parametrize(("protocol", "packet"), [(b"\x00\x21", V4), (b"\x21", V4), (b"\x00\x57", V6), (b"\x57", V6)])
def test_pppoe_carries_both_families_with_a_long_and_a_short_protocol_field(protocol: bytes, packet: bytes) -> None:
    header = struct.pack("!BBHH", 0x11, 0, 0xBEEF, len(protocol) + len(packet))
    data = ethernet(vlan(7, 0x8864) + header + protocol + packet + PADDING, 0x8100)
    found = decoded(data, 1)
    assert found.before == Before((7,), (), MAC, 0xBEEF)
    assert data[found.payload : found.end] == b"payload"
    assert decoded(header + protocol + packet, links.PPPOE).before.pppoe_session == 0xBEEF


def test_the_length_of_pppoe_bounds_the_packet() -> None:
    header = struct.pack("!BBHH", 0x11, 0, 1, 2 + len(V4) - 1)
    assert (
        decoded(ethernet(header + b"\0\x21" + V4, 0x8864), 1).dropped_by_stack == "the length in the header is more than arrived"
    )


@pytest.mark.parametrize("link", [links.PPP, links.PPP_HDLC])
@pytest.mark.parametrize("head", [b"\xff\x03\0\x21", b"\0\x21", b"\x21", b"\xff\x03\x21"])
def test_ppp_is_read_with_and_without_its_address_and_control_field(link: int, head: bytes) -> None:
    assert decoded(head + V4, link).network == len(head)


def test_cooked_frames_of_both_versions_tell_their_source() -> None:
    for head, link in (
        (COOKED + b"\x08\x00", links.COOKED),
        (struct.pack("!HHIHBBQ", 0x0800, 0, 3, 1, 0, 6, MAC << 16), links.COOKED_2),
    ):
        found = decoded(head + V4, link)
        assert (found.before.source_mac, found.network) == (MAC, len(head))
    assert decoded(struct.pack("!HHHQH", 0, 512, 0, 0, 0x86DD) + V6, links.COOKED).before.source_mac is None
    assert decoded(COOKED + b"\x81\x00" + vlan(5, 0x0800) + V4, links.COOKED).before.vlans == (5,)


@pytest.mark.parametrize("link", [links.RAW, links.RAW_AS_DLT, links.RAW_AS_OPENBSD_DLT])
def test_raw_ip_is_told_by_its_version(link: int) -> None:
    assert decoded(V4, link).family.label == "ipv4"
    assert decoded(V6, link).family.label == "ipv6"
    assert reason(b"\x50" + bytes(60), link) == "IP version 5"


def test_raw_ip_of_one_family_is_not_another() -> None:
    assert decoded(V4, links.RAW_IPV4).dropped_by_stack == ""
    assert decoded(V6, links.RAW_IPV6).dropped_by_stack == ""
    assert decoded(V6, links.RAW_IPV4).dropped_by_stack == "the version field is not that of the protocol"
    assert decoded(V4 + V4, links.RAW_IPV6).dropped_by_stack == "the version field is not that of the protocol"


@pytest.mark.parametrize("link", [links.BSD_LOOPBACK, links.OPENBSD_LOOPBACK])
@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize(("family", "packet"), [(2, V4), (10, V6), (24, V6), (28, V6), (30, V6)])
def test_loopback_is_read_in_both_byte_orders(link: int, order: str, family: int, packet: bytes) -> None:
    head = struct.pack(">I" if order == "big" else "<I", family)
    assert decoded(head + packet, link).destination_port == 25


def test_mpls_labels_lead_to_ip_and_through_a_pseudowire() -> None:
    stack = label(1000, bottom=False) + label(16, bottom=True)
    for packet in (V4, V6):
        found = decoded(ethernet(stack + packet, 0x8847), 1)
        assert found.before.labels == (1000, 16)
        assert found.destination_port == 25
    found = decoded(ethernet(stack + bytes(4) + ethernet(V4), 0x8848), 1)
    assert (found.before.labels, found.before.source_mac, found.destination_port) == ((1000, 16), MAC, 25)


def test_mpls_is_read_to_a_bound() -> None:
    assert reason(ethernet(label(1, bottom=False) * 17 + V4, 0x8847), 1) == "more than 16 MPLS labels"
    nested = V4
    for _ in range(2000):
        nested = label(1, bottom=True) + bytes(4) + ethernet(nested, 0x8847)
    assert reason(ethernet(nested, 0x8847), 1) == "MPLS in a pseudowire of MPLS"


@pytest.mark.parametrize(
    ("data", "link", "why"),
    [
        (b"", 1, "the Ethernet header is cut off"),
        (ethernet(b"")[:13], 1, "the Ethernet header is cut off"),
        (ethernet(b""), 1, "the IPv4 header is cut off"),
        (ethernet(V4[:19]), 1, "the IPv4 header is cut off"),
        (ethernet(V6[:39], 0x86DD), 1, "the IPv6 header is cut off"),
        (ethernet(bytes(28), 0x0806), 1, "ARP"),
        (ethernet(bytes(28), 0x88CC), 1, "LLDP"),
        (ethernet(bytes(28), 0x8863), 1, "PPPoE discovery"),
        (ethernet(bytes(28), 0xABCD), 1, "ethertype 0xabcd"),
        (ethernet(bytes(28), 0x05DC), 1, "an IEEE 802.3 frame with a length in place of a type"),
        (ethernet(b"\0\1\2", 0x8100), 1, "the VLAN tag is cut off"),
        (ethernet(bytes(5), 0x8864), 1, "the PPPoE header is cut off"),
        (ethernet(b"\x11\x09" + PPPOE[2:] + b"\0\x21" + V4, 0x8864), 1, "a PPPoE header that is not a session's"),
        (ethernet(b"\x21" + PPPOE[1:] + b"\0\x21" + V4, 0x8864), 1, "a PPPoE header that is not a session's"),
        (ethernet(PPPOE, 0x8864), 1, "the PPP protocol field is cut off"),
        (ethernet(PPPOE + b"\xc0\x21" + V4, 0x8864), 1, "PPP protocol 0xc021"),
        (b"\x00", links.PPP, "the PPP protocol field is cut off"),
        (b"\xff\x03", links.PPP, "the PPP protocol field is cut off"),
        (COOKED, links.COOKED, "the cooked header is cut off"),
        (bytes(19), links.COOKED_2, "the cooked header is cut off"),
        (COOKED + b"\x00\x04" + bytes(40), links.COOKED, "an IEEE 802.3 frame with a length in place of a type"),
        (bytes(3), links.BSD_LOOPBACK, "the loopback header is cut off"),
        (b"\0\0\0\x07" + V4, links.BSD_LOOPBACK, "address family 7"),
        (b"", links.RAW, "nothing follows the link layer"),
        (ethernet(label(1, bottom=True)[:3], 0x8847), 1, "the MPLS label is cut off"),
        (ethernet(label(1, bottom=True), 0x8847), 1, "nothing follows the link layer"),
        (V4, 105, "link type 105"),
        (V4, -1, "link type -1"),
    ],
)
def test_what_holds_no_packet_says_why(data: bytes, link: int, why: str) -> None:
    assert reason(data, link) == why


@pytest.mark.parametrize("link", [*sorted(links._LINKS), links.ETHERNET])
def test_every_link_layer_may_be_cut_anywhere(link: int) -> None:
    frames = {
        links.ETHERNET: ethernet(vlan(1, 0x8864) + PPPOE + b"\0\x21" + V4, 0x8100),
        links.PPPOE: PPPOE + b"\0\x21" + V4,
        links.COOKED: COOKED + b"\x08\x00" + V4,
        links.COOKED_2: struct.pack("!HHIHBBQ", 0x0800, 0, 3, 1, 0, 6, MAC << 16) + V4,
        links.BSD_LOOPBACK: b"\2\0\0\0" + V4,
        links.OPENBSD_LOOPBACK: b"\0\0\0\2" + V4,
        links.PPP: b"\xff\x03\0\x21" + V4,
        links.PPP_HDLC: b"\xff\x03\0\x21" + V4,
        links.RAW_IPV6: V6,
    }
    whole = frames.get(link, V4)
    assert isinstance(decode(whole, link), Decoded)
    for cut in range(len(whole)):
        found = decode(whole[:cut], link)
        if isinstance(found, Undecodable):
            assert found.reason
        else:
            assert found.network <= found.transport <= found.payload <= found.end <= cut
            assert found.dropped_by_stack
            assert decoded(whole[:cut], link, len(whole)).dropped_by_stack == ""
