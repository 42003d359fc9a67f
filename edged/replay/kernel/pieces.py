"""Which pieces of cut packets the kernel has put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.addresses import Family
from edged.packet.layers import AH, Decoded

_PATIENCE = 61.0  # seconds: nf_conntrack_frag6_timeout, the longer of the two, and a second more

Key = tuple[Family, int, int, int, int | None]


@dataclass(frozen=True, slots=True)
class _Piece:
    mark: int
    first: int
    end: int


@dataclass(slots=True)
class _Group:
    """The pieces of one packet so far."""

    since: float
    pieces: list[_Piece] = field(default_factory=list)


class Pieces:
    """The pieces that wait for the rest of their packet; each method tells those that wait no longer, by their marks."""

    def __init__(self) -> None:
        self._groups: dict[Key, _Group] = {}

    def add(self, mark: int, packet: Decoded, now: float) -> list[int]:
        """A piece arrived; given back are those that the kernel now discards (net/ipv4/inet_fragment.c).

        That is the piece itself where all of it has come before, and all of its packet where it overlaps another.
        """
        key = key_of(packet)
        group = self._groups.setdefault(key, _Group(now))
        piece = _Piece(mark, *_extent(packet))
        for other in group.pieces:
            if other.first <= piece.first and piece.end <= other.end:
                return [mark]
            if other.first < piece.end and piece.first < other.end:
                return [*self.take(packet), mark]
        group.pieces.append(piece)
        return []

    def take(self, packet: Decoded) -> list[int]:
        """The packet that this is a piece of is whole."""
        return [piece.mark for piece in self._groups.pop(key_of(packet)).pieces]

    def expired(self, now: float) -> list[int]:
        """Those that have waited longer than the kernel does."""
        over = [key for key, group in self._groups.items() if now - group.since > _PATIENCE]
        return [piece.mark for key in over for piece in self._groups.pop(key).pieces]


def key_of(packet: Decoded) -> Key:
    """What pieces of one packet have in common: of IPv4 the protocol too (RFC 791 section 3.2, RFC 8200 section 4.5)."""
    identification = packet.fragment.identification if packet.fragment else 0
    protocol = packet.protocol if packet.family is Family.IPV4 else None
    return packet.family, packet.source, packet.destination, identification, protocol


def _extent(packet: Decoded) -> tuple[int, int]:
    """The first byte that a piece holds of what was cut, and the one behind its last."""
    first = packet.fragment.offset if packet.fragment else 0
    if packet.protocol == AH and packet.family is Family.IPV6:
        return first, first + 1  # the decoder stops there, which may be in front of the fragment header
    return first, first + packet.network + packet.length - packet.transport
