"""The service dies, hangs or is restarted, and nothing comes through meanwhile, though a stranger flushes the ruleset as well."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from edged.ruleset.plan import Lock
from tests.netns.probe.probe import FAMILIES, Probe
from tests.promises import Measured
from tests.systemd.debian import VENV
from tests.systemd.disk import Disk
from tests.systemd.machine import Machine
from tests.tiers import require

pytestmark = pytest.mark.timeout(900)  # the first run makes the Debian root, and the long one waits for many watchdogs

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
RUNS = 4 if IS_LONG else 1  # of the probe: its receiver has room for a minute or two
PERSIST = 'Lock.OWNER_PERSIST if self.features.get("table_persist") else Lock.OWNER', "Lock.OWNER"
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
# a death, and whether a stranger flushes meanwhile
ROUNDS: list[tuple[Death, bool]] = [(kill, False), (kill, True), (restart, False), (restart, True), (hang, True)]
LONG_ROUNDS = [*ROUNDS, (hang, False)]
# Without persist a table goes with its owner, and over a death systemd alone has that. Not restarts: a daemon that is stopped
# leaves its table to everyone, by a batch that shows in steps on kernels (6.18) which never need it.
ROUNDS_WITHOUT_PERSIST: list[tuple[Death, bool]] = [(kill, False), (kill, True)]
LONG_ROUNDS_WITHOUT_PERSIST = [*ROUNDS_WITHOUT_PERSIST, (hang, True)]


def rounds(lock: str) -> list[tuple[Death, bool]]:
    """What the service has to go through, by how it can hold its table."""
    if lock == Lock.NONE.value:
        require("systemd", "needs a kernel with the owner flag (5.12)")
    if lock == Lock.OWNER.value:
        return LONG_ROUNDS_WITHOUT_PERSIST if IS_LONG else ROUNDS_WITHOUT_PERSIST
    return LONG_ROUNDS if IS_LONG else ROUNDS


@pytest.fixture(scope="module", params=["as it is", "without persist"])
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    """The second takes this kernel for one before 6.9."""
    with Disk() as made:
        made.serve()
        if request.param == "without persist":
            (kernel,) = made.path(VENV).glob("lib/python3*/site-packages/edged/kernel/__init__.py")
            made.write(f"{VENV}/{kernel.relative_to(made.path(VENV))}", *PERSIST)
        yield made


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
    rules, lock = machine.rules(), machine.status()["lock"]
    lives, sent = [], 0
    for _ in range(RUNS):
        with Probe(machine.topology, 1) as probe:
            for death, flushed in rounds(lock):
                lives.append((death, flushed, die(machine, death, flushed=flushed)))
            result = probe.result()
        for family in FAMILIES:
            assert (result.leaked(family), result.missing(family)) == ([], []), family.label
        sent += result.sent
    assert machine.rules() == rules
    assert machine.status()["in_sync"]
    assert all(life.flushes for _, flushed, life in lives if flushed), "a flush came when the service was not dead"
    parents = {int(status["PPid"]) for pid, status in machine.processes().items() if pid != machine.main_pid}
    assert parents == {machine.main_pid}, "a former daemon's inspector is still there"

    deaths = Counter(death.__name__ for death, _, _ in lives)
    longest = max(life.ready - life.ended for _, _, life in lives)
    flushes = sum(life.flushes for _, _, life in lives)
    measured(
        f"under systemd, table held by {lock}: 0 of {sent} SYNs a family leaked over {deaths['kill']} kill -9, "
        f"{deaths['restart']} restarts and {deaths['hang']} watchdog deaths, with {flushes} flushes of the ruleset while dead; "
        f"dead for at most {longest:.1f} s"
    )
