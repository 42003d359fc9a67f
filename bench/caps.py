"""What a forwarded packet pays for caps, beside the same policies without them.

    python -m bench.caps [ROUNDS]          (root)

The router of forwarding.py with the shipped policies; one thread sends packets of 512 established flows through it, and its own
CPU time is the cost; see there. The forms take turns in each round, and a ratio is the median of the rounds'. The connections
have what an inspector would have said of them in their marks:

    no class             a flow that was inspected and is nothing that caps hold
    not heavy            one of a class, that has not moved enough to be held
    heavy, with a lease  one beyond that; 5,000 other subscribers have leases too
    through HTB          the same, and each device has its tree: the packet goes through its class, which is too fast to slow it

With 100,000 subscribers known, one in four has the plan whose streaming is free. The peer's connections are not counted by the
kernel, those under caps are, because their rules ask for it. The promise is 1.2 of the cost without caps, trees aside; and of
flows without a class, that the subscribers who are known cost them nothing: within 5 %. More is exit code 1.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from bench import subscribers
from bench._forwarding import ELSEWHERE, FLOWS, MACS, Router, Volley, frames, nanoseconds, near_addresses, routed
from bench._namespaces import alone
from bench._shipped import shipped, without_caps
from bench._table import Table
from edged.addresses import Family
from edged.configuration import PlacedPolicy
from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.kernel.tc import LinuxTrafficControl
from edged.marks import FlowClass, in_field
from edged.policies.capping import QUEUED_PACKETS
from edged.policies.caps import Caps
from edged.queueing.diff import diff
from edged.queueing.leases import AddLease, CapSets
from edged.queueing.tree import MAJOR, ClassId, Lease, Rate, Shaper, Tree
from edged.ruleset.nodes import Direction
from edged.ruleset.plan import Desired
from edged.ruleset.tree import Table as RuleTable

PROMISE, SAME = 1.2, 1.05
OTHERS = 5_000
LINE, CAP = Rate(100_000_000_000), Rate(50_000_000_000)
TURNS, AT_A_TIME = 60, 2  # batches; the fastest turn counts, for what others do on the machine only adds
SMALL = 100  # bytes after which a flow is heavy, where it shall be
PEER, UNCLASSED, UNCLASSED_AMONG_MANY = "no caps", "no class", "no class, 100,000 subscribers known"
THROUGH_HTB = "p2p, heavy, with a lease, through HTB"
_CLASSED = """\
table inet classed {
    counter given { }
    chain c {
        type filter hook postrouting priority 300; policy accept;
        meta priority >= ed:0 meta priority <= ed:ffff counter name given
    }
}
"""
_MARKING = """\
table inet marking {{
    chain c {{
        type filter hook postrouting priority 300; policy accept;
        ct mark set ct mark or {bits:#x}
    }}
}}
"""


@dataclass(frozen=True)
class Form:
    """A policy, the bits that stand in the connections' marks beside it, and what of leases there is."""

    name: str
    table: RuleTable
    bits: int = 0
    leases: bool = False
    trees: bool = False


def forms() -> list[Form]:
    """What is compared; the first one is the peer."""
    now = int(time.time())
    example = shipped()
    raw, _ = subscribers.file(random.Random(1))
    policy, known = example.table(now), replace(example, subscribers=subscribers.edged(raw)).table(now)
    heavy = replace(example, policies=tuple(map(_heavy_at_once, example.policies))).table(now)
    marks = example.site().marks
    none, p2p, streaming = (
        marks.inspected | in_field(marks.flow_class, each) for each in (FlowClass.NONE, FlowClass.P2P, FlowClass.STREAMING)
    )
    return [
        Form(PEER, without_caps().table(now)),
        Form(UNCLASSED, policy, none),
        Form(UNCLASSED_AMONG_MANY, known, none),
        Form("p2p, not heavy", policy, p2p),
        Form("streaming, not heavy", policy, streaming),
        Form("streaming, not heavy, 100,000 subscribers known", known, streaming),
        Form("p2p, heavy, with a lease", heavy, p2p, leases=True),
        Form(THROUGH_HTB, heavy, p2p, leases=True, trees=True),
    ]


def _heavy_at_once(placed: PlacedPolicy) -> PlacedPolicy:
    settings = placed.settings
    if not isinstance(settings, Caps) or settings.classes.p2p is None:
        return placed
    p2p = settings.classes.p2p.model_copy(update={"after": SMALL})
    classes = settings.classes.model_copy(update={"p2p": p2p})
    return replace(placed, settings=settings.model_copy(update={"classes": classes}))


class Gateway:
    """The router, and the packets of both families that go through it."""

    def __init__(self, netns: str, outlets: dict[str, socket.socket]) -> None:
        self._router = Router(netns)
        self._kernel = LinuxKernel(netns)
        self._traffic = LinuxTrafficControl(netns)
        self._queue = self._kernel.capabilities().queue
        self._through = {family: _volleys(frames(family, MACS), outlets) for family in Family}
        self._thrown = {family: _volleys(frames(family, dict.fromkeys(MACS, ELSEWHERE)), outlets) for family in Family}

    def senders_own(self) -> dict[Family, float]:
        """The nanoseconds a packet that sending alone takes."""
        return {family: _least(volleys) for family, volleys in self._thrown.items()}

    def cost(self, form: Form) -> dict[Family, float]:
        """The same of packets that go through. Raises RuntimeError where they are not what the form says."""
        self._prepare(form)
        found = {family: _least(volleys) for family, volleys in self._through.items()}
        counted = {name for name, value in self._kernel.counters().items() if value.packets} - {QUEUED_PACKETS.name}
        if counted or self._classed() != (self._fire() if form.leases else 0):
            raise RuntimeError(f"{form.name}: packets met other rules: {counted}")
        return found

    def close(self) -> None:
        """Let go of the kernel."""
        self._traffic.close()
        self._kernel.close()

    def _prepare(self, form: Form) -> None:
        """Flows that are established, and marked, under the form's rules alone."""
        self._router.clear()
        self._traffic.apply(diff((), self._traffic.observe()).removals)
        self._router.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0")
        self._router.run("conntrack", "-F")
        alone(20)
        enforce(self._kernel, Desired(form.table, queue=self._queue), time.time)
        self._router.load_nft(_MARKING.format(bits=form.bits))
        self._fire()
        self._router.run("nft", "delete", "table", "inet", "marking")
        if form.leases:
            self._kernel.leases().apply(leases())
        if form.trees:
            self._traffic.apply(diff(trees(), self._traffic.observe()).steps)
        self._fire()

    def _fire(self) -> int:
        """Some volleys of both families; how many packets."""
        for volleys in self._through.values():
            for volley in volleys * 4:
                volley.fire()
        return sum(map(len, self._through.values())) * 4 * FLOWS

    def _classed(self) -> int:
        """How many of the packets of `_fire` are given a class."""
        self._router.load_nft(_CLASSED)
        self._fire()
        listed = self._router.ask("nft", "-j", "list", "counter", "inet", "classed", "given")
        self._router.run("nft", "delete", "table", "inet", "classed")
        [count] = [each["counter"]["packets"] for each in json.loads(listed)["nftables"] if "counter" in each]
        return int(count)


def _least(volleys: list[Volley]) -> float:
    return min(nanoseconds(volleys, AT_A_TIME) for _ in range(TURNS))


def _volleys(made: dict[str, list[bytes]], outlets: dict[str, socket.socket]) -> list[Volley]:
    return [Volley(outlets[name], each) for name, each in made.items()]


def leases() -> list[AddLease]:
    """The measured subscribers', and those of others."""
    made = []
    for direction in Direction:
        for family in Family:
            sets = CapSets(direction, FlowClass.P2P.label, family)
            keys = dict.fromkeys(sets.key(int(each)) for each in near_addresses(family))
            if family is Family.IPV4:
                keys |= dict.fromkeys(int(IPv4Address("100.127.0.0")) + number for number in range(OTHERS))
            made += [AddLease(sets, key, ClassId(MAJOR, 2 + place % FLOWS)) for place, key in enumerate(keys)]
    return made


def trees() -> tuple[Tree, ...]:
    """On each device a pool of FLOWS classes, all leased."""
    shapers = [Shaper(device, LINE, FLOWS) for device in MACS]
    return tuple(Tree(each, tuple(Lease(classid, CAP) for classid in each.classes)) for each in shapers)


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    rounds = max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 7
    asked = forms()
    found: dict[Family, dict[str, list[float]]] = {family: {each.name: [] for each in asked} for family in Family}
    with routed() as (netns, outlets), closing(Gateway(netns, outlets)) as gateway:
        for _ in range(rounds):
            own = gateway.senders_own()
            for form in asked:
                for family, cost in gateway.cost(form).items():
                    found[family][form.name].append(cost - own[family])
    print(f"{rounds} rounds of {2 * AT_A_TIME * FLOWS} packets a turn, {TURNS} turns a form; CPU time of one core, without a NIC")
    table = Table()
    for family, by_form in found.items():
        show(table, family, by_form)
    return int(not table.held)


def show(table: Table, family: Family, found: dict[str, list[float]]) -> None:
    """One family's costs."""
    table.head(f"{family.label}, established", "ns a packet", PEER)
    for name, costs in found.items():
        table.against(name, costs, found[PEER], None if name in (PEER, THROUGH_HTB) else PROMISE)
    table.head(f"{family.label}, {UNCLASSED}", "ns a packet", "no subscriber")
    table.against(UNCLASSED_AMONG_MANY, found[UNCLASSED_AMONG_MANY], found[UNCLASSED], SAME)


if __name__ == "__main__":
    sys.exit(main())
