"""Caps as status, top and the metrics page tell of them, and what of them is less than the files ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from edged.addresses import Family
from edged.caps.book import Policed, Shaped
from edged.daemon.capsreport import CapsView, caps_degraded, caps_status, top
from edged.daemon.capstate import CapState, Use
from edged.daemon.inspection import added
from edged.daemon.report import View
from edged.daemon.service import figures
from edged.daemon.strangers import StrangersState
from edged.inspect.sight import TrafficClass
from edged.inspectors.post import QueueFigures, State
from edged.kernel import Capabilities
from edged.loader import Configuration
from edged.marks import FlowClass
from edged.metrics.page import EdgedCollector
from edged.queueing.observed import TrafficCapabilities
from edged.queueing.tree import Leaf
from edged.ruleset.nodes import Direction
from edged.ruleset.observed import CounterValue
from edged.ruleset.plan import Lock
from edged.ruleset.tree import Counter
from tests.unit.daemon.daemons import EDGED, Rig

CAPS = """\
policy: caps
queues: 2
classes:
  p2p: {after: 1MB, down: 2mbit, up: 1mbit}
  bulk: {after: 1MB, sustained: 20mbit, for: 60s, down: 2mbit, up: 1mbit}
plans:
  gold: {p2p: {down: 8mbit}}
