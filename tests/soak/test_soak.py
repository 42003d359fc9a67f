"""The soak, as long as a test may be: see soak.py; by hand it takes hours (`python -m tests.soak`)."""

from __future__ import annotations

import os

import pytest

from tests.promises import Measured
from tests.soak.gateway import ENTRIES, SUBSCRIBERS
from tests.soak.reloads import reloads
from tests.soak.soak import MIB, soak
from tests.tiers import missing_for_namespaces, require

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
SECONDS = 300.0 if IS_LONG else 12.0
RELOADS = 400 if IS_LONG else 30


@pytest.mark.promise(15)
@pytest.mark.timeout(SECONDS + 120)
def test_nothing_grows_while_everything_changes(measured: Measured) -> None:
    if reason := missing_for_namespaces():
        require("netns", reason)
    report = soak(SECONDS, print)
    assert not report.problems
    assert report.longest_beat < 5.0
    first, last = report.samples[0][1], report.samples[-1][1]
    measured(
        f"{SECONDS:.0f} s, {report.changes} changes over {SUBSCRIBERS} subscribers and {ENTRIES} entries: "
        f"{first.memory / MIB:.0f} MiB, then {last.memory / MIB:.0f}; {report.growth:+.1f} MiB over the last quarter; "
        f"{first.descriptors} descriptors, then {last.descriptors}; at most {report.leases} leases"
    )


@pytest.mark.promise(15)
def test_a_reload_leaves_nothing_behind(measured: Measured) -> None:
    if reason := missing_for_namespaces():
        require("netns", reason)
    report = reloads(RELOADS, print)
    assert not report.problems
    first, last = report.samples[len(report.samples) // 3][1], report.samples[-1][1]
    cpu = (last.cpu - first.cpu) / (2 * report.changes / 3)
    measured(
        f"{report.changes} reloads with another policy each, {cpu:.2f} s of CPU each: "
        f"{report.growth:+.2f} MiB over the last quarter, descriptors "
        f"{first.descriptors}, then {last.descriptors}, threads {first.threads}, then {last.threads}"
    )
