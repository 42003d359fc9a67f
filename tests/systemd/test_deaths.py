"""The service dies, hangs or is restarted, and nothing comes through meanwhile, though a stranger flushes the ruleset as well."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.netns.probe.probe import FAMILIES, Probe
from tests.promises import Measured
from tests.systemd.machine import Machine

pytestmark = pytest.mark.timeout(900)  # the first run makes the Debian root, and the long one waits for many watchdogs

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
SIGNAL = ("systemctl", "kill", "--kill-whom=main")


def kill(machine: Machine) -> None:
    """kill -9."""
    machine.run([*SIGNAL, "--signal=KILL", "edged"])


def hang(machine: Machine) -> None:
    """It stands still, until systemd's watchdog has had enough, WatchdogSec later."""
    machine.run([*SIGNAL, "--signal=STOP", "edged"])


def restart(machine: Machine) -> None:
    """systemctl restart."""
    machine.run(["systemctl", "--no-block", "restart", "edged"])


class Life(NamedTuple):
    """When the service ended, when it was ready again, and how many flushes fell between."""

    ended: float
    ready: float
    flushes: int


Death = Callable[[Machine], None]
ROUNDS: list[tuple[Death, bool]] = [(kill, False), (kill, True), (restart, False), (restart, True), (hang, True)]
LONG_ROUNDS = ROUNDS * 4 + [(kill, True), (restart, True)] * 20 + [(hang, False)]


def die(machine: Machine, death: Death, *, flushed: bool) -> Life:
    """One death, and the ruleset flushed again and again until the service is ready once more."""
    before = time.monotonic()
    death(machine)
    flushes = []
    while not (machine.show("ActiveState") == "active" and machine.moment("ActiveEnter") > before):
        if flushed:
            flushes.append((time.monotonic(), flush(machine)))
        time.sleep(0.02)
        assert time.monotonic() - before < 60, machine.journal()
    ended, ready = machine.moment("InactiveEnter"), machine.moment("ActiveEnter")
    assert before < ended < ready, "it was not dead at all"
    return Life(ended, ready, sum(ended < begins and ends < ready for begins, ends in flushes))


def flush(machine: Machine) -> float:
    """A stranger's flush, which takes what is nobody's; when it was done."""
    gateway = machine.topology.gateway
    gateway.run(["nft", "add", "table", "ip", "theirs"], check=True)
    gateway.run(["nft", "flush", "ruleset"], check=True)
    done = time.monotonic()
    assert "theirs" not in gateway.run(["nft", "list", "tables"], check=True).stdout
    return done


@pytest.mark.promise(2)
def test_no_syn_leaks_over_deaths_and_restarts_of_the_service(machine: Machine, measured: Measured) -> None:
    rules = machine.rules()
    lives = []
    with Probe(machine.topology, 1) as probe:
        for death, flushed in LONG_ROUNDS if IS_LONG else ROUNDS:
            lives.append((death, flushed, die(machine, death, flushed=flushed)))
        result = probe.result()
    for family in FAMILIES:
        assert (result.leaked(family), result.missing(family)) == ([], []), family.label
    assert machine.rules() == rules
    assert machine.status()["in_sync"]
    assert all(life.flushes for _, flushed, life in lives if flushed), "a flush came when the service was not dead"
    parents = {int(status["PPid"]) for pid, status in machine.processes().items() if pid != machine.main_pid}
    assert parents == {machine.main_pid}, "a former daemon's inspector is still there"

    deaths = Counter(death.__name__ for death, _, _ in lives)
    longest = max(life.ready - life.ended for _, _, life in lives)
    measured(
        f"under systemd: 0 of {result.sent} SYNs a family leaked over {deaths['kill']} kill -9, {deaths['restart']} restarts, "
        f"{deaths['hang']} watchdog deaths, with {sum(life.flushes for _, _, life in lives)} flushes of the ruleset while dead; "
        f"dead for at most {longest:.1f} s"
    )
