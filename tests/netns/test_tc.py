"""What leases and buckets do to real TCP: the cap holds to the rate, in both directions, and nobody else is slowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from edged.addresses import Family
from edged.kernel.leases import LinuxLeases
from edged.kernel.nftsocket import NftSocket
from edged.kernel.tc import LinuxTrafficControl
from edged.lab.topology import Host, Topology
from edged.queueing.diff import diff
from edged.queueing.leases import AddBucket, AddLease, AddPolice, Bucket, CapSets, LeaseStep, RemoveLease
from edged.queueing.plan import ChangeClass
from edged.queueing.tree import Rate, Shaper, Tree
from edged.ruleset.nodes import Direction
from tests.netns.bulk import megabits, rates, transfers

LINE = Rate(10_000_000_000)
SHAPERS = {Direction.DOWN: Shaper("lan0", LINE, 8), Direction.UP: Shaper("wan0", LINE, 8)}
SUBSCRIBER = {Direction.DOWN: "daddr", Direction.UP: "saddr"}
MEGABITS = (1, 10, 100)
UNSLOWED = 200  # Mbit/s that two loaded cores carry easily, far above every cap here


def _rules(sets: CapSets) -> str:
    kind, masked = ("ipv4_addr", "") if sets.family is Family.IPV4 else ("ipv6_addr", " & ffff:ffff:ffff:ffff::")
    key = f"{sets.family.value} {SUBSCRIBER[sets.direction]}{masked}"
    oifname = f'oifname "{SHAPERS[sets.direction].device}"'
    hook = "type filter hook postrouting priority mangle"
    return (
        f"map {sets.lease} {{\n type {kind} : classid\n size 1024\n flags timeout\n }}\n"
        f"map {sets.police} {{\n type {kind} : limit\n size 1024\n flags timeout\n }}\n"
        f"chain {sets.lease} {{\n {hook}\n {oifname} meta priority set {key} map @{sets.lease} accept\n"
        f" {oifname} limit name {key} map @{sets.police} drop\n }}\n"
    )


SETS = {(direction, family): CapSets(direction, "p2p", family) for direction in Direction for family in Family}


@dataclass(frozen=True, slots=True)
class Gateway:
    """The lab with a tree on both devices and the maps in table t."""

    lab: Topology
    control: LinuxTrafficControl
    leases: LinuxLeases

    def cap(self, method: str, direction: Direction, position: int, rate: Rate, *addresses: tuple[Family, Host]) -> None:
        """Have the class of the pool at that position, or a bucket of that number, hold these addresses."""
        keys = [(sets := SETS[direction, family], sets.key(int(host.address(family)))) for family, host in addresses]
        shaper = SHAPERS[direction]
        steps: list[LeaseStep]
        if method == "lease":
            classid = shaper.classes[position]
            self.control.apply((ChangeClass(shaper.device, classid, rate),))
            steps = [AddLease(sets, key, classid) for sets, key in keys]
        else:
            bucket = Bucket(f"{direction.value}_{position}", rate)
            steps = [AddBucket(bucket), *(AddPolice(sets, key, bucket.name) for sets, key in keys)]
        self.leases.apply(steps)

    def way(self, direction: Direction, host: Host) -> tuple[Host, Host]:
        """From whom to whom a subscriber's traffic in that direction goes."""
        return (self.lab.web, host) if direction is Direction.DOWN else (host, self.lab.web)


@pytest.fixture
def gateway(topology: Topology) -> Iterator[Gateway]:
    netns = topology.gateway.netns
    topology.gateway.run(["nft", "-f", "-"], stdin=f"table inet t {{\n {''.join(map(_rules, SETS.values()))} }}\n", check=True)
    control, nft = LinuxTrafficControl(netns), NftSocket(netns)
    try:
        control.apply(diff(map(Tree, SHAPERS.values()), control.observe()).steps)
        yield Gateway(topology, control, LinuxLeases(nft, "t"))
    finally:
        control.close()
        nft.close()


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("method", ["lease", "police"])
def test_tcp_is_held_to_the_rate(gateway: Gateway, method: str, direction: Direction) -> None:
    hosts = (gateway.lab.dynamic, gateway.lab.open_resolver, gateway.lab.static)
    for position, (host, rate) in enumerate(zip(hosts, MEGABITS, strict=True)):
        gateway.cap(method, direction, position, Rate(rate * 1_000_000), (Family.IPV4, host))
    ways = [gateway.way(direction, host) for host in hosts]
    seen = megabits([(way, Family.IPV4) for way in ways], warm=2, seconds=6)
    print(f"{method} {direction.value}: {', '.join(f'{got:.2f} of {rate}' for got, rate in zip(seen, MEGABITS, strict=True))}")
    for got, rate in zip(seen, MEGABITS, strict=True):
        assert 0.85 * rate <= got <= 1.05 * rate


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("method", ["lease", "police"])
def test_a_subscribers_flows_share_one_rate_and_another_is_not_slowed(
    gateway: Gateway, method: str, direction: Direction
) -> None:
    capped, other = gateway.lab.dynamic, gateway.lab.static
    gateway.cap(method, direction, 0, Rate(10_000_000), (Family.IPV4, capped), (Family.IPV6, capped))
    way = gateway.way(direction, capped)
    ways = [(way, Family.IPV4), (way, Family.IPV6), (gateway.way(direction, other), Family.IPV4)]
    *shared, free = megabits(ways, warm=2, seconds=4)
    print(f"{method} {direction.value}: {shared[0]:.2f} + {shared[1]:.2f} of 10, another address {free:.0f}")
    assert 8.5 <= sum(shared) <= 10.5
    assert free > UNSLOWED
    if method == "lease":
        shaper = SHAPERS[direction]
        first = next(use for use in gateway.control.statistics(shaper.device) if use.classid == shaper.classes[0])
        assert first.octets > sum(shared) * 4 * 1e6 / 8
        assert first.packets > 0


def test_a_lease_that_ends_lets_the_same_flow_go(gateway: Gateway) -> None:
    host = gateway.lab.dynamic
    gateway.cap("lease", Direction.DOWN, 0, Rate(10_000_000), (Family.IPV4, host))
    sets = SETS[Direction.DOWN, Family.IPV4]
    shaper = SHAPERS[Direction.DOWN]
    with transfers([(gateway.way(Direction.DOWN, host), Family.IPV4)]) as running:
        assert rates(running, warm=1, seconds=2)[0] <= 10.5
        gateway.leases.apply((RemoveLease(sets, sets.key(int(host.ipv4))),))
        gateway.control.apply((ChangeClass(shaper.device, shaper.classes[0], shaper.line),))
        assert rates(running, warm=1, seconds=2)[0] > UNSLOWED
