"""The status object and the metrics page: the exact names and values of the public interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from edged.daemon.boot import choose
from edged.daemon.capsreport import CapsView
from edged.daemon.capstate import CapState
from edged.daemon.changes import Changes
from edged.daemon.report import View, degraded, interfaces, line, status
from edged.daemon.service import figures
from edged.kernel import Capabilities
from edged.kernel.bypasses import Bypass
from edged.metrics.page import EdgedCollector
from edged.ruleset.plan import Lock
from tests.unit.daemon.daemons import EDGED, NOW, OP25B, Rig, write_files


def view(rig: Rig, changes: Changes) -> View:
    return View(
        record=changes.record,
        kept=rig.keeper.state,
        lock=rig.lock,
        totals=rig.totals.read(),
        present=frozenset({"lo", "lan0", "wan0"}),
        bypasses=(),
        seconds_left=changes.seconds_left,
        restart_needed=changes.restart_needed,
        warnings=(),
        metrics="127.0.0.1:9825",
    )


@pytest.fixture
def changes(rig: Rig) -> Changes:
    made = rig.changes()
    asyncio.run(made.start(choose(rig.load, rig.state)))
    rig.host.count("op25b_up_ip_reject", 3, 60)
    return made


def metrics(rig: Rig, changes: Changes, capabilities: Capabilities) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(EdgedCollector(lambda: figures(view(rig, changes), capabilities, rig.totals.errors)))
    return {
        sample.name
        + (
            "{" + ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items())) + "}" if sample.labels else ""
        ): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.startswith(("edged_apply_duration_seconds", "edged_build_info"))
    }


def test_the_metrics_by_name_label_and_value(rig: Rig, changes: Changes) -> None:
    found = metrics(rig, changes, Capabilities({"table_owner": True, "queue": False}))
    counters = ("up", "ipv4", "reject", 3), ("up", "ipv4", "drop", 0), ("down", "ipv4", "drop", 0)
    labels = [
        (f"{{direction={direction},family={family},policy=op25b,verdict={verdict}}}", n)
        for direction, family, verdict, n in counters
    ]
    assert found == {
        "edged_config_last_reload_successful": 1,
        "edged_config_last_reload_success_timestamp_seconds": NOW,
        "edged_enforcement_in_sync": 1,
        "edged_drift_repairs_total{reason=table_removed}": 0,
        "edged_drift_repairs_total{reason=table_replaced}": 0,
        "edged_drift_repairs_total{reason=rules_changed}": 0,
        "edged_drift_repairs_total{reason=sets_changed}": 0,
        "edged_drift_repairs_total{reason=counters_changed}": 0,
        "edged_drift_repairs_total{reason=interface_returned}": 0,
        "edged_drift_repairs_total{reason=qdisc_replaced}": 0,
        "edged_drift_repairs_total{reason=qdisc_removed}": 0,
        "edged_drift_repairs_total{reason=classes_changed}": 0,
        "edged_capability{feature=table_owner}": 1,
        "edged_capability{feature=queue}": 0,
        "edged_capability{feature=no_bypass}": 1,
        **{f"edged_policy_packets_total{name}": n for name, n in labels},
        **{f"edged_policy_bytes_total{name}": n * 60 for name, n in labels},
        "edged_kernel_read_errors_total": 0,
        "edged_subscribers{plan=}": 0,
    }


def test_the_page_of_a_daemon_that_enforces_nothing(rig: Rig, changes: Changes) -> None:
    asyncio.run(changes.teardown())
    found = metrics(rig, changes, Capabilities({}))
    assert found["edged_enforcement_in_sync"] == 0
    assert found["edged_policy_packets_total{direction=up,family=ipv4,policy=op25b,verdict=reject}"] == 3


def test_counters_go_on_over_a_reload_that_takes_them_away_and_back(rig: Rig, changes: Changes) -> None:
    for text in (OP25B.replace("enforce", "off"), OP25B):
        write_files(rig.folder, text)
        asyncio.run(changes.reload())
    rig.host.count("op25b_up_ip_reject", 2)
    found = metrics(rig, changes, Capabilities({}))
    assert found["edged_policy_packets_total{direction=up,family=ipv4,policy=op25b,verdict=reject}"] == 5


def test_the_status_as_an_object(rig: Rig, changes: Changes) -> None:
    found = status(view(rig, changes))
    assert found["schema"] == "edged/v1/status"
    assert (found["gateway"], found["in_sync"], found["enforcing"], found["lock"]) == (
        "gw1",
        True,
        True,
        Lock.OWNER_PERSIST.value,
    )
    assert found["configuration"] == {
        "path": str(rig.path),
        "last_reload_successful": True,
        "last_reload_success": NOW,
        "running": "files",
    }
    assert found["interfaces"] == {"lan0": True, "wan0": True}
    assert found["degraded"] == []
    assert found["policies"][0]["policy"] == "op25b"
    assert found["policies"][0]["file"] == "rules.d/20-op25b.yaml:1"
    assert {"direction": "up", "family": "ipv4", "verdict": "reject", "packets": 3, "bytes": 180} in found["policies"][0][
        "counters"
    ]


def whats(shown: View) -> list[str]:
    return [each["what"] for each in degraded(shown)]


def variants(rig: Rig, changes: Changes) -> Iterator[tuple[View, list[str]]]:
    whole = view(rig, changes)
    yield whole, []
    yield replace(whole, present=frozenset({"wan0"})), ["interface lan0"]
    yield replace(whole, bypasses=(Bypass("XDP program 7 on lan0", "why", "what to do"),)), ["XDP program 7 on lan0"]
    yield replace(whole, restart_needed=("control: /a takes effect ...",)), ["control"]
    yield replace(whole, caps=CapsView(no_bulk="no conntrack")), []  # no caps, no loss
    yield replace(whole, record=replace(changes.record, state_trouble="disk full")), ["state folder"]
    yield replace(whole, record=replace(changes.record, reload_successful=False, reload_error="x\ny")), ["configuration"]
    yield replace(whole, record=replace(changes.record, idle="torn down", state_trouble="disk full")), ["enforcement"]


def test_each_shortcoming_is_told(rig: Rig, changes: Changes) -> None:
    for shown, expected in variants(rig, changes):
        assert whats(shown) == expected
        assert "\n" not in line(shown)
        assert all("\n" not in str(text) for each in degraded(shown) for text in each.values())


def test_the_line_for_systemd_tells_that_nothing_is_capped(rig: Rig, changes: Changes) -> None:
    whole = view(rig, changes)
    assert line(whole) == "The files are in force"
    shown = replace(whole, caps=CapsView(CapState(trouble="no room")))
    assert line(shown) == "The files are in force; heavy flows are not capped"


def test_a_wildcard_is_there_when_one_of_its_kind_is(rig: Rig) -> None:
    (rig.folder / "edged.yaml").write_text(EDGED.replace("lan0", "ppp*"))
    configuration = rig.load()
    assert interfaces(configuration, frozenset({"ppp7", "wan0"})) == {"ppp*": True, "wan0": True}
    assert interfaces(configuration, frozenset({"pp"})) == {"ppp*": False, "wan0": False}
