"""A program that changes edged's queueing without a pause: edged does not fight, says so, and has the last word."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.caps.gateway import CapsGateway, Plan, Settings, caps_gateway
from tests.netns.daemon_process import eventually
from tests.promises import Measured

MOST = 0.35  # of a CPU for edged meanwhile; a look is followed by a pause of four times its length
LOOP = "while :; do tc class change dev lan0 classid ed:2 htb rate 1mbit quantum 20000; done"


@pytest.fixture
def gateway() -> Iterator[CapsGateway]:
    with caps_gateway(Settings([Plan("ten", 10_000, 10_000)], pool=32), ["ten"]) as made:
        yield made


AFTER_ALL = 4.0  # s for which the loop goes on: the first second is the burst of repairs that everybody gets


@pytest.mark.promise(4)
def test_edged_does_not_fight(gateway: CapsGateway, measured: Measured) -> None:
    host = gateway.topology.gateway
    whole = host.run(["tc", "class", "show", "dev", "lan0"]).stdout
    stranger = host.popen(["sh", "-c", LOOP])
    began, spent = time.monotonic(), cpu_seconds(gateway)
    eventually(lambda: contention(gateway), 60.0)
    time.sleep(AFTER_ALL)
    lasted = time.monotonic() - began
    share = (cpu_seconds(gateway) - spent) / lasted
    host.end(stranger)
    repairs = gateway.daemon.client.status()["drift_repairs"]["classes_changed"]
    took = eventually(lambda: host.run(["tc", "class", "show", "dev", "lan0"]).stdout == whole, 30.0)
    measured(f"tc in a loop: {repairs} repairs in {lasted:.0f} s took {share:.0%} of a CPU; the last {took:.1f} s after its end")
    assert share <= MOST


def contention(gateway: CapsGateway) -> bool:
    """Whether status tells of it, and of who it is."""
    degraded = gateway.daemon.client.status()["degraded"]
    return any(each["what"] == "queueing" and "again and again, last by " in each["why"] for each in degraded)


def cpu_seconds(gateway: CapsGateway) -> float:
    """What the daemon itself has used, in and out of the kernel (proc(5))."""
    fields = Path(f"/proc/{gateway.daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
