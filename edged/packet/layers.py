"""What the decoder says of a frame, and the numbers by which its layers name each other.

These are NamedTuples, and the decoder builds them without their Python constructor: one is made for every packet of a capture
and of the live queue.
"""

from __future__ import annotations

from typing import NamedTuple

from edged.addresses import Family

# Ethertypes (IEEE registration authority)
IPV4, IPV6 = 0x0800, 0x86DD
VLAN_TAGS = frozenset((0x8100, 0x88A8, 0x9100))  # 802.1Q, 802.1ad, and the tag that came before 802.1ad
PPPOE_SESSION = 0x8864
MPLS = frozenset((0x8847, 0x8848))
TRANSPARENT_ETHERNET = 0x6558
PPP = 0x880B

# Protocols (IANA protocol numbers)
HOP_BY_HOP, ICMP, IPV4_INSIDE, TCP, DCCP, UDP, IPV6_INSIDE, ROUTING, FRAGMENT = 0, 1, 4, 6, 33, 17, 41, 43, 44
GRE, AH, ICMPV6, NO_NEXT, DESTINATION, SCTP, UDP_LITE, MPLS_INSIDE = 47, 51, 58, 59, 60, 132, 136, 137

# Why Linux drops a packet before any hook that edged uses sees it: net/ipv4/ip_input.c, ip_rcv_core
BAD_VERSION = "the version field is not that of the protocol"
BAD_HEADER_LENGTH = "the header's length is less than a header or more than the packet"
BAD_CHECKSUM = "the IPv4 header's checksum is wrong"
BEYOND_DATA = "the length in the header is more than arrived"
WITHIN_HEADER = "the length in the header ends within the header"
# net/ipv6/ip6_input.c, ip6_rcv_core, and net/ipv6/exthdrs.c, ipv6_parse_hopopts
BAD_ADDRESS = "an IPv6 address that no wire may carry"
BAD_HOP_BY_HOP = "the hop-by-hop options are refused"

UNREADABLE_HEADERS = frozenset((BAD_VERSION, BAD_HEADER_LENGTH))


class Fragment(NamedTuple):
    """A packet's place in the one it was cut from: the first byte it holds, and whether more follow."""

    identification: int
    offset: int
    more: bool


class Before(NamedTuple):
    """What stood before an IP header.

    `vlans` and `labels` (MPLS) begin with the outermost; `source_mac` is an integer, None where the link has none.
    """

    vlans: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    source_mac: int | None = None
    pppoe_session: int | None = None


NOTHING_BEFORE = Before()


class Decoded(NamedTuple):
    """A frame's IP packet, as a router that receives the frame sees it.

    - `source`, `destination`: addresses as integers.
    - `protocol`: what nft's `meta l4proto` gives (ipv6_find_hdr): behind the extension headers of IPv6, up to AH. None where that
      chain breaks off, and nft has none.
    - ports, TCP fields and ICMP type and code are None where the protocol has none, where the packet is too short for them, and
      in every fragment but the first. `flags` are the nine bits from AE down to FIN.
    - `fragment`: None for a whole packet. Of IPv6 it is the first fragment header that conntrack's defragmentation finds, which
      looks behind AH too.
    - `length`: bytes of the IP packet by its header, which may be more than was captured.
    - `dropped_by_stack`: why Linux drops the packet before any rule sees it; empty where it does not.
    - `network` <= `transport` <= `payload` <= `end`: places in the frame's bytes. The payload is what the transport header
      carries, up to where IP and UDP lengths end it; it is empty where the transport header is not whole.
    """

    family: Family
    source: int
    destination: int
    protocol: int | None
    source_port: int | None
    destination_port: int | None
    flags: int | None
    sequence: int | None
    acknowledgement: int | None
    window: int | None
    icmp_type: int | None
    icmp_code: int | None
    fragment: Fragment | None
    hop_limit: int
    length: int
    dropped_by_stack: str
    network: int
    transport: int
    payload: int
    end: int
    before: Before


class Undecodable(NamedTuple):
    """A frame in which no IP packet was found, and why."""

    reason: str
