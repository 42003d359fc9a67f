"""What becomes of flows' marks: bulk is found, and who is heavy is judged anew under another configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.daemon.bulk import BulkWatch
from edged.errors import KernelError
from edged.kernel.fake import FakeHost
from edged.kernel.flowsfake import FakeFlows
from edged.loader import Configuration
from edged.marks import FlowClass, MarkFields, in_field
from edged.policies.capping import CAPPED
from edged.tracked import End, Tracked, Volume
from tests.unit.daemon.capper_rig import Rig
from tests.unit.daemon.daemons import FakeClock

MARKS = MarkFields()
FOREIGN = 0x5A00_015A
NOTHING = Volume(0, 0)
HEAVY = {each: FOREIGN | MARKS.heavy | in_field(MARKS.flow_class, each) for each in FlowClass}


class Flows(FakeFlows):
    """Connections that can be out of reach."""

    broken = False

    def mark(self, flows: Iterable[Tracked], mask: int, value: int) -> None:
        if self.broken:
            raise KernelError("no conntrack")
        super().mark(flows, mask, value)

    def begin_heavy(self) -> None:
        for each, mark in HEAVY.items():
            ends = End(0xCB007101, 1000 + each), End(0xC0000250, 443)
            self.begin(Tracked(Family.IPV4, 6, *ends, mark, NOTHING, NOTHING, each, bytes([each])))

    @property
    def marks(self) -> dict[FlowClass, int]:
        return {FlowClass(flow.key[0]): flow.mark for flow in self.marked(0, 0)}


@pytest.fixture
def watch() -> BulkWatch:
    flows = Flows()
    flows.begin_heavy()
    return BulkWatch(flows, FakeClock(FakeHost()))


def flows_of(watch: BulkWatch) -> Flows:
    flows = watch._flows
    assert isinstance(flows, Flows)
    return flows


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Rig(tmp_path).load()


JUDGED_ANEW = HEAVY | {each: HEAVY[each] & ~MARKS.heavy for each in CAPPED}


def test_under_another_configuration_the_rules_judge_anew_who_is_heavy(watch: BulkWatch, configuration: Configuration) -> None:
    """G-1: its never-block far ends may be others, and its volumes. What is measured for bulk goes on being measured."""
    watch.sample(configuration)
    assert flows_of(watch).marks == JUDGED_ANEW
    flows_of(watch).begin_heavy()
    watch.sample(configuration)
    assert flows_of(watch).marks == HEAVY, "what was judged by this configuration stands"


def test_what_could_not_be_judged_anew_is_so_at_the_next_sample(watch: BulkWatch, configuration: Configuration) -> None:
    flows_of(watch).broken = True
    watch.sample(configuration)
    assert watch.trouble == "no conntrack"
    flows_of(watch).broken = False
    watch.sample(configuration)
    assert (flows_of(watch).marks, watch.trouble) == (JUDGED_ANEW, "")


def test_without_caps_marks_are_left_alone(watch: BulkWatch, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.change("rules.d/50-caps.yaml", "policy: caps\n", "policy: caps\nmode: off\n")
    watch.sample(rig.load())
    watch.sample(None)
    assert flows_of(watch).marks == HEAVY
