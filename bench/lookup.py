"""What a forwarded packet pays for a million listed addresses, beside the same policies without a list.

    python -m bench.lookup [ROUNDS]          (root)

The shipped policies, caps aside, with one million IPv4 and half a million IPv6 addresses in the list, on the router of
forwarding.py: one thread sends packets through it, and its own CPU time is the cost; see there. The forms take turns in each
round, and a ratio is the median of the rounds'.

`established` packets are of 512 flows to as many servers that are in no list. `first` ones begin a flow each, to 12,288 servers
that are in no list, so every lookup is of another address; conntrack makes an entry for each, in all forms.

`interval set` is what a plain nft script does with such a list: the same addresses in one set with flags interval, and two rules
that look up both ends of every packet, before the shipped policies. The promise is that of established flows: 1.15 of the cost
without a list, in both families. More is exit code 1.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench._forwarding import (
    BATCHES,
    ELSEWHERE,
    FLOWS,
    MACS,
    Router,
    Volley,
    frame,
    frames,
    nanoseconds,
    near_addresses,
    routed,
)
from bench._lists import addresses, texts, write_nft
from bench._namespaces import alone
from bench._shipped import without_caps
from bench._table import Table
from edged.addresses import Address, Family
from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.loader import Configuration
from edged.packed import Entries, Packed, unpack
from edged.policies import Blocklist
from edged.ruleset.plan import Desired
from edged.sources.stored import StoredList
from tests.netns.differential.shots import SYN, Tcp

COUNTS = {Family.IPV4: 1_000_000, Family.IPV6: 500_000}
PROMISE = 1.15
_CHAIN = """\
chain c {{
    type filter hook forward priority -1; policy accept;
    {ip} saddr @listed drop
    {ip} daddr @listed drop
}}
"""


class Traffic:
    """The packets of one family, through the router and thrown away by it."""

    def __init__(self, family: Family, far: list[Address], outlets: dict[str, socket.socket]) -> None:
        self.family = family
        self._through = [Volley(outlets[name], made) for name, made in frames(family, MACS, far[:FLOWS]).items()]
        thrown = frames(family, dict.fromkeys(MACS, ELSEWHERE), far[:FLOWS])
        self._thrown = [Volley(outlets[name], made) for name, made in thrown.items()]
        self._first, self._first_thrown = (_first_packets(family, far, outlets["lan0"], mac) for mac in (MACS["lan0"], ELSEWHERE))

    def senders_own(self) -> tuple[float, float]:
        """The nanoseconds that sending alone takes, of an established flow's packet and of a first one."""
        return nanoseconds(self._thrown), _once(self._first_thrown)

    def cost(self) -> tuple[float, float]:
        """The same of packets that go through."""
        first = _once(self._first)
        for volley in self._through:
            volley.fire()  # the flows are there, the caches warm
        return nanoseconds(self._through), first


