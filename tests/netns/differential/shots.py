"""The packets of the differential test: what is in one, its bytes on the wire, and what the model is told of it.

A shot is one whole packet. It may go over the wire in fragments: the router reassembles it before any rule sees it, and the
whole is what the model judges. Its number stands in the IPv4 identification or the IPv6 flow label, so that traces and
captures name it; the DSCP tells the router which way it goes out, and whether it is to be tracked.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from edged.addresses import Address
from edged.packet.packet import Packet

TCP, UDP, ICMP, ICMPV6, FRAGMENT, AH = 6, 17, 1, 58, 44, 51
HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING = 0, 60, 43
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

INTERFACES = ("lan0", "ppp0", "wan0", "wan1")
OURS = 32  # the DSCP of every shot has this bit, then one that says untracked, then the way out
UNTRACKED = 4

ISN = 1000  # the sequence number that a flow's opener begins with; its peer begins with PEER_ISN
PEER_ISN = 5_000_000


@dataclass(frozen=True)
class Tcp:
    """A TCP header, of which only the first `length` bytes are there."""

    sport: int
    dport: int
    flags: int = SYN
    seq: int = ISN
    ack: int = 0
    length: int = 20
    good_checksum: bool = True


@dataclass(frozen=True)
class Udp:
    """A UDP header, of which only the first `length` bytes are there."""

    sport: int
    dport: int
    length: int = 8
    good_checksum: bool = True


@dataclass(frozen=True)
class Echo:
    """An ICMP or ICMPv6 echo."""

    request: bool
    ident: int


@dataclass(frozen=True)
class Unreachable:
    """ICMP's word that a datagram, sent from this shot's destination, did not arrive: at this shot's source, or at `end`."""

    about: Udp
    end: Address | None = None


@dataclass(frozen=True)
class Other:
    """Another protocol; its first bytes look like ports of mail and DNS, and are none."""

    protocol: int


Form = Tcp | Udp | Echo | Unreachable | Other


@dataclass(frozen=True)
class Shot:
    """One whole packet."""

    number: int
    came_in: str
    goes_out: str
    source: Address
    destination: Address
    form: Form
    before_rules: bool = False
    tracked: bool = True
    options: int = 0  # IPv4: bytes of options, a multiple of 4
    extensions: tuple[int, ...] = ()  # IPv6: extension headers, in order
    cuts: tuple[int, ...] = ()  # where what can be cut is cut into fragments, in bytes, multiples of 8
    backwards: bool = False  # the last fragment is sent first

    def packet(self) -> Packet:
        """The packet as the model is told of it."""
        ends = (self.came_in, self.goes_out, self.source, self.destination)
        if self.stays_fragment:
            return Packet(*ends, FRAGMENT)
        if AH in self.extensions:
            return Packet(*ends, AH)
        if isinstance(self.form, Tcp | Udp):
            sport = self.form.sport if self.form.length >= 2 else None
            dport = self.form.dport if self.form.length >= 4 else None
            return Packet(*ends, self.protocol, sport, dport)
        return Packet(*ends, self.protocol)

    @property
    def stays_fragment(self) -> bool:
        """Whether the router lets the first fragment by as it is: one of IPv6 that ends within the upper header.

        Linux does not keep such a one for reassembly (ipv6frag_thdr_truncated, RFC 8200 section 4.5).
        """
        if not self.cuts or self.source.version == 4:
            return False
        if self.ends_within_headers:
            return False  # Linux does not notice, and puts the packet together
        needed = {TCP: 20, UDP: 8, ICMPV6: 8}.get(self.protocol, 1)
        return self.cuts[0] < len(_extension_chain(self._cut_extensions, self.protocol)) + needed

    @property
    def ends_within_headers(self) -> bool:
        """Whether the first fragment of IPv6 ends before an extension header that is to come.

        Linux puts it together for the rules, and then, with or without rules, fails to send most of them on (Ip6FragFails).
        """
        starts = [len(_extension_chain(self._cut_extensions[:count], 0)) for count in range(1, len(self._cut_extensions))]
        return bool(self.cuts) and any(start >= self.cuts[0] for start in starts)

    @property
    def protocol(self) -> int:
        """The number of what is behind all headers."""
        match self.form:
            case Tcp():
                return TCP
            case Udp():
                return UDP
            case Echo() | Unreachable():
                return ICMP if self.source.version == 4 else ICMPV6
            case Other(protocol):
                return protocol

    @property
    def _whole_extensions(self) -> tuple[int, ...]:
        """The extension headers that every fragment repeats (RFC 8200 section 4.5)."""
        return tuple(header for header in self.extensions if header in (HOP_BY_HOP, ROUTING)) if self.cuts else self.extensions

    @property
    def _cut_extensions(self) -> tuple[int, ...]:
        return tuple(header for header in self.extensions if header not in (HOP_BY_HOP, ROUTING)) if self.cuts else ()

    def datagrams(self, serial: int = 0) -> list[bytes]:
        """The IP packets, in the order they are sent; what has no other serial may meet fragments of the last one's."""
        payload = transport(self.form, self.source, self.destination)
        made = self._ipv4(payload) if self.source.version == 4 else self._ipv6(payload, serial)
        return made[::-1] if self.backwards else made

    @property
    def _dscp(self) -> int:
        return OURS | (0 if self.tracked else UNTRACKED) | INTERFACES.index(self.goes_out)

    def _ipv4(self, payload: bytes) -> list[bytes]:
        options = b"\x01" * self.options  # no operation, RFC 791 section 3.1
        length = 20 + len(options)
        made = []
        for offset, part, more in _parts(payload, self.cuts):
            head = struct.pack(
                "!BBHHHBBH4s4s",
                0x40 | length // 4,
                self._dscp << 2,
                length + len(part),
                self.number,
                (0x2000 if more else 0) | offset // 8,
                64,
                self.protocol,
                0,
                self.source.packed,
                self.destination.packed,
            )
            head += options
            made.append(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + part)
        return made

    def _ipv6(self, payload: bytes, serial: int) -> list[bytes]:
        cut = _extension_chain(self._cut_extensions, self.protocol) + payload
        first_cut = (*self._cut_extensions, self.protocol)[0]
        made = []
        for offset, part, more in _parts(cut, self.cuts):
            body, following = part, first_cut
            if self.cuts:
                body = struct.pack("!BBHI", first_cut, 0, offset | bool(more), serial << 16 | self.number) + part
                following = FRAGMENT
            body = _extension_chain(self._whole_extensions, following) + body
            first = (*self._whole_extensions, following)[0]
            word = 6 << 28 | self._dscp << 22 | self.number
            made.append(
                struct.pack("!IHBB16s16s", word, len(body), first, 64, self.source.packed, self.destination.packed) + body
            )
        return made


