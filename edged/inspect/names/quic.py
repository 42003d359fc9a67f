"""The host name in a QUIC client's Initial packets (RFC 9000 section 17.2), and in the opening of older Google QUIC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edged.inspect.names import gquic
from edged.inspect.names.answers import Hello, NeedMore
from edged.inspect.names.quic_frames import CryptoStream, varint
from edged.inspect.names.quic_versions import VERSIONS, Version, is_reserved
from edged.inspect.names.tls import NotTls, client_hello

if TYPE_CHECKING:
    from edged.inspect.names.quic_initial import ClientKeys

MOST_DATAGRAMS = 16

_LONG = 0x80
_OPENS = _LONG | 0x08  # of a long header, or of older Google QUIC with a connection id
_LONGEST_CONNECTION_ID = 20
_LEAST_DATAGRAM = 1200  # a client's first, RFC 9000 section 14.1
_MOST_PACKETS = 4  # of one datagram: what nobody sent in earnest costs two decryptions a packet


@dataclass(frozen=True, slots=True)
class NotQuic:
    """What came is no QUIC client's opening, or none that is read; or it was one, and nothing of it will tell a name any more."""


NOT_QUIC = NotQuic()


class _Packet(NamedTuple):
    """A packet with a long header and a length, from its first byte to its last; its number begins at `number_at` of them."""

    version: Version
    kind: int
    destination: bytes
    octets: bytes
    number_at: int


def may_be_opening(datagram: bytes) -> bool:
    """Whether InitialHello would take this for a flow's first datagram; telling so costs no decryption."""
    if not (datagram and datagram[0] & _OPENS):
        return False
    if gquic.is_client_packet(datagram):
        return True
    version = _version(datagram, 0)
    return version in VERSIONS or (is_reserved(version) and len(datagram) >= _LEAST_DATAGRAM)


class InitialHello:
    """Reads the opening of one client, datagram by datagram, of which it takes MOST_DATAGRAMS.

    The keys are those of the first Initial packet that opens under its own destination connection id. Later ones may have another
    (RFC 9000 section 7.2); one that opens only under its own begins a connection, as after a Retry, and what came before is
    forgotten. A datagram costs 2 * _MOST_PACKETS decryptions at most, and one as a rule.
    """

    __slots__ = ("_crypto", "_datagrams", "_destination", "_keys", "_version")

    def __init__(self) -> None:
        self._datagrams = 0
        self._keys: ClientKeys | None = None
        self._version: Version | None = None
        self._destination = b""
        self._crypto = CryptoStream()

    @property
    def held(self) -> int:
        """Bytes of memory that the client's bytes take: twice LONGEST at most."""
        return self._crypto.held

    def take(self, datagram: bytes) -> Hello | NeedMore | NotQuic:
        """What is known of the ClientHello with this datagram of the client; after a Hello or NotQuic there is nothing to ask."""
        self._datagrams += 1
        if self._datagrams > MOST_DATAGRAMS or (self._datagrams == 1 and not may_be_opening(datagram)):
            return NOT_QUIC
        if gquic.is_client_packet(datagram):
            return gquic.chlo(datagram)
        for packet in _packets(datagram):
            if packet.kind == packet.version.initial and (frames := self._open(packet)) is not None:
                self._crypto.take(frames)
        answer = client_hello(self._crypto.beginning())
        return NOT_QUIC if isinstance(answer, NotTls) else answer

    def retry(self, datagram: bytes) -> None:
        """Look at a datagram of the server's: where it is a Retry, the client will begin afresh (RFC 9000 section 17.2.5)."""
        version = VERSIONS.get(_version(datagram, 0))
        if version is not None and datagram[0] >> 4 & 3 == version.retry:
            self._keys = None
            self._crypto = CryptoStream()

    def _open(self, packet: _Packet) -> bytes | None:
        from edged.inspect.names.quic_initial import ClientKeys  # noqa: PLC0415  cryptography, for gateways that inspect

        if self._keys is not None and packet.version is self._version:
            frames = self._keys.open(packet.octets, packet.number_at)
            if frames is not None or packet.destination == self._destination:
                return frames
        keys = ClientKeys(packet.version, packet.destination)
        frames = keys.open(packet.octets, packet.number_at)
        if frames is not None:
            self._keys, self._version, self._destination = keys, packet.version, packet.destination
            self._crypto = CryptoStream()
        return frames


def _version(datagram: bytes, at: int) -> int:
    """The version of a long header that begins there; 0, which is no version but means Version Negotiation, where none does."""
    return int.from_bytes(datagram[at + 1 : at + 5], "big") if len(datagram) - at >= 7 and datagram[at] & _LONG else 0


def _packets(datagram: bytes) -> Iterator[_Packet]:
    """The packets of a datagram, as long as they have a long header, a known version and the first one's destination."""
    first = packet = _packet(datagram, 0)
    at = 0
    for _ in range(_MOST_PACKETS):
        # RFC 9000 section 12.2: a receiver should ignore what is for another connection id than the first packet
        if first is None or packet is None or packet.destination != first.destination:
            return
        yield packet
        at += len(packet.octets)
        packet = _packet(datagram, at)


def _packet(datagram: bytes, at: int) -> _Packet | None:
    """The packet that begins there; None where there is none with a long header and a length, whole, of a known version."""
    version = VERSIONS.get(_version(datagram, at))
    if version is None:
        return None
    kind = datagram[at] >> 4 & 3
    destination_at = at + 6
    source_at = destination_at + datagram[at + 5]
    if kind == version.retry or source_at - destination_at > _LONGEST_CONNECTION_ID or source_at >= len(datagram):
        return None
    place = source_at + 1 + datagram[source_at]
    if kind == version.initial:
        token, place = varint(datagram, place)
        place += token
    length, place = varint(datagram, place)
    end = place + length
    if end > len(datagram):
        return None
    return _Packet(version, kind, datagram[destination_at:source_at], datagram[at:end], place - at)
