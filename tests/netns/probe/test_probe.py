"""Nothing opens the policy, not for a millisecond: applies, strangers, and the daemon's death, watched by the SYN probe.

The probe is checked itself first. Then the three scenarios run at the same time, each in namespaces of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from edged.enforce import enforce
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Topology
from edged.ruleset.plan import Desired, Lock
from tests.netns.probe.probe import FAMILIES, Probe, Result
from tests.netns.probe.scenarios import SCENARIOS, tables
from tests.promises import Measured
from tests.tiers import require

HOLE = 0.010
PROMISES_OF = {"applies": [1], "strangers": [3], "restarts": [2, 3]}


def test_the_probe_sees_an_open_gateway_a_shut_one_and_a_hole_of_10_ms(topology: Topology) -> None:
    desired = Desired(tables()[0])
    with closing(LinuxKernel(topology.gateway.netns)) as kernel:
        with Probe(topology, 500) as probe:
            open_ = probe.result()
        enforce(kernel, desired, time.time)
        with Probe(topology, 500) as probe:
            shut = probe.result()
        with Probe(topology, 1000) as probe:
            time.sleep(0.4)
            opens = time.monotonic()
            enforce(kernel, None, time.time)
            is_open = time.monotonic()
            time.sleep(HOLE)
            shuts = time.monotonic()
            enforce(kernel, desired, time.time)
            is_shut = time.monotonic()
            holed = probe.result()
    for family in FAMILIES:
        assert (open_.leaked(family), open_.missing(family)) == (list(range(open_.sent)), [])
        assert (shut.leaked(family), shut.missing(family)) == ([], [])
        leaked = holed.leaked(family)
        # one a millisecond, while it was open for certain and no longer than while it may have been open
        assert (shuts - is_open) * 1000 - 2 <= len(leaked) <= (is_shut - opens) * 1000 + 2
        assert leaked == list(range(leaked[0], leaked[-1] + 1)), "one hole"
        assert holed.missing(family) == []


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Future[tuple[Result, str]]]]:
    """Every scenario, all at the same time."""

    def run(name: str) -> tuple[Result, str]:
        with Topology() as topology:
            return SCENARIOS[name](topology)

    with Topology() as topology, closing(LinuxKernel(topology.gateway.netns)) as kernel:
        if kernel.capabilities().lock is Lock.NONE:
            require("netns", "needs a kernel with the owner flag (5.12)")
    with ThreadPoolExecutor(len(SCENARIOS)) as at_once:
        yield {name: at_once.submit(run, name) for name in SCENARIOS}


@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=[pytest.mark.promise(each) for each in PROMISES_OF[name]]) for name in SCENARIOS]
)
def test_no_syn_to_port_25_leaks_and_no_other_is_lost(
    scenario: str, outcomes: dict[str, Future[tuple[Result, str]]], measured: Measured
) -> None:
    result, done = outcomes[scenario].result(timeout=600)
    measured(f"{done}: {result}")
    assert result.sent >= 8000
    for family in FAMILIES:
        assert (result.leaked(family), result.missing(family)) == ([], []), family.label