def _first_packets(family: Family, far: list[Address], outlet: socket.socket, mac: str) -> list[Volley]:
    near = near_addresses(family)
    made = [frame(mac, near[n % FLOWS], end, Tcp(30000 + n // FLOWS, 443, SYN, seq=1)) for n, end in enumerate(far)]
    return [Volley(outlet, made[first : first + FLOWS]) for first in range(0, len(made), FLOWS)]


def _once(volleys: list[Volley]) -> float:
    began = time.process_time_ns()
    for volley in volleys:
        volley.fire()
    return (time.process_time_ns() - began) / (len(volleys) * FLOWS)


def stored(listed: dict[Family, Packed]) -> StoredList:
    """The addresses as an accepted list."""
    entries = {
        family: Entries.ordered(
            family, each, np.full(len(each), family.bits, np.uint8), np.arange(1, len(each) + 1, dtype=np.uint32)
        )
        for family, each in listed.items()
    }
    return StoredList("long", entries, sum(map(len, entries.values())), 0, "", time.time(), "a benchmark")


def with_list(shipped: Configuration, accepted: StoredList) -> Configuration:
    """The example, whose first list is that one."""
    name = next(each.settings.lists[0].name for each in shipped.policies if isinstance(each.settings, Blocklist))
    return replace(shipped, lists={name: accepted})


def forms(kernel: LinuxKernel, router: Router, listed: dict[Family, Packed], folder: Path) -> dict[str, Callable[[], None]]:
    """What is compared, and how each is loaded."""
    shipped = without_caps()
    long = with_list(shipped, stored(listed))
    plain = []
    for family, each in listed.items():
        plain.append(folder / f"{family.value}.nft")
        write_nft(plain[-1], family, texts(family, np.sort(each)), "flags interval")
        text = plain[-1].read_text().replace("table inet plain {", f"table inet plain_{family.value} {{", 1)
        plain[-1].write_text(text.removesuffix("}\n") + _CHAIN.format(ip=family.value) + "}\n")

    def put(configuration: Configuration) -> None:
        enforce(kernel, Desired(configuration.table(int(time.time()))), time.time)

    def scripted() -> None:
        put(shipped)
        for path in plain:
            router.run("nft", "-f", str(path))

    return {"no list": lambda: put(shipped), "edged": lambda: put(long), "interval set": scripted}


def measure(
    kernel: LinuxKernel, router: Router, loads: dict[str, Callable[[], None]], traffics: list[Traffic], rounds: int
) -> dict[str, list[float]]:
    """Each form's cost a packet in each round, by family, kind and form; the sender's own is taken off."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        own = [traffic.senders_own() for traffic in traffics]
        for name, put in loads.items():
            router.clear()
            router.run("conntrack", "-F")
            alone(20)
            put()
            for traffic, sender in zip(traffics, own, strict=True):
                for kind, cost, less in zip(("established", "first"), traffic.cost(), sender, strict=True):
                    found.setdefault(f"{traffic.family.value} {kind} {name}", []).append(cost - less)
            if stopped := {counter: value.packets for counter, value in kernel.counters().items() if value.packets}:
                raise RuntimeError(f"packets were stopped, which costs less than to carry them: {stopped}")
    router.clear()
    return found


def show(table: Table, found: dict[str, list[float]]) -> None:
    """One part a family and kind of packet."""
    for family, count in COUNTS.items():
        for kind, most in (("established", PROMISE), ("first", None)):
            table.head(f"{'IPv4' if family is Family.IPV4 else 'IPv6'}, {kind}, {count:,} listed", "ns a packet", "no list")
            none = found[f"{family.value} {kind} no list"]
            table.row("no list", none)
            table.against("edged", found[f"{family.value} {kind} edged"], none, most)
            table.against("interval set, both ends of every packet", found[f"{family.value} {kind} interval set"], none)


def main() -> int:
    """Measure and print; 1 where the promise is not kept."""
    rounds = max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 9
    random = np.random.default_rng(1)
    table = Table()
    listed, far = {}, {}
    for family, count in COUNTS.items():
        drawn = addresses(family, count + BATCHES * FLOWS, random)
        wire, width = unpack(family, drawn[count:]), family.bits // 8
        listed[family] = drawn[:count]
        far[family] = [family.address(int.from_bytes(wire[n : n + width], "big")) for n in range(0, len(wire), width)]
    with tempfile.TemporaryDirectory() as folder, routed() as (netns, outlets), closing(LinuxKernel(netns)) as kernel:
        router = Router(netns)
        traffics = [Traffic(family, far[family], outlets) for family in COUNTS]
        print(f"{rounds} rounds of {2 * BATCHES * FLOWS} packets a form; CPU time of one core, without a NIC")
        show(table, measure(kernel, router, forms(kernel, router, listed, Path(folder)), traffics, rounds))
    return int(not table.held)


if __name__ == "__main__":
    sys.exit(main())
