"""Caps under Debian's stock kernel, which has what this machine's may lack: nft's own `queue`, and the leaves cake and fq_codel.

The daemon, its inspectors and real TCP are in the emulated machine: flows are recognised there, and held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiers import require

HERE = Path(__file__).parent
RUNNER = HERE / "stock_kernel"
CHECKOUT = HERE.parents[1]
RATE = 2  # Mbit/s
# An emulated processor with half of a real one answers late, and TCP waits for it; on real ones it is .85 (tests/netns/caps).
LEAST = 0.7

pytestmark = pytest.mark.timeout(900)  # the first run downloads the kernel


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What caps_scenario.py saw in one machine."""
    fetched = subprocess.run([RUNNER, "--fetch"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        require("vm", fetched.stderr.strip())
    # a worker has a while to begin, and an emulated processor would take most of it to compile what is imported
    subprocess.run([sys.executable, "-m", "compileall", "-q", "edged", "tests/netns"], check=True, cwd=CHECKOUT)
    # -P: modules of this folder have names that others have too
    done = subprocess.run(
        [RUNNER, "--timeout", "400", "--", sys.executable, "-P", HERE / "caps_scenario.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["release"] == fetched.stdout.strip()
    return found


def test_flows_are_inspected_through_the_kernels_own_queue(seen: dict[str, Any]) -> None:
    assert "queue flags bypass to 0" in seen["inspect"]


@pytest.mark.parametrize(("pool", "leaf"), [(8, "cake"), (300, "fq_codel")])
def test_each_class_has_the_best_leaf(seen: dict[str, Any], pool: int, leaf: str) -> None:
    """The second pool takes the place of the first by a reload."""
    assert seen[f"leaves of {pool}"] == {"lan0": {leaf: pool}, "wan0": {leaf: pool}}


@pytest.mark.parametrize("pool", [8, 300], ids=["cake", "fq_codel"])
def test_heavy_flows_are_held(seen: dict[str, Any], pool: int) -> None:
    """HV-1: one of IPv4 in one direction, one of IPv6 in the other."""
    found = seen[f"megabits of {pool}"]
    assert found, "no flows were recognised"
    for got in found:
        assert LEAST * RATE <= got <= 1.05 * RATE


def test_the_kernel_refused_nothing(seen: dict[str, Any]) -> None:
    assert not [line for line in seen["log"] if "refused" in line]
