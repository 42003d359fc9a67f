"""IP headers, extension headers and what they carry, as Linux reads them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address

import pytest

from edged.addresses import Family
from edged.packet.layers import (
    BAD_ADDRESS,
    BAD_CHECKSUM,
    BAD_HEADER_LENGTH,
    BAD_HOP_BY_HOP,
    BAD_VERSION,
    BEYOND_DATA,
    WITHIN_HEADER,
    Fragment,
)
from tests.unit.packet.frames import (
    DESTINATION,
    DESTINATION6,
    FIRST_FLAGS,
    SOURCE,
    SOURCE6,
    TCP,
    UDP,
    decoded,
    fragment_header,
    ipv4,
    ipv6,
    reason,
    tcp,
    udp,
)

HOP_BY_HOP, ROUTING, FRAGMENT, AH, NO_NEXT, DESTINATION_OPTIONS = 0, 43, 44, 51, 59, 60
SYN = 2


def extension(following: int, words: int = 0) -> bytes:
    """Of 8 (words + 1) bytes, filled with one PadN or, where they are more, with an unknown option to be skipped."""
    size = 8 * (words + 1) - 4
    return struct.pack("!BBBB", following, words, 1 if size <= 5 else 0x1E, size) + bytes(size)


def ah(following: int) -> bytes:
    return struct.pack("!BBHIII", following, 2, 0, 1, 1, 0)


def hop(options: bytes, following: int = TCP) -> bytes:
    words = (len(options) + 2 + 7) // 8
    return struct.pack("!BB", following, words - 1) + options


def test_every_field_of_tcp_over_ipv4() -> None:
    data = ipv4(tcp(b"payload", words=8, flags=0x1FF))
    found = decoded(data)
    assert found._replace(before=found.before) == (
        *(Family.IPV4, int(ip_address(SOURCE)), int(ip_address(DESTINATION)), 6, 1025, 25, 0x1FF, 0xFFFFFFFE, 7, 512, None, None),
        *(None, 63, 59, "", 0, 20, 52, 59, ((), (), None, None)),
    )


def test_every_field_of_tcp_over_ipv6() -> None:
    data = ipv6(tcp(b"payload"))
    found = decoded(data)
    assert found == (
        *(Family.IPV6, int(ip_address(SOURCE6)), int(ip_address(DESTINATION6)), 6, 1025, 25, FIRST_FLAGS, 0xFFFFFFFE, 7, 512),
        *(None, None, None, 62, 67, "", 0, 40, 60, 67, ((), (), None, None)),
    )


@pytest.mark.parametrize("build", [ipv4, ipv6])
def test_ports_are_there_as_far_as_the_packet_reaches(build: Callable[[bytes, int], bytes]) -> None:
    for protocol, form, whole in ((TCP, tcp(), 20), (UDP, udp(), 8), (136, udp(), 8), (132, udp() + bytes(4), 12)):
        for length in range(whole + 1):
            found = decoded(build(form[:length], protocol))
            sport, dport = struct.unpack_from("!HH", form)
            assert found.source_port == (sport if length >= 2 else None)
            assert found.destination_port == (dport if length >= 4 else None)
            assert (found.flags is not None) == (protocol == TCP and length == 20)
            assert found.payload == found.end


@pytest.mark.parametrize("words", [0, 4, 6, 15])
def test_a_tcp_header_that_is_none_or_ends_behind_the_packet_leaves_no_payload(words: int) -> None:
    data = bytearray(ipv4(tcp(bytes(3))))
    data[32] = words << 4
    found = decoded(bytes(data))
    assert found.payload == found.end == len(data)
    assert found.destination_port == 25


def test_the_length_of_udp_ends_its_payload_where_it_can() -> None:
    for length, end in ((8, 28), (10, 30), (16, 36), (17, 36), (7, 36), (0, 36), (0xFFFF, 36)):
        assert decoded(ipv4(udp(bytes(8), length=length), UDP)).end == end


def test_sctp_and_dccp_payloads_begin_behind_their_headers() -> None:
    assert decoded(ipv4(udp() + bytes(20), 132)).payload == 32
    dccp = struct.pack("!HHBBH", 1, 2, 4, 0, 0) + bytes(20)
    found = decoded(ipv4(dccp, 33))
    assert (found.source_port, found.destination_port, found.payload) == (1, 2, 36)


def test_icmp_belongs_to_its_family() -> None:
    for build, own, other in ((ipv4, 1, 58), (ipv6, 58, 1)):
        found = decoded(build(b"\x03\x04" + bytes(10), own))
        assert (found.icmp_type, found.icmp_code, found.end - found.payload) == (3, 4, 4)
        assert found.source_port is None
        assert decoded(build(b"\x03\x04" + bytes(10), other)).icmp_type is None
        short = decoded(build(b"\x03", own))
        assert (short.icmp_type, short.icmp_code) == (None, None)


def test_other_protocols_have_no_ports() -> None:
    found = decoded(ipv4(struct.pack("!HH", 25, 25) + bytes(20), 50))
    assert (found.protocol, found.source_port, found.payload, found.end) == (50, None, 20, 44)


def test_ipv4_options_are_gone_over_and_summed() -> None:
    found = decoded(ipv4(tcp(b"x"), options=b"\x94\x04\x00\x00\x01\x01\x01\x00"))
    assert (found.transport, found.destination_port, found.dropped_by_stack) == (28, 25, "")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ipv4(tcp(), wrong_sum=1), BAD_CHECKSUM),
        (ipv4(tcp(), options=bytes(4), wrong_sum=0x8000), BAD_CHECKSUM),
        (ipv4(tcp())[:10] + b"\0\0" + ipv4(tcp())[12:], BAD_CHECKSUM),
        (ipv4(tcp(), words=4), BAD_HEADER_LENGTH),
        (ipv4(b"", words=6), BAD_HEADER_LENGTH),
        (ipv4(tcp(), length=41), BEYOND_DATA),
        (ipv4(tcp(), length=19), WITHIN_HEADER),
        (ipv4(tcp(), length=0), WITHIN_HEADER),
        (ipv4(tcp(), options=bytes(8), length=27), WITHIN_HEADER),
        (ipv6(tcp(), length=21), BEYOND_DATA),
        (ipv6(tcp(), source="ff02::1"), BAD_ADDRESS),
        (ipv6(tcp(), source="::1"), BAD_ADDRESS),
        (ipv6(tcp(), destination="::1"), BAD_ADDRESS),
        (ipv6(tcp(), destination="ff00::1"), BAD_ADDRESS),
        (ipv6(tcp(), destination="ff11::1"), BAD_ADDRESS),
        (ipv6(tcp(), destination="ff02::1"), ""),
        (ipv6(tcp(), source="::"), ""),
        (ipv4(tcp(), length=39), ""),
        (ipv6(tcp(), length=19), ""),
    ],
)
def test_what_linux_drops_before_the_rules_is_flagged(data: bytes, why: str) -> None:
    assert decoded(data).dropped_by_stack == why


@pytest.mark.parametrize("sum_field", range(0, 0x10000, 0x0101))
def test_a_checksum_is_right_where_the_internet_checksum_says_so(sum_field: int) -> None:
    data = ipv4(tcp())
    right = int.from_bytes(data[10:12], "big")
    changed = data[:10] + sum_field.to_bytes(2, "big") + data[12:]
    assert (decoded(changed).dropped_by_stack == "") == (sum_field == right)


def test_a_header_whose_version_is_another_carries_nothing() -> None:
    found = decoded(ipv4(tcp(), version=6), 228)
    assert (found.dropped_by_stack, found.source_port) == (BAD_VERSION, None)
    found = decoded(ipv6(tcp(), version=4), 229)
    assert (found.dropped_by_stack, found.source_port) == (BAD_VERSION, None)


def test_a_snapped_packet_is_not_one_that_arrived_short() -> None:
    for whole in (ipv4(tcp(bytes(100))), ipv6(tcp(bytes(100)))):
        found = decoded(whole[:64], on_wire=len(whole))
        assert (found.dropped_by_stack, found.length, found.end) == ("", len(whole), 64)
        assert decoded(whole[:64], on_wire=len(whole) - 1).dropped_by_stack == BEYOND_DATA
    options = ipv4(tcp(), options=bytes(12))
    assert decoded(options[:24], on_wire=len(options)).dropped_by_stack == ""


def test_a_length_below_the_frame_ends_the_packet() -> None:
    found = decoded(ipv4(tcp(b"abcd"), length=42))
    assert (found.payload, found.end) == (40, 42)


def test_a_fragment_of_ipv4_has_ports_in_its_first_piece_alone() -> None:
    first = decoded(ipv4(tcp(), cut=0x2000, identification=0xABCD))
    assert (first.fragment, first.destination_port) == (Fragment(0xABCD, 0, True), 25)
    for cut, place in ((0x2001, (8, True)), (0x1FFF, (65528, False))):
        later = decoded(ipv4(tcp(), cut=cut, identification=0xABCD))
        assert later.fragment == Fragment(0xABCD, *place)
        assert (later.protocol, later.source_port, later.flags, later.payload) == (TCP, None, None, 20)
    assert decoded(ipv4(tcp(), cut=0x4000)).fragment is None  # don't fragment
    assert decoded(ipv4(b"\x08\x00" + bytes(6), 1, cut=1)).icmp_type is None


def test_the_transport_header_is_found_behind_extension_headers() -> None:
    chain = extension(ROUTING) + extension(DESTINATION_OPTIONS, 1) + extension(TCP, 3)
    data = ipv6(chain + tcp(b"payload"), HOP_BY_HOP)
    found = decoded(data)
    assert (found.protocol, found.transport, found.destination_port) == (TCP, 40 + len(chain), 25)
    assert data[found.payload : found.end] == b"payload"
    assert found.dropped_by_stack == ""


def test_ah_ends_the_walk_and_hides_ports() -> None:
    found = decoded(ipv6(extension(AH) + ah(TCP) + tcp(), DESTINATION_OPTIONS))
    assert (found.protocol, found.transport, found.source_port) == (AH, 48, None)
    assert decoded(ipv4(ah(TCP) + tcp(), AH)).protocol == AH


@pytest.mark.parametrize("protocol", [135, 139, 140, 50, 41, NO_NEXT])
def test_what_linux_knows_as_no_extension_header_ends_the_walk(protocol: int) -> None:
    found = decoded(ipv6(extension(protocol) + extension(TCP) + tcp(), DESTINATION_OPTIONS))
    assert (found.protocol, found.transport, found.source_port) == (protocol, 48, None)


@pytest.mark.parametrize(
    ("payload", "first"),
    [
        (b"", DESTINATION_OPTIONS),
        (b"\x06", DESTINATION_OPTIONS),
        (b"\x06", AH),
        (b"\x06\0\0", ROUTING),
        (b"\x06\0\0", FRAGMENT),
        (extension(DESTINATION_OPTIONS), DESTINATION_OPTIONS),
    ],
)
def test_a_chain_that_breaks_off_leaves_no_protocol(payload: bytes, first: int) -> None:
    found = decoded(ipv6(payload, first))
    assert (found.protocol, found.source_port, found.payload) == (None, None, found.transport)


def test_a_header_that_reaches_behind_the_packet_names_a_protocol_without_ports() -> None:
    found = decoded(ipv6(extension(TCP, 3)[:8], DESTINATION_OPTIONS))
    assert (found.protocol, found.source_port, found.transport) == (TCP, None, 48)


def test_a_fragment_of_ipv6_is_walked_as_the_kernel_does() -> None:
    first = decoded(ipv6(fragment_header(TCP, 0, more=True) + tcp(bytes(4)), FRAGMENT))
    assert (first.protocol, first.fragment, first.destination_port) == (TCP, Fragment(0xCAFE, 0, True), 25)
    later = decoded(ipv6(extension(FRAGMENT) + fragment_header(UDP, 1448, more=False) + tcp(), DESTINATION_OPTIONS))
    assert (later.protocol, later.fragment, later.source_port) == (UDP, Fragment(0xCAFE, 1448, False), None)
    assert later.payload == later.transport == 40 + 16
    atomic = decoded(ipv6(fragment_header(TCP, 0, more=False) + tcp(), FRAGMENT))
    assert (atomic.fragment, atomic.destination_port) == (Fragment(0xCAFE, 0, False), 25)


def test_a_later_fragment_that_begins_with_an_extension_header_has_no_protocol() -> None:
    for following in (DESTINATION_OPTIONS, AH, FRAGMENT):
        found = decoded(ipv6(fragment_header(following, 8, more=True) + tcp(), FRAGMENT))
        assert (found.protocol, found.fragment) == (None, Fragment(0xCAFE, 8, True))
    assert decoded(ipv6(fragment_header(NO_NEXT, 8, more=True) + tcp(), FRAGMENT)).protocol == NO_NEXT


def test_of_two_fragment_headers_the_first_is_told_and_both_hide_ports() -> None:
    payload = fragment_header(FRAGMENT, 0, more=True) + fragment_header(TCP, 8, more=False, identification=1) + tcp()
    found = decoded(ipv6(payload, FRAGMENT))
    assert (found.protocol, found.fragment, found.source_port) == (TCP, Fragment(0xCAFE, 0, True), None)


def test_a_fragment_header_behind_ah_is_told_as_defragmentation_finds_it() -> None:
    found = decoded(ipv6(ah(FRAGMENT) + fragment_header(TCP, 8, more=True) + tcp(), AH))
    assert (found.protocol, found.fragment) == (AH, Fragment(0xCAFE, 8, True))
    assert decoded(ipv6(ah(TCP) + tcp(), AH)).fragment is None


PADDING = b"\x01\x02\0\0"
JUMBO = b"\xc2\x04" + (65536).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (b"\x05\x02\0\0\x01\0", ""),  # router alert
        (b"\x05\x03\0\0\0\0", BAD_HOP_BY_HOP),
        (b"\0" * 6, ""),
        (b"\x01\x04" + bytes(4), ""),
        (b"\x01\x04\0\0\0\x01", BAD_HOP_BY_HOP),
        (b"\x01\x05" + bytes(5) + b"\x1e\x05" + bytes(5), ""),
        (b"\x01\x06" + bytes(6) + b"\x1e\x04" + bytes(4), BAD_HOP_BY_HOP),
        (b"\0" + PADDING + PADDING + b"\x1e\x03" + bytes(3), BAD_HOP_BY_HOP),
        (b"\x1e\x04" + bytes(4), ""),
        (b"\x5e\x04" + bytes(4), BAD_HOP_BY_HOP),
        (b"\x9e\x04" + bytes(4), BAD_HOP_BY_HOP),
        (b"\xde\x04" + bytes(4), BAD_HOP_BY_HOP),
        (b"\x1e\x05" + bytes(4), BAD_HOP_BY_HOP),
        (b"\x01\x03\0\0\0\x1e", BAD_HOP_BY_HOP),
        (b"\x1e\0" * 7, ""),
        (b"\x1e\0" * 8 + PADDING + b"\0\0", ""),
        (b"\x1e\0" * 11, BAD_HOP_BY_HOP),
        (JUMBO, BAD_HOP_BY_HOP),
        (b"\x07\x08\0\0\0\x01\0\0\x03\xd3" + PADDING, BAD_HOP_BY_HOP),  # a CALIPSO label without a fault
        (b"\0\0\x31\x02\0\0", ""),
        (b"\x31\x04" + bytes(4), BAD_HOP_BY_HOP),  # IOAM wants to be aligned to 4 bytes
    ],
)
def test_hop_by_hop_options_are_refused_as_linux_refuses_them(options: bytes, why: str) -> None:
    found = decoded(ipv6(hop(options) + tcp(), HOP_BY_HOP))
    assert found.dropped_by_stack == why
    assert found.destination_port == 25


def test_a_hop_by_hop_header_that_is_not_whole_is_refused() -> None:
    assert decoded(ipv6(b"\x06\0\x01", HOP_BY_HOP)).dropped_by_stack == BAD_HOP_BY_HOP
    assert decoded(ipv6(b"\x06\x01" + bytes(6), HOP_BY_HOP)).dropped_by_stack == BAD_HOP_BY_HOP
    whole = ipv6(hop(b"\x1e\x0c" + bytes(12)) + tcp(), HOP_BY_HOP)
    assert decoded(whole[:50], on_wire=len(whole)).dropped_by_stack == ""


def test_a_jumbo_payload_is_as_long_as_its_option_says() -> None:
    body = hop(JUMBO) + tcp()
    body += bytes(65536 - len(body))
    found = decoded(ipv6(body + bytes(10), HOP_BY_HOP, length=0))
    assert (found.length, found.dropped_by_stack, found.destination_port) == (65576, "", 25)
    assert decoded(ipv6(body[:-1], HOP_BY_HOP, length=0)).dropped_by_stack == BEYOND_DATA
    small = hop(b"\xc2\x04" + (65535).to_bytes(4, "big")) + tcp()
    assert decoded(ipv6(small, HOP_BY_HOP, length=0)).dropped_by_stack == BAD_HOP_BY_HOP
    assert (
        decoded(ipv6(hop(b"\x1e\0" + b"\xc2\x03\0\1" + b"\0\0") + tcp(), HOP_BY_HOP, length=0)).dropped_by_stack == BAD_HOP_BY_HOP
    )


def test_without_a_payload_length_hop_by_hop_takes_all_that_arrived() -> None:
    found = decoded(ipv6(hop(b"\x01\x04" + bytes(4)) + tcp(), HOP_BY_HOP, length=0))
    assert (found.length, found.dropped_by_stack, found.destination_port) == (68, "", 25)
    found = decoded(ipv6(tcp(), length=0))
    assert (found.length, found.end, found.source_port) == (40, 40, None)


def test_headers_cut_within_their_addresses_are_not_guessed_at() -> None:
    assert reason(ipv4()[:19]) == "the IPv4 header is cut off"
    assert reason(ipv6()[:39]) == "the IPv6 header is cut off"
