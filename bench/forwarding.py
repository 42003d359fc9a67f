"""What a forwarded packet pays for the shipped policy, caps aside, beside the same as linear nft rules and as iptables rules.

    python -m bench.forwarding [ROUNDS]          (root)

Two namespaces, a router and the world around it, joined by two veth pairs. One thread, on one CPU, sends batches of small TCP
packets of 512 established flows with sendmmsg(2), half of them up and half down. On veth the kernel carries a packet through
the router and out again within that same system call, so the thread's own CPU time is the cost of all of it, whatever else
the machine does. Packets that the router throws away on arrival (for another station) give the sender's own cost, which is
taken off. The forms take turns in each round.

`forwarding` is the router without a rule, `conntrack` one rule that makes the kernel track connections, which edged needs.
"64 prefixes" is the example with 64 separate dynamic prefixes: a small provider's. No NIC and no driver is in these figures.
There is no promise on this page; what is printed is what was seen.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from bench._forwarding import BATCHES, ELSEWHERE, FLOWS, MACS, Router, Volley, frames, nanoseconds, routed
from bench._linear import iptables, linear_nft
from bench._shipped import without_caps
from edged.addresses import Family
from edged.config.gateway import PoolName
from edged.loader import Configuration
from edged.ruleset.compile import compile_table
from edged.ruleset.render import render
from edged.ruleset.tree import Table

CONNTRACK = "table inet tracked { chain c { type filter hook forward priority 0; ct state established; }; }"


@dataclass(frozen=True)
class Case:
    """A configuration and a family to measure it in."""

    title: str
    family: Family
    table: Table


def cases() -> list[Case]:
    """The shipped example in both families, and with 64 prefixes in IPv4."""
    shipped = without_caps()
    now = int(time.time())
    return [
        Case("shipped, IPv4", Family.IPV4, shipped.table(now)),
        Case("shipped, IPv6", Family.IPV6, shipped.table(now)),
        Case("64 prefixes, IPv4", Family.IPV4, _larger(shipped, now)),
    ]


def _larger(shipped: Configuration, now: int) -> Table:
    """Its policies over 64 dynamic prefixes, apart from each other; the measured flows come from all of them."""
    site = shipped.site()
    scattered = tuple(ip_network((int(ip_address("100.64.0.0")) + place * 0x10000, 24)) for place in range(64))
    larger = replace(site, pools={**site.pools, PoolName.DYNAMIC: scattered})
    declared = [each.settings.declare(larger, each.places, now) for each in shipped.policies]
    return compile_table(larger.access, larger.upstream, [larger.declare(), *declared])


def forms(case: Case, router: Router) -> dict[str, Callable[[], None]]:
    """What is compared, and how each is loaded."""
    restore = "iptables-restore" if case.family is Family.IPV4 else "ip6tables-restore"
    found: dict[str, Callable[[], None]] = {
        "forwarding": lambda: None,
        "conntrack": lambda: router.load_nft(CONNTRACK),
        "edged": lambda: router.load_nft(render(case.table, int(time.time()))),
        "linear nft": lambda: router.load_nft(linear_nft(case.table)),
    }
    if shutil.which(restore):
        found["iptables"] = lambda: router.run(restore, given=iptables(case.table, case.family))
    return found


def measure(case: Case, router: Router, outlets: dict[str, socket.socket], rounds: int) -> dict[str, list[float]]:
    """Each form's cost a packet in each round, the sender's own taken off."""
    through = [Volley(outlets[name], made) for name, made in frames(case.family, MACS).items()]
    thrown = [Volley(outlets[name], made) for name, made in frames(case.family, dict.fromkeys(MACS, ELSEWHERE)).items()]
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        sender = nanoseconds(thrown)
        for name, put in forms(case, router).items():
            router.clear()
            put()
            for volley in through:
                volley.fire()  # the flows are there, the caches warm
            found.setdefault(name, []).append(nanoseconds(through) - sender)
    router.clear()
    return found


def show(case: Case, found: dict[str, list[float]]) -> None:
    """One table; a ratio is taken within each round, in which the machine is most alike, and is the median of those."""
    print(f"\n{case.title:20}{'ns a packet':>14}{'min .. max':>16}{'/ forwarding':>14}{'/ conntrack':>13}")
    for name, each in found.items():
        extent = f"{min(each):.0f} .. {max(each):.0f}"
        ratios = [
            statistics.median(mine / theirs for mine, theirs in zip(each, found[other], strict=True))
            for other in ("forwarding", "conntrack")
        ]
        print(f"{name:20}{statistics.median(each):14.0f}{extent:>16}{ratios[0]:14.2f}{ratios[1]:13.2f}")


def main() -> int:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    with routed() as (router, outlets):
        print(f"{rounds} rounds of {2 * BATCHES * FLOWS} packets a form; CPU time of one core, without a NIC")
        for case in cases():
            show(case, measure(case, Router(router), outlets, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
