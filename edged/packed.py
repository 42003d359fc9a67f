"""Prefixes by the million: packed in numpy arrays, pure.

    Entries   what a list says, as it says it: prefixes of all lengths of one family, each with its line
    Keys      the network addresses of one family and one prefix length, sorted, each once: what a hash set of the kernel holds
    Prefixes  a disjoint union of Keys, one a length: a list's meaning, in which nothing covers anything else

An address is packed as the kernel's key: four bytes as a number for IPv4, sixteen bytes as they stand on the wire for IPv6. Both
sort as numbers do. Nothing here loops over elements in Python but where a hole is cut into a prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2s
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edged.addresses import Family, Prefix, span

Packed: TypeAlias = NDArray[Any]  # u4 for IPv4, S16 for IPv6


_FEW = 1 << 26


def pack(family: Family, wire: bytes | bytearray) -> Packed:
    """The addresses that stand one after the other in network byte order, packed."""
    packed: Packed = np.frombuffer(wire, ">u4").astype("=u4") if family is Family.IPV4 else np.frombuffer(wire, "S16")
    return packed


def unpack(family: Family, packed: Packed) -> bytes:
    """The addresses in network byte order, one after the other."""
    wire: bytes = packed.astype(">u4").tobytes() if family is Family.IPV4 else packed.tobytes()
    return wire


def numbers(family: Family, packed: Packed) -> Iterator[int]:
    """The addresses as numbers, in their order."""
    wire, width = unpack(family, packed), family.bits // 8
    return (int.from_bytes(wire[place : place + width], "big") for place in range(0, len(wire), width))


def pack_number(family: Family, value: int) -> Packed:
    """One address, as an array of one."""
    return pack(family, value.to_bytes(family.bits // 8, "big"))


def masked(family: Family, packed: Packed, length: int) -> Packed:
    """The network addresses of that prefix length around the addresses."""
    if length == family.bits:
        return packed
    mask = ((1 << family.bits) - (1 << (family.bits - length))).to_bytes(family.bits // 8, "big")
    if family is Family.IPV4:
        network: Packed = packed & pack(family, mask)[0]
        return network
    octets = np.frombuffer(packed.tobytes(), np.uint8).reshape(-1, 16) & np.frombuffer(mask, np.uint8)
    return np.frombuffer(octets.tobytes(), "S16")


def _among(wanted: Packed, ordered: Packed) -> NDArray[np.bool_]:
    """Which of the wanted are among the ordered."""
    if not len(ordered):
        return np.zeros(len(wanted), bool)
    places = np.searchsorted(ordered, wanted)
    places[places == len(ordered)] = 0
    return np.asarray(ordered[places] == wanted)


@dataclass(frozen=True, eq=False)
class Entries:
    """What a list says of one family: entry n is the prefix `addresses[n]/lengths[n]` (no host bits set) on line `lines[n]`.

    Sorted by address, then length, then line; may repeat and overlap itself.
    """

    family: Family
    addresses: Packed
    lengths: NDArray[np.uint8]
    lines: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.addresses)

    @staticmethod
    def empty(family: Family) -> Entries:
        """No entry."""
        return Entries.ordered(family, pack(family, b""), np.zeros(0, np.uint8), np.zeros(0, np.uint32))

    @staticmethod
    def ordered(family: Family, addresses: Packed, lengths: NDArray[np.uint8], lines: NDArray[np.uint32]) -> Entries:
        """The entries, brought into order."""
        if family is Family.IPV4 and len(addresses) < _FEW and (lines[1:] > lines[:-1]).all():
            # as they stand in a file: one number that sorts by address, length and place at once takes half the time
            packed = addresses.astype("u8") << 32 | lengths.astype("u8") << 26 | np.arange(len(addresses), dtype="u8")
            packed.sort()
            order = (packed & (_FEW - 1)).astype(np.intp)
        else:
            order = np.lexsort((lines, lengths, addresses)) if len(addresses) else np.zeros(0, np.intp)
        return Entries(family, addresses[order], lengths[order], lines[order])

    @cached_property
    def present_lengths(self) -> tuple[int, ...]:
        """The prefix lengths that occur, the shortest first."""
        return tuple(int(length) for length in np.flatnonzero(np.bincount(self.lengths, minlength=1)))

    def around(self, address: int) -> Iterator[tuple[int, int]]:
        """The entries that hold the address, as (prefix length, line), the shortest prefix first."""
        for length in self.present_lengths:
            yield from self._exactly(address & ~((1 << (self.family.bits - length)) - 1), length)

    def _exactly(self, network: int, length: int) -> Iterator[tuple[int, int]]:
        key = pack_number(self.family, network)[0]
        first, last = np.searchsorted(self.addresses, key, "left"), np.searchsorted(self.addresses, key, "right")
        for place in range(int(first), int(last)):
            if self.lengths[place] == length:
                yield length, int(self.lines[place])

    def meeting(self, prefix: Prefix) -> Iterator[tuple[int, int, int]]:
        """The entries that share an address with the prefix, as (network address, prefix length, line)."""
        extent = span(prefix)
        for length in self.present_lengths:
            if length >= prefix.prefixlen:
                break
            network = extent.first & ~((1 << (self.family.bits - length)) - 1)
            for _, line in self._exactly(network, length):
                yield network, length, line
        first = np.searchsorted(self.addresses, pack_number(self.family, extent.first)[0], "left")
        last = np.searchsorted(self.addresses, pack_number(self.family, extent.last)[0], "right")
        for place in range(int(first), int(last)):
            if self.lengths[place] >= prefix.prefixlen:
                wire = unpack(self.family, self.addresses[place : place + 1])
                yield int.from_bytes(wire, "big"), int(self.lengths[place]), int(self.lines[place])


@dataclass(frozen=True, eq=False)
class Keys:
    """The network addresses of one family and one prefix length, sorted, each once; equal by what they hold."""

    family: Family
    length: int
    addresses: Packed

    def __len__(self) -> int:
        return len(self.addresses)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keys) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Keys({self.family.value}/{self.length}, {len(self)}, {self.digest})"

    @staticmethod
    def of(family: Family, length: int, networks: Iterable[int]) -> Keys:
        """The keys of these network addresses."""
        wire = b"".join(network.to_bytes(family.bits // 8, "big") for network in networks)
        return Keys(family, length, np.unique(pack(family, wire)))

    def none(self) -> Keys:
        """No key, of the same family and length."""
        return Keys(self.family, self.length, self.addresses[:0])

    def parts(self, most: int) -> Iterator[Keys]:
        """The same in order, so many at a time."""
        return (Keys(self.family, self.length, self.addresses[first : first + most]) for first in range(0, len(self), most))

    @cached_property
    def digest(self) -> str:
        """16 hex digits over all of it."""
        head = f"{self.family.value}/{self.length}:{len(self)}:".encode()
        return blake2s(head + unpack(self.family, self.addresses), digest_size=8).hexdigest()

    def holds(self, address: int) -> bool:
        """Whether a key is the network address around that address."""
        host = self.family.bits - self.length
        network = pack_number(self.family, address >> host << host)[0]
        place = self.addresses.searchsorted(network)
        return bool(place < len(self.addresses) and self.addresses[place] == network)

    def networks(self) -> Iterator[int]:
        """The network addresses as numbers, in order."""
        return numbers(self.family, self.addresses)

    def minus(self, other: Keys) -> Keys:
        """The keys that are not in the other, of the same family and length."""
        return Keys(self.family, self.length, self.addresses[~_among(self.addresses, other.addresses)])

    def plus(self, other: Keys) -> Keys:
        """The keys of both, of the same family and length."""
        return Keys(self.family, self.length, np.union1d(self.addresses, other.addresses).astype(self.addresses.dtype))

    @property
    def wire(self) -> bytes:
        """The keys in network byte order, one after the other."""
        return unpack(self.family, self.addresses)


@dataclass(frozen=True)
class Prefixes:
    """Disjoint prefixes of one family: by length, the shortest first; no length is empty. Equal by what they hold."""

    family: Family
    by_length: Mapping[int, Keys] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.by_length.values()))

    @cached_property
    def digest(self) -> str:
        """16 hex digits over all of it."""
        return blake2s("".join(keys.digest for keys in self.by_length.values()).encode(), digest_size=8).hexdigest()

    def holds(self, address: int) -> bool:
        """Whether a prefix holds the address."""
        return any(keys.holds(address) for keys in self.by_length.values())

    @staticmethod
    def merged(family: Family, lists: Sequence[Entries]) -> Prefixes:
        """The union of the lists: an address is in it while any list has it; what another entry covers is left out."""
        found: dict[int, Keys] = {}
        for length in sorted({length for each in lists for length in each.present_lengths}):
            parts = [each.addresses[each.lengths == length] for each in lists]
            addresses = _unique(parts)
            for shorter, keys in found.items():
                addresses = addresses[~_among(masked(family, addresses, shorter), keys.addresses)]
            if len(addresses):
                found[length] = Keys(family, length, addresses)
        return Prefixes(family, found)

    def without(self, holes: Iterable[Prefix]) -> Prefixes:
        """The same addresses but for those in the holes; a prefix around a hole is split around it."""
        found = dict(self.by_length)
        for hole in holes:
            if Family.of(hole) is self.family:
                _cut(self.family, found, hole)
        return Prefixes(self.family, {length: found[length] for length in sorted(found) if len(found[length])})

    def only(self, lengths: Iterable[int]) -> Prefixes:
        """Those of some lengths."""
        wanted = frozenset(lengths)
        return Prefixes(self.family, {length: keys for length, keys in self.by_length.items() if length in wanted})


def _unique(parts: Sequence[Packed]) -> Packed:
    """All of the ordered parts in order, each once."""
    parts = [part for part in parts if len(part)] or list(parts[:1])
    together = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))
    if len(together) < 2:
        return together
    first = np.empty(len(together), bool)
    first[0] = True
    np.not_equal(together[1:], together[:-1], out=first[1:])
    return together if first.all() else together[first]


def _cut(family: Family, found: dict[int, Keys], hole: Prefix) -> None:
    """Take the hole out of the disjoint prefixes."""
    extent = span(hole)
    low, high = pack_number(family, extent.first)[0], pack_number(family, extent.last)[0]
    for length, keys in list(found.items()):
        if length >= hole.prefixlen:
            first, last = np.searchsorted(keys.addresses, low, "left"), np.searchsorted(keys.addresses, high, "right")
            if first != last:
                found[length] = Keys(family, length, np.delete(keys.addresses, np.s_[first:last]))
        elif keys.holds(extent.first):
            network = extent.first & ~((1 << (family.bits - length)) - 1)
            found[length] = keys.minus(Keys.of(family, length, (network,)))
            # the halves that the hole is not in, one a length down to the hole's
            for longer in range(length + 1, hole.prefixlen + 1):
                bit = 1 << (family.bits - longer)
                sibling = Keys.of(family, longer, ((extent.first & ~(bit - 1)) ^ bit,))
                found[longer] = found[longer].plus(sibling) if longer in found else sibling
