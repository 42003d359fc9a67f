"""The shipped example under Debian's stock kernel: applied, in sync, effective, held by the daemon, and gone again.

On Debian 12 that is Linux 6.1, which has the owner flag and neither `persist` (6.9) nor the DESTROY* messages (6.3): so this is
also the test of what edged does instead.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiers import require

HERE = Path(__file__).parent
RUNNER = HERE / "stock_kernel"
CHECKOUT = HERE.parents[1]

pytestmark = pytest.mark.timeout(900)  # the first run downloads the kernel


@pytest.fixture(scope="module")
def kernel() -> str:
    """The stock kernel's release, with the kernel in the cache."""
    fetched = subprocess.run([RUNNER, "--fetch"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        require("vm", fetched.stderr.strip())
    return fetched.stdout.strip()


@pytest.fixture(scope="module")
def seen(kernel: str) -> dict[str, Any]:
    """What scenario.py saw in one machine."""
    done = subprocess.run(
        [RUNNER, "--timeout", "300", "--", sys.executable, HERE / "scenario.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["release"] == kernel
    return found


def lacks_persist(release: str) -> bool:
    """Whether a kernel is older than NFT_TABLE_F_PERSIST."""
    major, minor = re.findall(r"\d+", release)[:2]
    return (int(major), int(minor)) < (6, 9)


def lasting(table: str) -> str:
    """A listing without its lock, and without what traffic and time change in it."""
    plain = re.sub(r" # progname .*|^\tflags .*\n\n|packets \d+ bytes \d+|(timeout|expires) \w+", "", table, flags=re.MULTILINE)
    # the kernel hands a hash set's elements out in an order that is another each time the set is made
    return re.sub(r"elements = \{([^}]*)\}", lambda found: " ".join(sorted(found[1].replace(",", " ").split())), plain)


def test_apply_puts_the_example_in_force(seen: dict[str, Any]) -> None:
    assert seen["apply"]["status"] == 0, seen["apply"]
    assert "type filter hook forward" in seen["table"]
    # nft 1.0.6 does not know the flag's name, but prints that there is one
    assert ("lock: owner, persist" in seen["apply"]["output"]) is not lacks_persist(seen["release"])


def test_plan_after_apply_has_nothing_left_to_do(seen: dict[str, Any]) -> None:
    assert seen["plan"]["status"] == 0, seen["plan"]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("connection", "outcome"),
    [
        ("dynamic 25", "refused"),
        ("dynamic 587", "open"),
        ("dynamic exempt", "open"),
        ("static 25", "open"),
        ("inbound", "open"),
        ("inbound from 25", "silence"),
    ],
)
def test_connections_come_out_as_the_policies_say(seen: dict[str, Any], connection: str, outcome: str, family: str) -> None:
    name = f"{connection} {family}"
    assert (seen["before"][name], seen["during"][name]) == ("open", outcome)


def test_the_daemon_owns_the_table(seen: dict[str, Any]) -> None:
    assert seen["told"][-1].startswith("READY=1"), seen["daemon"]
    assert "flags owner" in seen["owned"]


def test_a_strangers_flush_goes_past_the_table(seen: dict[str, Any]) -> None:
    assert lasting(seen["flushed"]) == lasting(seen["owned"])


def test_a_clean_stop_leaves_the_policy_in_force_and_without_an_owner(seen: dict[str, Any]) -> None:
    assert seen["daemon"]["status"] == 0, seen["daemon"]
    assert "flags owner" not in seen["stopped"]
    assert lasting(seen["stopped"]) == lasting(seen["table"])


def test_another_programs_flowtable_is_told_as_a_bypass(seen: dict[str, Any]) -> None:
    doctor, apply = seen["bypassed"]["doctor"], seen["bypassed"]["apply"]
    (found,) = (each for each in json.loads(doctor["output"])["findings"] if each["name"].startswith("flowtable inet fast ft"))
    assert (found["grade"], found["weakens"], doctor["status"]) == ("missing", [12, 19], 8)
    assert "flowtable inet fast ft (lan0, wan0): flows that another program puts into it pass every rule" in apply["errors"]
    assert apply["status"] == 8


def test_an_interface_of_a_vrf_is_told_and_the_vrfs_name_beside_it_closes_the_gap(seen: dict[str, Any]) -> None:
    vrf = seen["vrf"]
    assert (vrf["alone 25"], vrf["both 25"]) == ("refused", "refused"), "what leaves by an interface keeps its name"
    assert (vrf["reaches listed"], vrf["alone listed"], vrf["both listed"]) == ("open", "silence", "silence")
    (up, down), (both_up, _) = vrf["alone dropped"], vrf["both dropped"]
    assert ("packets 0 " in up, "packets 0 " in down) == (True, False), "it goes out, and the answer is stopped"
    assert "packets 0 " not in both_up
    why = "interface lan0: it is in VRF blue: what it receives comes in by blue, and no rule that asks where from is about that"
    assert (why in vrf["alone"]["apply"]["errors"], vrf["alone"]["apply"]["status"]) == (True, 8)
    assert "VRF blue" in vrf["alone"]["doctor"]["output"]
    assert "VRF" not in vrf["both"]["apply"]["errors"] + vrf["both"]["doctor"]["output"]


def test_teardown_leaves_nothing(seen: dict[str, Any]) -> None:
    assert seen["teardown"]["status"] == 0, seen["teardown"]
    assert seen["left"] == ""


def test_the_runner_passes_on_output_and_status(kernel: str) -> None:
    command = "echo out; echo err >&2; uname -r; [ $STOCK_KERNEL = $(uname -r) ] && exit 7"
    done = subprocess.run([RUNNER, "--timeout", "60", "--", "sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, f"out\n{kernel}\n", "err\n")


def test_the_runner_ends_what_outlasts_its_time_limit(kernel: str) -> None:
    done = subprocess.run([RUNNER, "--timeout", "2", "--", "sleep", "1000"], capture_output=True, text=True, check=False)
    assert done.returncode == 124
    assert "not done after 2 s" in done.stderr
