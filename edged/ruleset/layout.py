"""The cost model of long lists: which prefix lengths get a hash set each, and which share one set of ranges.

Looking an address up costs one lookup a set, and each set is asked for source and destination:

    a hash set behind a mask    cheap whatever it holds, but there is one a prefix length
    one interval set            dearer, and dearer the more it holds, but one for all lengths

So a few lengths are each better off in a hash set, and many rare ones together in ranges. The nanoseconds are those of a lookup
with cold caches, measured on Linux 6.18 over IPv4 by forwarding random destinations, less the forwarding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

_HASH = ((10_000, 69.0), (100_000, 187.0), (1_000_000, 337.0))
_RANGES = ((1_000, 269.0), (20_000, 549.0), (100_000, 1243.0), (1_000_000, 3101.0))

# A set of ranges is read back whole with each look at the kernel, and any commit that touches it makes it anew: 95 to 130 ms
# for a million, where a hash set takes microseconds for an element.
MOST_RANGES = 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """The prefix lengths in hash sets and those in ranges, and what looking one address up is reckoned to cost."""

    hashed: tuple[int, ...]
    ranged: tuple[int, ...]
    nanoseconds: float


def choose(counts: Mapping[int, int]) -> Layout:
    """The cheapest layout for so many prefixes a length.

    Counts go in by their power of two, so that a list which changes a little keeps its layout.
    """
    steady = {length: 1 << (count - 1).bit_length() for length, count in counts.items() if count}
    rarest = sorted(steady, key=lambda length: (steady[length], length))
    options = (_layout(steady, rarest[:ranged]) for ranged in range(len(rarest) + 1))
    fitting = (option for option in options if sum(steady[length] for length in option.ranged) <= MOST_RANGES)
    return min(fitting, key=lambda option: (option.nanoseconds, len(option.ranged)))


def _layout(counts: Mapping[int, int], ranged: list[int]) -> Layout:
    hashed = [length for length in counts if length not in ranged]
    cost = sum(_interpolated(_HASH, counts[length]) for length in hashed)
    if ranged:
        cost += _interpolated(_RANGES, sum(counts[length] for length in ranged))
    return Layout(tuple(sorted(hashed)), tuple(sorted(ranged)), cost)


def _interpolated(points: tuple[tuple[int, float], ...], count: int) -> float:
    """Between the measured points by the logarithm of the count; below the first that one's cost, beyond the last on in line."""
    place = min(max(bisect_left(points, count, key=lambda point: point[0]), 1), len(points) - 1)
    (few, low), (many, high) = points[place - 1], points[place]
    return max(points[0][1], low + (high - low) * log2(count / few) / log2(many / few))
