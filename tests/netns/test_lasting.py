"""Bulk by real TCP flows through the throw-away gateway: candidates by the table, measured, made bulk, and remembered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import NamedTuple

import pytest

from edged.addresses import Family
from edged.caps.lasting import Lasting, Wanted
from edged.enforce import enforce
from edged.kernel.flows import LinuxFlows
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Host, Topology
from edged.marks import FlowClass, MarkFields, in_field
from edged.policies import Caps
from edged.ruleset.plan import Desired
from edged.tracked import Tracked
from tests.gateway import CLASSES, SITE, make, table_of
from tests.netns.bulk import transfers

MEGABIT = 1_000_000
WANTED = Wanted(sustained=8 * MEGABIT, lasting=3.0)
ABOVE, BELOW = 16 * MEGABIT, 4 * MEGABIT
PATIENCE = 10.0  # seconds, on a busy machine
FIELD, LARGE = MarkFields().class_and_weight, MarkFields().heavy
BULK = in_field(FIELD, FlowClass.BULK)


class Ends(NamedTuple):
    """Who opened a flow, and to whom."""

    family: Family
    originator: int
    responder: int


def ends(family: Family, originator: Host, responder: Host) -> Ends:
    return Ends(family, int(originator.address(family)), int(responder.address(family)))


def ends_of(flow: Tracked) -> Ends:
    return Ends(flow.family, flow.originator.address, flow.responder.address)


@pytest.fixture
def capped(topology: Topology) -> Iterator[Topology]:
    """A gateway in which flows of more than 20 kB are candidates."""
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        caps = make(Caps, classes={"bulk": CLASSES["bulk"] | {"after": "20kB"}})
        enforce(kernel, Desired(table_of([caps], SITE, int(time.time())), queue=kernel.capabilities().queue), time.time)
        yield topology


def await_candidates(flows: LinuxFlows, wanted: set[Ends]) -> None:
    """Until the table has marked these."""
    until = time.monotonic() + PATIENCE
    while (marked := {ends_of(each) for each in flows.marked(FIELD, LARGE)}) != wanted and time.monotonic() < until:
        time.sleep(0.1)
    assert marked == wanted


def watch(flows: LinuxFlows) -> Mapping[Ends, float]:
    """When, from the start on, which flow became bulk; the samples come as irregularly as on a busy machine."""
    lasting, began = Lasting(), time.monotonic()
    found: dict[Ends, float] = {}
    for pause in (0.0, 0.7, 1.1, 0.6, 0.9, 0.8, 1.3, 0.7, 0.6, 0.9):
        time.sleep(pause)
        now = time.monotonic()
        heavy = lasting.sample(now, flows.marked(FIELD, LARGE), lambda _: WANTED)
        assert not found.keys() & set(map(ends_of, heavy)), "what is marked is no candidate any more"
        flows.mark(heavy, FIELD, BULK)
        found |= dict.fromkeys(map(ends_of, heavy), now - began)
    return found


def remembered(topology: Topology, name: str) -> list[str]:
    """Whose flows of the class the packet path has seen lately."""
    listed = topology.gateway.run(["nft", "-j", "list", "set", "inet", "edged", name], check=True).stdout
    found = next(each["set"] for each in json.loads(listed)["nftables"] if "set" in each).get("elem", [])
    return [each["elem"]["val"] for each in found]


def test_a_flow_above_the_rate_becomes_bulk_in_time_and_one_below_never(capped: Topology) -> None:
    web, dynamic, static = capped.web, capped.dynamic, capped.static
    flows = LinuxFlows(capped.gateway.netns)
    fast = [((dynamic, web), Family.IPV4), ((web, dynamic), Family.IPV6)]
    slow = [((web, static), Family.IPV4), ((static, web), Family.IPV6)]
    with ExitStack() as running:
        quick = running.enter_context(transfers(fast, pace=ABOVE))
        running.enter_context(transfers(slow, pace=BELOW))
        await_candidates(flows, {ends(family, *way) for way, family in fast + slow})
        before, start = [each.received for each in quick], time.monotonic()
        found = watch(flows)
        seconds = time.monotonic() - start
        assert all((each.received - had) * 8 / seconds > WANTED.sustained for each, had in zip(quick, before, strict=True))
        assert {ends_of(each) for each in flows.marked(FIELD, LARGE)} == {ends(family, *way) for way, family in slow}
        assert {ends_of(each) for each in flows.marked(MarkFields().flow_class, BULK)} == {
            ends(family, *way) for way, family in fast
        }
        assert found.keys() == {ends(family, *way) for way, family in fast}
        assert all(after >= WANTED.lasting for after in found.values()), found
        assert remembered(capped, "heavy_up_bulk4") == [str(dynamic.ipv4)]
        assert remembered(capped, "heavy_down_bulk6") == ["2001:db8:d::"]