def _parts(data: bytes, cuts: tuple[int, ...]) -> list[tuple[int, bytes, bool]]:
    """Offset, bytes and whether more follow, for each part."""
    edges = [0, *(cut for cut in cuts if cut < len(data)), len(data)]
    return [(start, data[start:end], end < len(data)) for start, end in pairwise(edges)]


def _extension_chain(headers: tuple[int, ...], last: int) -> bytes:
    """IPv6 extension headers of 8 bytes (AH: 16), the last of which names what follows."""
    chain = b""
    for header, following in zip(headers, (*headers[1:], last), strict=False):
        if header == ROUTING:
            chain += struct.pack("!BBBBI", following, 0, 253, 0, 0)  # an experimental type (RFC 3692), at its end
        elif header == AH:
            chain += struct.pack("!BBHIII", following, 2, 0, 1, 1, 0)
        else:
            chain += struct.pack("!BBBB4s", following, 0, 1, 4, b"")  # PadN over the rest
    return chain


def transport(form: Form, source: Address, destination: Address) -> bytes:
    """What follows the last IP header, its checksum right where the form does not say otherwise."""
    match form:
        case Tcp():
            body = struct.pack("!HHIIBBHHH", form.sport, form.dport, form.seq, form.ack, 0x50, form.flags, 65535, 0, 0)
            whole = _checksummed(body, 16, TCP, source, destination, right=form.good_checksum)
            return whole[: form.length]
        case Udp():
            body = struct.pack("!HHHH", form.sport, form.dport, 24, 0) + bytes(16)
            whole = _checksummed(body, 6, UDP, source, destination, right=form.good_checksum)
            return whole if form.length >= 8 else whole[: form.length]
        case Echo():
            kind = (8 if form.request else 0) if source.version == 4 else (128 if form.request else 129)
            return _icmp(struct.pack("!BBHHH", kind, 0, 0, form.ident, 1) + bytes(16), source, destination)
        case Unreachable():
            lost = Shot(1, "lan0", "lan0", destination, form.end or source, form.about).datagrams()[0]
            kind, code = (3, 3) if source.version == 4 else (1, 4)
            return _icmp(struct.pack("!BBHI", kind, code, 0, 0) + lost, source, destination)
        case Other(132):
            init = struct.pack("!BBHIIHHI", 1, 0, 20, 7, 65535, 1, 1, 7)  # SCTP INIT, RFC 9260 section 3.3.2
            head = struct.pack("!HHI", 25, 25, 0)
            return head + struct.pack("<I", crc32c(head + bytes(4) + init)) + init
        case Other(47):
            return struct.pack("!HH", 0, 0x0800) + bytes(24)  # GRE, RFC 2784
        case Other():
            return struct.pack("!HHHH", 25, 25, 53, 53) + bytes(24)


def _icmp(body: bytes, source: Address, destination: Address) -> bytes:
    if source.version == 4:
        return body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return _checksummed(body, 2, ICMPV6, source, destination, right=True)


def _checksummed(body: bytes, place: int, protocol: int, source: Address, destination: Address, *, right: bool) -> bytes:
    pseudo = source.packed + destination.packed + struct.pack("!II", len(body), protocol)
    found = checksum(pseudo + body) or 0xFFFF
    if not right:
        found = found ^ 0x5555 or 0x1111
    return body[:place] + struct.pack("!H", found) + body[place + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of the data, whose own checksum field is nothing."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260 appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
