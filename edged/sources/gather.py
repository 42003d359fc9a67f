"""Texts to packed entries, thousands at a time: the C library reads the addresses, numpy checks the prefixes.

A batch without a mistake is one pass. In one with mistakes, halving finds them, so what is right in it stays fast.
"""

from __future__ import annotations

import socket
from functools import partial
from itertools import repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edged.addresses import Family
from edged.packed import Entries, Packed, pack
from edged.sources.parsed import BadLine, ListRefused, Parsed, Reason
from edged.sources.spelling import mistake

# a bound on memory: an entry takes up to 21 bytes, and up to 71 while the list is read
MOST_ENTRIES = 10_000_000

BATCH = 1 << 14  # texts, about; more are slower, as they leave the processor's caches

_MOST_TOLD = 20

_Part: TypeAlias = tuple[Packed, NDArray[np.uint8], NDArray[np.uint32]]

_READ = {
    Family.IPV4: partial(socket.inet_pton, socket.AF_INET),
    Family.IPV6: partial(socket.inet_pton, socket.AF_INET6),
}
_LENGTHS = {family: {str(length): length for length in range(family.bits + 1)} for family in Family}


def _host_bits(family: Family) -> Packed:
    """The host bits of each prefix length, as a number for IPv4 and as octets for IPv6."""
    width = family.bits // 8
    wire = b"".join(((1 << (family.bits - length)) - 1).to_bytes(width, "big") for length in range(family.bits + 1))
    return pack(family, wire) if family is Family.IPV4 else np.frombuffer(wire, np.uint8).reshape(-1, width)


_HOST_BITS = {family: _host_bits(family) for family in Family}


def has_host_bits(family: Family, addresses: Packed, lengths: NDArray[np.uint8]) -> bool:
    """Whether a bit is set behind an address's prefix length."""
    if len(lengths) == 0 or lengths.min() == family.bits:
        return False
    bits = addresses if family is Family.IPV4 else np.frombuffer(addresses.tobytes(), np.uint8).reshape(-1, 16)
    return bool(np.any(bits & _HOST_BITS[family][lengths]))


def has_mapped(addresses: Packed) -> bool:
    """Whether one of the IPv6 addresses is an IPv4 one in ::ffff:0:0/96 (RFC 4291, section 2.5.5.2)."""
    halves = np.frombuffer(addresses.tobytes(), ">u8").reshape(-1, 2)
    return bool(np.any((halves[:, 0] == 0) & (halves[:, 1] >> np.uint64(32) == 0xFFFF)))


class Gatherer:
    """Takes the entries of one list in the order of their lines; the first `most_told` of its bad lines are told."""

    def __init__(self, *, show: bool, most_told: int = _MOST_TOLD) -> None:
        self._show = show
        self._most_told = most_told
        self._parts: dict[Family, list[_Part]] = {family: [] for family in Family}
        self._bad: list[BadLine] = []
        self._bad_count = 0
        self._texts = 0
        self._has_told = False  # whether all bad lines that are told were in the batches before

    def add(self, texts: list[str], lines: NDArray[np.uint32]) -> None:
        """Take these addresses and prefixes, each with its line; text around one is a mistake. Raises ListRefused."""
        if not texts:
            return
        self._texts += len(texts)
        if self._texts > MOST_ENTRIES:
            raise ListRefused(f"more than {MOST_ENTRIES} entries", Reason.UNREADABLE, int(lines[-1]))
        known = {family: len(parts) for family, parts in self._parts.items()}
        if not self._take(Family.IPV6 if ":" in texts[0] else Family.IPV4, texts, lines):
            self._take_apart(texts, lines)
        for family, parts in self._parts.items():
            # halving leaves many small arrays
            if len(parts) > known[family] + 1:
                parts[known[family] :] = [_joined(parts[known[family] :])]
        self._keep_first()
        self._has_told = len(self._bad) == self._most_told

    def refuse(self, line: int, message: str) -> None:
        """Count a line that holds no entry and should, before the texts around it are added.

        The message says nothing of the line where the list is not to be shown.
        """
        self._bad_count += 1
        if not self._has_told:
            self._bad.append(BadLine(line, message))
            if len(self._bad) >= BATCH:
                self._keep_first()

    def parsed(self, sha256: str) -> Parsed:
        """All that was taken."""
        self._keep_first()
        entries = {
            family: Entries.ordered(family, *_joined(parts)) if parts else Entries.empty(family)
            for family, parts in self._parts.items()
        }
        return Parsed(entries, sum(map(len, entries.values())), tuple(self._bad), self._bad_count, sha256)

    # --- parts ---

    def _keep_first(self) -> None:
        """Keep the bad lines that are told; those of a batch come by family."""
        self._bad = sorted(self._bad, key=lambda bad: bad.line)[: self._most_told]

    def _take_apart(self, texts: list[str], lines: NDArray[np.uint32]) -> None:
        of_ipv6 = [":" in text for text in texts]
        which = np.array(of_ipv6)
        for each, places in ((Family.IPV4, ~which), (Family.IPV6, which)):
            mine = [text for text, is_ipv6 in zip(texts, of_ipv6, strict=True) if is_ipv6 == (each is Family.IPV6)]
            self._halve(each, mine, lines[places])

    def _halve(self, family: Family, texts: list[str], lines: NDArray[np.uint32]) -> None:
        if not texts or self._take(family, texts, lines):
            return
        if len(texts) == 1:
            # to say what is wrong is what takes time
            self.refuse(int(lines[0]), "" if self._has_told else mistake(texts[0], show=self._show))
            return
        middle = len(texts) // 2
        self._halve(family, texts[:middle], lines[:middle])
        self._halve(family, texts[middle:], lines[middle:])

    def _take(self, family: Family, texts: list[str], lines: NDArray[np.uint32]) -> bool:
        """Take all of the texts, or none where one is not an entry of that family."""
        try:
            addresses, lengths = _read(family, texts)
        except (OSError, ValueError, KeyError):  # ValueError: NUL or a lone surrogate
            return False
        if has_host_bits(family, addresses, lengths) or (family is Family.IPV6 and has_mapped(addresses)):
            return False
        self._parts[family].append((addresses, lengths, lines))
        return True


def _joined(parts: list[_Part]) -> _Part:
    addresses, lengths, lines = zip(*parts, strict=True)
    return np.concatenate(addresses), np.concatenate(lengths), np.concatenate(lines)


def _read(family: Family, texts: list[str]) -> tuple[Packed, NDArray[np.uint8]]:
    """The addresses and their prefix lengths. Raises OSError, ValueError, KeyError where a text is no entry of the family."""
    read = _READ[family]
    if "/" not in "".join(texts):
        return pack(family, b"".join(map(read, texts))), np.full(len(texts), family.bits, np.uint8)
    slashes = set(map(str.count, texts, repeat("/")))
    if max(slashes) > 1:
        raise ValueError("more than one prefix length in a text")
    if 0 in slashes:
        single = f"/{family.bits}"
        texts = [text if "/" in text else text + single for text in texts]
    columns = "/".join(texts).split("/")
    lengths = map(_LENGTHS[family].__getitem__, columns[1::2])
    return pack(family, b"".join(map(read, columns[::2]))), np.fromiter(lengths, np.uint8, len(texts))
