"""What 100,000 subscribers cost: from the file's bytes to the first answer, the memory they stay in, and an answer.

    python -m bench.subscribers [ROUNDS]

Each has an IPv4 address and a /56, in no order, and one of three plans or none. Beside it, in the same rounds, is what one
would write with the csv and ipaddress modules: a dict of networks, asked for each prefix length that occurs, the longest first.
Memory is what tracemalloc counts, in a round of its own, because counting takes time.
"""

from __future__ import annotations

import csv
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from bench._table import Table
from edged.addresses import Address, Family, Prefix
from edged.sources.subscribers import parse
from edged.subscribers import Subscribers

COUNT = 100_000
ASKED = 20_000
PLANS = ("", "home", "business", "gold")
PROMISED_SECONDS = 1.0
PROMISED_MEGABYTES = 100.0

Naive = dict[Prefix, tuple[str, str]]


def file(drawn: random.Random, quote: str = "") -> tuple[bytes, list[Address]]:
    """A file of subscribers, and addresses to ask for: half of them in IPv6, one in ten without a row."""
    lines, addresses = [f"{quote}id{quote},{quote}prefixes{quote},{quote}plan{quote}"], list[Address]()
    for number, place in enumerate(drawn.sample(range(1 << 22), COUNT)):
        ipv4, ipv6 = IPv4Address((100 << 24) + (64 << 16) + place), IPv6Address((0x20010DB8 << 96) + (place << 72))
        fields = (f"C-{number:06}", f"{ipv4} {IPv6Network((ipv6, 56))}", drawn.choice(PLANS))
        lines.append(",".join(f"{quote}{field}{quote}" for field in fields))
        addresses += (ipv4, ipv6 + drawn.getrandbits(72))
    asked = drawn.sample(addresses, ASKED)
    asked[:: ASKED // 2000] = [IPv4Address((11 << 24) + number) for number in range(2000)]
    return "\n".join(lines).encode(), asked


def edged(raw: bytes) -> Subscribers:
    """As the loader reads them."""
    rows = parse(raw, PLANS[1:]).rows
    if rows is None:
        raise RuntimeError("the benchmark's own file is wrong")
    return Subscribers(rows)


def naive(raw: bytes) -> Naive:
    """As a short script reads them; it sees neither mistakes nor their places."""
    reader = csv.DictReader(raw.decode().splitlines())
    return {ip_network(prefix): (row["id"], row["plan"]) for row in reader for prefix in row["prefixes"].split()}


def ask_edged(found: Subscribers, asked: list[tuple[Family, int]]) -> list[str | None]:
    """The ids of the addresses."""
    return [found.of(family, address).id for family, address in asked]


def ask_naive(found: Naive, asked: list[Address]) -> list[str | None]:
    """The ids of the addresses."""
    lengths = {version: sorted({each.prefixlen for each in found if each.version == version}, reverse=True) for version in (4, 6)}
    ids = []
    for address in asked:
        around = (found.get(ip_network((address, length), strict=False)) for length in lengths[address.version])
        ids.append(next((each[0] for each in around if each is not None), None))
    return ids


def timed(work: Callable[[], object]) -> float:
    """Seconds of one core: all of it is computing, and others on the machine are none of its cost."""
    began = time.process_time()
    work()
    return time.process_time() - began


def megabytes(work: Callable[[], object]) -> tuple[float, float]:
    """What the result of the work stays in, and the most that the work took."""
    tracemalloc.start()
    kept = work()
    stays, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return stays / 1e6, most / 1e6


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    rounds = max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 3
    table = Table()
    raw, asked = file(random.Random(1))
    quoted, _ = file(random.Random(1), '"')
    packed = [(Family.of(address), int(address)) for address in asked]
    mine, theirs = edged(raw), naive(raw)
    if ask_edged(mine, packed) != ask_naive(theirs, asked):
        raise RuntimeError("the two do not agree on who has an address")
    reading, reading_quoted, reading_naive, asking, asking_naive = ([] for _ in range(5))
    for _ in range(rounds):
        reading.append(timed(lambda: edged(raw)))
        reading_quoted.append(timed(lambda: edged(quoted)))
        reading_naive.append(timed(lambda: naive(raw)))
        asking.append(ASKED / timed(lambda: ask_edged(mine, packed)) / 1000)
        asking_naive.append(ASKED / timed(lambda: ask_naive(theirs, asked)) / 1000)
    print(f"{rounds} rounds; {COUNT:,} rows, {len(raw) / 1e6:.1f} MB; CPU time of one core")
    table.head("from the file's bytes to the first answer", "s", "csv")
    table.row("edged", reading, PROMISED_SECONDS, "s")
    table.against("  as a ratio to csv and ipaddress", reading, reading_naive)
    table.row("edged, every field quoted", reading_quoted, PROMISED_SECONDS, "s")
    table.row("csv and ipaddress", reading_naive)
    table.head("answers", "thousands a second", "csv")
    table.against("edged", asking, asking_naive)
    table.row("csv and ipaddress", asking_naive)
    stays, most = megabytes(lambda: edged(raw))
    stays_naive, most_naive = megabytes(lambda: naive(raw))
    table.head("memory", "MB")
    table.row("edged, once they are read", [stays], PROMISED_MEGABYTES, "MB")
    table.row("edged, at its peak", [most])
    table.row("csv and ipaddress, once they are read", [stays_naive])
    table.row("csv and ipaddress, at its peak", [most_naive])
    return int(not table.held)


if __name__ == "__main__":
    sys.exit(main())
