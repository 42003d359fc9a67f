"""Whom a cap holds: all flows of one class of a subscriber together, and nothing else of the same subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import pytest

from edged.addresses import Family
from edged.lab.topology import Topology
from edged.ruleset.nodes import Direction
from tests.netns.bulk import Way, rates, transfers
from tests.netns.caps.gateway import IS_LONG, CapsGateway, Plan, Settings, caps_gateway
from tests.netns.caps.held import PEER_HANDSHAKE, arrivals, is_leased, is_policed, megabits_once_heavy

RATE = 10  # Mbit/s of the class
OTHER = 200  # Mbit/s that the other flow asks for: less than two loaded cores carry
KEPT = 0.95
LINE = 100_000_000  # bit/s of each heavy flow until it is held
ROUNDS = 3
SECONDS = 2.0


@pytest.fixture(scope="module", params=[32, 0], ids=["lease", "police"])
def gateway(request: pytest.FixtureRequest) -> Iterator[CapsGateway]:
    with caps_gateway(Settings([Plan("ten", RATE * 1000, RATE * 1000)], pool=request.param), ["ten"] * 2) as made:
        made.limit_segments(8)
        yield made


@pytest.mark.parametrize("direction", Direction, ids=lambda direction: direction.value)
def test_flows_of_one_class_share_one_bucket(gateway: CapsGateway, direction: Direction) -> None:
    """HV-1: over all addresses of the subscriber, of both families."""
    host, web = gateway.subscribers[0].host, gateway.topology.web
    ends = (web, host) if direction is Direction.DOWN else (host, web)
    ways: list[Way] = [(ends, Family.IPV4), (ends, Family.IPV4), (ends, Family.IPV6)]
    with arrivals([ways[0], ways[2]]) as arrived, transfers(ways, PEER_HANDSHAKE, pace=LINE):
        ipv4, ipv6 = megabits_once_heavy(arrived, SECONDS)
    print(f"{direction.value}: two of IPv4 {ipv4:.2f}, one of IPv6 {ipv6:.2f} of {RATE}")
    assert is_leased(ipv4 + ipv6, RATE) if gateway.settings.pool else is_policed(ipv4 + ipv6, RATE, SECONDS)


@pytest.mark.parametrize("family", Family if IS_LONG else [Family.IPV6], ids=lambda family: family.label)
def test_another_flow_of_the_subscriber_is_as_fast_as_without_edged(gateway: CapsGateway, family: Family) -> None:
    """HV-1: beside a heavy flow that is held; compared with a gateway that has no edged, in turns."""
    host, web = gateway.subscribers[1].host, gateway.topology.web
    beside, alone = [], []
    with Topology() as plain, transfers([((web, host), family)], PEER_HANDSHAKE) as heavy:
        for _ in range(ROUNDS):
            beside.append(_other(((web, host), family)))
            alone.append(_other(((plain.web, plain.dynamic), family)))
        (held,) = rates(heavy, warm=0, seconds=0.5)
    kept = median(beside) / median(alone)
    print(f"{median(beside):.1f} beside one held to {held:.1f}, {median(alone):.1f} without edged: {kept:.3f}")
    assert held <= 2 * RATE, "the heavy flow was not held meanwhile"
    assert median(alone) > OTHER / 2
    assert kept >= KEPT


def _other(way: Way) -> float:
    with transfers([way], pace=OTHER * 1_000_000) as running:
        return rates(running, warm=0.15, seconds=0.4)[0]
