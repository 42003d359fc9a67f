"""How fast flows come in from the moment on at which they are heavy.

What comes in is counted by the receiver's kernel, out of order or not: that is the rate that a cap gives. What TCP makes of it
for its application varies for seconds, while it makes up for what was lost when the cap began.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from edged.addresses import Family
from edged.lab.topology import Host
from tests.netns.bulk import Way
from tests.netns.caps.gateway import AFTER

# the first message of a BitTorrent peer (BEP 3): what a transfer begins with is what it is taken for
PEER_HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8) + bytes(range(20)) + b"-ED0100-" + bytes(12)
WITHIN = 0.5  # seconds from becoming heavy to being held
LEAST, MOST = 0.85, 1.05  # of the rate
BUCKET = 1.1  # seconds of the rate that a bucket of the kernel's holds (nft_limit_init, and Bucket.burst)
_PATIENCE = 10.0
_TABLE = "inet arrivals"


@contextmanager
def arrivals(ways: Sequence[Way]) -> Iterator[Callable[[], list[int]]]:
    """What asks how many bytes have come in on each way since the context began."""
    receivers = {receiver.netns: receiver for (_, receiver), _ in ways}
    with ExitStack() as made:
        for netns, receiver in receivers.items():
            numbered = [(number, way) for number, way in enumerate(ways) if way[0][1].netns == netns]
            counters = "".join(f"counter way{number} {{ }}\n" for number, _ in numbered)
            rules = "".join(f"{_between(way)} counter name way{number}\n" for number, way in numbered)
            chain = f"chain in {{ type filter hook input priority 0\n{rules} }}\n"
            receiver.run(["nft", "-f", "-"], stdin=f"table {_TABLE} {{\n{counters}{chain}}}\n", check=True)
            made.callback(receiver.run, ["nft", "delete", "table", *_TABLE.split()], check=True)
        yield lambda: _read(receivers.values(), len(ways))


def megabits(arrived: Callable[[], list[int]], seconds: float) -> list[float]:
    """What each way carries in the `seconds` from now on, in Mbit/s."""
    began, before = time.monotonic(), arrived()
    time.sleep(seconds)
    took, after = time.monotonic() - began, arrived()
    return [(now - had) * 8 / took / 1e6 for now, had in zip(after, before, strict=True)]


def megabits_once_heavy(arrived: Callable[[], list[int]], seconds: float) -> list[float]:
    """What each way carries, in Mbit/s, in the `seconds` that begin WITHIN after the last of them has become heavy."""
    until = time.monotonic() + _PATIENCE
    while min(seen := arrived()) < AFTER:
        assert time.monotonic() < until, f"not all have become heavy; they moved {seen} bytes"
        time.sleep(0.01)
    time.sleep(WITHIN)
    return megabits(arrived, seconds)


def is_leased(got: float, rate: float) -> bool:
    """Whether that is the rate of a cap by a lease, both in Mbit/s."""
    return LEAST * rate <= got <= MOST * rate


def is_policed(got: float, rate: float, seconds: float) -> bool:
    """Whether that is the rate of a cap by a bucket, both in Mbit/s."""
    return LEAST * rate <= got <= most(rate, 0, seconds)


def most(rate: float, pool: int, seconds: float) -> float:
    """The most that a cap lets by in the `seconds`: with no pool it is a bucket's, which can have filled up before them."""
    return (MOST if pool else MOST + BUCKET / seconds) * rate


def _between(way: Way) -> str:
    (sender, receiver), family = way
    word = "ip" if family is Family.IPV4 else "ip6"
    return f"{word} saddr {sender.address(family)} {word} daddr {receiver.address(family)}"


def _read(receivers: Iterable[Host], count: int) -> list[int]:
    found = [0] * count
    for receiver in receivers:
        listed = receiver.run(["nft", "-j", "list", "counters", "table", *_TABLE.split()], check=True).stdout
        for each in json.loads(listed)["nftables"]:
            if "counter" in each:
                found[int(each["counter"]["name"].removeprefix("way"))] = int(each["counter"]["bytes"])
    return found
