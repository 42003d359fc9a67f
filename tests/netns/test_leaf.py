"""How much waits in a class that holds a sender of large segments, by the leaf that keeps it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from edged.addresses import Family
from edged.kernel.tc import LinuxTrafficControl
from edged.lab.topology import Topology
from edged.queueing.diff import diff
from edged.queueing.plan import RemoveLeaf
from edged.queueing.tree import Lease, Rate, Shaper, Tree
from tests.netns.bulk import transfers

RATES = [Rate(1_000_000), Rate(10_000_000)]
SECONDS, FLOWS = 1.5, 4
SHAPER = Shaper("lan0", Rate(10_000_000_000), 2)
CLASS = SHAPER.classes[0]
# every forwarded packet through the class
CLASSED = f"""\
table inet classed {{
    chain c {{
        type filter hook postrouting priority 0
        meta priority set {CLASS}
    }}
}}
"""
SHORT = f"qdisc add dev lan0 parent {CLASS} handle 1002: pfifo limit 100"


@pytest.fixture
def control(topology: Topology) -> Iterator[LinuxTrafficControl]:
    topology.gateway.run(["nft", "-f", "-"], stdin=CLASSED, check=True)
    with closing(LinuxTrafficControl(topology.gateway.netns)) as made:
        yield made


def most_waiting(topology: Topology, control: LinuxTrafficControl) -> int:
    """The most bytes that waited while transfers ran."""
    most, until = 0, time.monotonic() + SECONDS
    with transfers([((topology.web, topology.dynamic), Family.IPV4)] * FLOWS):
        while time.monotonic() < until:
            most = max(most, *(use.backlog for use in control.statistics("lan0") if use.classid == CLASS))
            time.sleep(0.02)
    return most


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_queue_of_large_segments_is_short_in_time(topology: Topology, control: LinuxTrafficControl, rate: Rate) -> None:
    """Bounded in bytes it is; 100 packets, which is little of full frames, are seconds."""
    control.apply(diff([Tree(SHAPER, (Lease(CLASS, rate),))], control.observe()).steps)
    octets = most_waiting(topology, control)
    control.apply((RemoveLeaf("lan0", CLASS),))
    topology.gateway.run(["tc", *SHORT.split()], check=True)
    packets = most_waiting(topology, control)
    print(f"{rate}: at most {octets / rate.octets:.2f} s in a bfifo, {packets / rate.octets:.2f} s in a pfifo of 100 packets")
    assert 0 < octets <= rate.queue
    assert packets > 2 * octets, "this sender's segments are too small to tell the leaves apart"