"""
PACKETS = {"undecided": 5, "decided": 4, "unreadable": 3, "failed": 2, "released": 1}


def queue(number: int, state: State = State.INSPECTING, p2p: int = 7) -> QueueFigures:
    return QueueFigures(number, state, PACKETS, {TrafficClass.P2P: p2p, TrafficClass.STREAMING: 0, None: 9}, 2, 3)


STATE = CapState(
    active=True,
    able=TrafficCapabilities(htb=True, leaves=frozenset({Leaf.BFIFO, Leaf.FQ_CODEL})),
    policed={},
    pools={Direction.DOWN: 2048, Direction.UP: 2048},
    leased={Direction.DOWN: 3, Direction.UP: 1},
    capped={(FlowClass.P2P, Shaped): 3, (FlowClass.P2P, Policed): 1},
    shaped={(FlowClass.P2P, Direction.DOWN): 300},
)
CONTENDED = StrangersState(contention="changed again and again", deafness="no memory")
ENDED = (queue(1, State.ENDED), queue(2, State.ENDED))  # the files ask for two queues, 0 and 1
WHOLE = CapsView(STATE, (queue(0), queue(1)), uninspected=6, bulk_found=4)


def configured(rig: Rig, caps: str = CAPS, edged: str = EDGED) -> Configuration:
    (rig.folder / "edged.yaml").write_text(edged)
    (rig.folder / "rules.d" / "50-caps.yaml").write_text(caps)
    return rig.load()


def shortfalls(configuration: Configuration, view: CapsView) -> list[tuple[str, str]]:
    return [(each["what"], each["why"]) for each in caps_degraded(configuration, view)]


def test_the_status_of_caps_as_an_object(rig: Rig) -> None:
    found = caps_status(configured(rig), replace(WHOLE, state=replace(STATE, policed={Direction.UP: "no HTB"})))
    assert found == {
        "capped": [{"class": "p2p", "shaped": 3, "policed": 1}, {"class": "bulk", "shaped": 0, "policed": 0}],
        "directions": [
            {"direction": "up", "pool": 2048, "leased": 1, "policed": "no HTB"},
            {"direction": "down", "pool": 2048, "leased": 3, "policed": ""},
        ],
        "bulk_found": 4,
        "queues": [
            {
                "queue": number,
                "state": "inspecting",
                "meaning": "inspecting",
                "packets": PACKETS,
                "flows": {"p2p": 7, "streaming": 0, "other": 9},
                "restarts": 2,
                "lags": 3,
            }
            for number in (0, 1)
        ],
        "uninspected": 6,
    }


def test_without_caps_there_is_nothing_to_tell(rig: Rig) -> None:
    configuration = configured(rig, CAPS.replace("queues: 2", "mode: off"))
    assert caps_status(configuration, WHOLE) is None
    assert shortfalls(configuration, replace(WHOLE, no_inspection="x", state=replace(STATE, trouble="y"))) == []


def test_observed_caps_have_queues_and_no_pools(rig: Rig) -> None:
    configuration = configured(rig, CAPS.replace("queues: 2", "mode: observe"))
    found = caps_status(configuration, WHOLE)
    assert found is not None
    assert (found["directions"], [each["queue"] for each in found["queues"]]) == ([], [0])
    assert shortfalls(configuration, replace(WHOLE, state=CapState(policed={Direction.UP: "no HTB"}))) == []


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (WHOLE, []),
        (replace(WHOLE, state=replace(STATE, trouble="no room")), [("caps", "no room")]),
        (replace(WHOLE, state=replace(STATE, policed={Direction.DOWN: "no HTB"})), [("shaping down", "no HTB")]),
        (replace(WHOLE, no_bulk="no conntrack"), [("bulk transfers", "no conntrack")]),
        (replace(WHOLE, no_inspection="queue 0 is taken"), [("inspection", "queue 0 is taken")]),
        (replace(WHOLE, queues=(queue(0), queue(1, State.BEGINNING))), []),
        (replace(WHOLE, queues=(queue(0, State.LAGGING), queue(1))), [("queue 0", "its worker lags, packets pass")]),
        (replace(WHOLE, strangers=CONTENDED), [("queueing", "changed again and again"), ("events of tc", "no memory")]),
        (replace(WHOLE, queues=(queue(0), *ENDED)), [("queue 1", "nobody looks after it, packets pass")]),
    ],
)  # fmt: skip
def test_each_shortcoming_is_told_with_what_is_done_instead(rig: Rig, view: CapsView, expected: list[tuple[str, str]]) -> None:
    configuration = configured(rig)
    assert shortfalls(configuration, view) == expected
    assert all(each["instead"] for each in caps_degraded(configuration, view))


@pytest.mark.parametrize(
    ("bulk", "instead"), [(True, "new p2p flows pass uncapped, unless they become bulk"), (False, "new p2p flows pass uncapped")]
)
def test_without_queues_flows_go_by_volume_alone(rig: Rig, bulk: bool, instead: str) -> None:
    caps = CAPS if bulk else "\n".join(line for line in CAPS.splitlines() if "bulk" not in line)
    (found,) = caps_degraded(configured(rig, caps), replace(WHOLE, has_queues=False, queues=()))
    assert (found["what"], found["instead"]) == ("inspection", instead)


def test_caps_by_volume_alone_miss_no_queue(rig: Rig) -> None:
    caps = "\n".join(line for line in CAPS.splitlines() if "p2p" not in line and "plans" not in line)
    assert shortfalls(configured(rig, caps), replace(WHOLE, has_queues=False, queues=())) == []


def test_who_asked_for_policing_misses_no_shaping(rig: Rig) -> None:
    view = replace(WHOLE, state=replace(STATE, policed={Direction.DOWN: "ppp* stands for devices that come and go"}))
    assert shortfalls(configured(rig), view)
    assert shortfalls(configured(rig, f"{CAPS}pool: 0\n"), view) == []
    assert shortfalls(configured(rig, edged=EDGED.replace("lan0", "ppp*")), view) == []


# --- top ---


def use(subscriber: str, rate: float | None, cap: int = 1_000_000) -> Use:
    method = Policed if rate is None else Shaped
    return Use(subscriber, None, FlowClass.P2P, Direction.DOWN, method, cap, rate, None if rate is None else 1.0)


def test_top_ranks_by_rate_and_then_by_cap() -> None:
    uses = (use("slow", 1.0), use("policed", None, 10), use("fast", 2.0), use("policed-more", None, 20), use("still", 0.0))
    found = top(CapsView(CapState(uses=uses)), 4)
    assert found["leases"] == 5
    assert [each["subscriber"] for each in found["uses"]] == ["fast", "slow", "still", "policed-more"]
    assert found["uses"][0] == {
        "subscriber": "fast",
        "plan": None,
        "class": "p2p",
        "direction": "down",
        "method": "shape",
        "cap": 1_000_000,
        "rate": 2.0,
        "dropped": 1.0,
    }
    assert [each["method"] for each in found["uses"]] == ["shape", "shape", "shape", "police"]


# --- counts over a reload ---


def test_counts_go_on_where_other_workers_begin() -> None:
    first = added((), (queue(0), queue(1)))
    assert first == (queue(0), queue(1))
    gone = added(first, ())
    assert {each.state for each in gone} == {State.ENDED}
    assert [each.flows for each in gone] == [each.flows for each in first]
    second = added(gone, (queue(0, State.BEGINNING, p2p=1),))
    assert [(each.queue, each.state) for each in second] == [(0, State.BEGINNING), (1, State.ENDED)]
    assert second[0].flows == {TrafficClass.P2P: 8, TrafficClass.STREAMING: 0, None: 18}
    assert second[0].packets == {name: 2 * count for name, count in PACKETS.items()}
    assert (second[0].restarts, second[0].lags) == (4, 6)


# --- metrics ---


def page(
    rig: Rig, configuration: Configuration, caps: CapsView, totals: Mapping[Counter, CounterValue]
) -> dict[tuple[str, ...], float]:
    changes = rig.changes(configuration)
    view = View(
        record=replace(changes.record, configuration=configuration, idle=""),
        kept=rig.keeper.state,
        lock=Lock.OWNER,
        totals=totals,
        present=frozenset(),
        bypasses=(),
        seconds_left=None,
        restart_needed=(),
        warnings=(),
        metrics="",
        caps=caps,
    )
    collector = EdgedCollector(lambda: figures(view, Capabilities({"queue": True}), 0))
    return {(sample.name, *sample.labels.values()): sample.value for each in collector.collect() for sample in each.samples}


def of(found: Mapping[tuple[str, ...], float], *names: str) -> dict[tuple[str, ...], float]:
    return {key: value for key, value in found.items() if key[0].removeprefix("edged_") in names}


def counters(*values: tuple[Direction, Family, str, str, int]) -> Iterable[tuple[Counter, CounterValue]]:
    for direction, family, verdict, flow_class, packets in values:
        yield Counter("caps", direction, family, verdict, flow_class), CounterValue(packets, packets * 100)


def test_the_metrics_of_caps_by_name_label_and_value(rig: Rig) -> None:
    (rig.folder / "subscribers.csv").write_text("id,prefixes,plan\nc1,203.0.113.1,gold\nc2,203.0.113.2,\nc3,203.0.113.3,\n")
    configuration = configured(rig, edged=f"{EDGED}subscribers: subscribers.csv\n")
    found = page(rig, configuration, WHOLE, {})
    assert of(found, "capped_subscribers", "flows_classified_total", "subscribers", "capability") == {
        ("edged_capped_subscribers", "p2p", "shape"): 3,
        ("edged_capped_subscribers", "p2p", "police"): 1,
        ("edged_capped_subscribers", "bulk", "shape"): 0,
        ("edged_capped_subscribers", "bulk", "police"): 0,
        ("edged_flows_classified_total", "p2p"): 14,
        ("edged_flows_classified_total", "streaming"): 0,
        ("edged_flows_classified_total", "other"): 18,
        ("edged_flows_classified_total", "bulk"): 4,
        ("edged_subscribers", ""): 2,
        ("edged_subscribers", "gold"): 1,
        ("edged_capability", "queue"): 1,
        ("edged_capability", "htb"): 1,
        ("edged_capability", "fq_codel"): 1,
        ("edged_capability", "cake"): 0,
        ("edged_capability", "no_bypass"): 1,
    }
    assert of(found, "queue_packets_total") == {
        ("edged_queue_packets_total", number, result): count for number in "01" for result, count in PACKETS.items()
    } | {("edged_queue_packets_total", "", "uninspected"): 6}


def test_what_is_shaped_is_told_by_class_and_what_is_dropped_by_policy(rig: Rig) -> None:
    totals = counters(
        (Direction.DOWN, Family.IPV4, "drop", "p2p", 4),
        (Direction.DOWN, Family.IPV4, "drop", "bulk", 8),
        (Direction.UP, Family.IPV4, "observe", "p2p", 16),
    )
    found = page(rig, configured(rig), WHOLE, dict(totals))
    assert of(found, "capped_bytes_total", "policy_packets_total") == {
        ("edged_capped_bytes_total", "p2p", "up"): 0,
        ("edged_capped_bytes_total", "p2p", "down"): 300,
        ("edged_capped_bytes_total", "bulk", "up"): 0,
        ("edged_capped_bytes_total", "bulk", "down"): 0,
        ("edged_policy_packets_total", "caps", "down", "ipv4", "drop"): 12,
        ("edged_policy_packets_total", "caps", "up", "ipv4", "observe"): 16,
    }


def test_counters_stay_on_the_page_when_caps_are_switched_off(rig: Rig) -> None:
    ended = CapsView(CapState(), added((queue(0),), ()), bulk_found=4)
    found = page(rig, configured(rig, CAPS.replace("queues: 2", "mode: off")), ended, {})
    assert found["edged_flows_classified_total", "p2p"] == 7
    assert found["edged_flows_classified_total", "bulk"] == 4
    assert found["edged_queue_packets_total", "0", "released"] == 1
    assert not of(found, "capped_subscribers")
