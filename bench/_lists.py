"""Long lists for benchmarks: addresses and prefixes by the million, as edged and as nft read them, the same in each run."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from edged.addresses import Family
from edged.packed import Entries, Packed, Prefixes, masked, pack, unpack

# where the entries lie: public addresses alone, of which no guard refuses any
_FIRST, _LAST = 11 << 24, (100 << 24) - 1
# so many of the addresses there are fill one prefix length at most: a million prefixes of equally frequent lengths do not fit
_WIDEST_SHARE = 0.01
_INET = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_PEAK = "import os, sys; child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); print(os.wait4(child, 0)[2].ru_maxrss)"


def addresses(family: Family, count: int, random: np.random.Generator) -> Packed:
    """So many different addresses, in no order."""
    found = np.unique(_some(family, count + count // 100 + 100, random))
    return random.permutation(found)[:count]


def prefixes(count: int, random: np.random.Generator) -> Prefixes:
    """So many disjoint IPv4 prefixes from /16 to /32, each length as frequent as there is room for."""
    wanted: dict[int, int] = {}
    for length in range(16, 33):
        left = count - sum(wanted.values())
        wanted[length] = min(left // (33 - length), int(_WIDEST_SHARE * (1 << length)))
    lengths = np.repeat(np.array(list(wanted), np.uint8), [number * 2 for number in wanted.values()])
    networks = _some(Family.IPV4, len(lengths), random)
    for length in wanted:
        networks[lengths == length] = masked(Family.IPV4, networks[lengths == length], length)
    many = Prefixes.merged(Family.IPV4, [Entries.ordered(Family.IPV4, networks, lengths, np.zeros(len(lengths), np.uint32))])
    found = {}
    for length, keys in many.by_length.items():
        picked = np.sort(random.permutation(keys.addresses)[: wanted[length]])
        found[length] = type(keys)(Family.IPV4, length, picked)
    return Prefixes(Family.IPV4, found)


def _some(family: Family, count: int, random: np.random.Generator) -> Packed:
    if family is Family.IPV4:
        return random.integers(_FIRST, _LAST, count, np.uint32)
    octets = np.frombuffer(random.bytes(16 * count), np.uint8).reshape(-1, 16).copy()
    octets[:, 0] = 0x2A
    return pack(family, octets.tobytes())


def texts(family: Family, packed: Packed) -> list[str]:
    """The addresses as people write them."""
    wire, width = unpack(family, packed), family.bits // 8
    return [socket.inet_ntop(_INET[family], wire[place : place + width]) for place in range(0, len(wire), width)]


def prefix_texts(found: Prefixes) -> list[str]:
    """The prefixes as people write them, in order of their addresses."""
    pairs = sorted((network, length) for length, keys in found.by_length.items() for network in keys.networks())
    return [f"{found.family.address(network)}/{length}" for network, length in pairs]


def write_list(path: Path, lines: Iterable[str]) -> None:
    """A plain list, put in place as one whole."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_text("\n".join(lines) + "\n")
    partial.rename(path)


def write_nft(path: Path, family: Family, lines: Sequence[str], kind: str) -> None:
    """A table `plain` with the set `listed` of these elements; `kind` is the set's size or flags.

    nft finds no place for an error message in a line of megabytes: each element has its own, and so has the last brace.
    """
    listed = ",\n".join(lines)
    key = "ipv4_addr" if family is Family.IPV4 else "ipv6_addr"
    path.write_text(f"table inet plain {{\nset listed {{\ntype {key}\n{kind}\nelements = {{ {listed}\n}}\n}}\n}}\n")


def peak_of(command: Sequence[str]) -> int:
    """The most memory that the command had, in bytes; raises CalledProcessError.

    wait4(2) gives a child no less than its parent had when it began, so a small process stands between.
    """
    done = subprocess.run([sys.executable, "-S", "-c", _PEAK, *command], check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024
