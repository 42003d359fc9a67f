"""How much waits in a class that holds a sender of large segments, by the leaf that keeps it."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from edged.addresses import Family
from edged.kernel.tc import LinuxTrafficControl
from edged.lab.topology import Topology
from edged.queueing.diff import diff
from edged.queueing.tree import Leaf, Lease, Rate, Shaper, Tree
from tests.netns.bulk import transfers

RATES = [Rate(1_000_000), Rate(10_000_000)]
SECONDS, FLOWS = 1.5, 4
# every forwarded packet through the first class of the pool
CLASSED = "table inet classed {\n chain c {\n type filter hook postrouting priority 0\n meta priority set ed:2\n }\n}\n"


def most_waiting(topology: Topology, leaf: Leaf, rate: Rate) -> int:
    """The most bytes that waited while a transfer ran."""
    with closing(LinuxTrafficControl(topology.gateway.netns)) as control:
        if leaf not in control.capabilities().leaves:
            pytest.skip(f"this kernel has no {leaf.value}")
        control.apply(diff((), control.observe()).steps)
        shaper = Shaper("lan0", Rate(10_000_000_000), 2, leaf)
        classid = shaper.classes[0]
        control.apply(diff([Tree(shaper, (Lease(classid, rate),))], control.observe()).steps)
        topology.gateway.run(["nft", "-f", "-"], stdin=CLASSED, check=True)
        most, until = 0, time.monotonic() + SECONDS
        with transfers([((topology.web, topology.dynamic), Family.IPV4)] * FLOWS):
            while time.monotonic() < until:
                waiting = [use.backlog for use in control.statistics("lan0") if use.classid == classid]
                most = max(most, *waiting)
                time.sleep(0.02)
        topology.gateway.run(["nft", "delete", "table", "inet", "classed"], check=True)
        return most


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_queue_of_large_segments_is_short_in_time(topology: Topology, rate: Rate) -> None:
    """Bounded in bytes it is; HTB's own leaf, which counts packets, lets seconds wait."""
    waited = {leaf: most_waiting(topology, leaf, rate) / rate.octets for leaf in (Leaf.PFIFO, Leaf.BFIFO)}
    print(f"{rate}: at most " + ", ".join(f"{seconds:.2f} s in a {leaf.value}" for leaf, seconds in waited.items()))
    assert 0 < waited[Leaf.BFIFO] <= rate.queue / rate.octets
    assert waited[Leaf.PFIFO] > 2 * waited[Leaf.BFIFO], "this sender's segments are too small to tell the leaves apart"
