"""How soon and how often trees are looked at for others' sake, and who is said to have touched them."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from edged.daemon.drift import UNKNOWN, Process
from edged.daemon.strangers import AUDIT_SECONDS, Pace, Strangers
from edged.daemon.treewatch import TreeWatch, process_of
from edged.kernel.fake import FakeHost
from edged.kernel.treeevents import Touch, TreeEvents
from tests.unit.daemon.daemons import FakeClock

LOOK = 0.1  # s


def test_looks_take_a_fifth_of_the_time_at_most() -> None:
    pace, now, looked = Pace(), 0.0, 0.0
    while now < 100.0:
        now = max(now, pace.next)
        pace.looked(now + LOOK, 0, LOOK)
        now, looked = now + LOOK, looked + LOOK
    assert looked == pytest.approx(100.0 / 5, abs=2 * LOOK)


def test_who_repairs_again_and_again_does_so_less_and_less_often_until_there_is_nothing_to_repair() -> None:
    pace, now, times = Pace(), 1000.0, []
    for _ in range(60):
        now = max(now, pace.next)
        pace.looked(now, 1, 0.0)
        times.append(now)
    pauses = [after - before for before, after in pairwise(times)]
    assert max(pauses[:25]) < 0.1, "at once at first"
    assert pauses[-1] == pace.delay == AUDIT_SECONDS
    assert pauses == sorted(pauses), "and then with longer and longer pauses"
    pace.looked(now, 0, 0.0)
    assert pace.delay == 0.0
    assert pace.next <= now + 0.1


def test_a_change_each_few_seconds_is_always_repaired_at_once() -> None:
    pace = Pace()
    for now in range(0, 1000, 2):
        assert pace.next <= now
        pace.looked(now + 0.01, 1, 0.01)
    assert pace.delay == 0.0


def test_an_audit_keeps_no_repair_waiting() -> None:
    clock = FakeClock(FakeHost())
    strangers = Strangers(clock)
    began = clock.boottime()
    clock.advance(LOOK)
    strangers.looked(began, {}, ())
    strangers.note("lan0", UNKNOWN)
    assert strangers.is_due(clock.boottime() + 0.02)
    strangers.looked(began, strangers.take(), ())
    strangers.note("lan0", UNKNOWN)
    assert not strangers.is_due(clock.boottime() + 0.02)


class Told:
    """Events as they are heard, batch by batch."""

    lost = False

    def __init__(self) -> None:
        self.batch: list[Touch] = []

    def read(self) -> list[Touch]:
        return self.batch


def test_a_device_that_goes_bit_by_bit_is_known_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told, numbers = FakeClock(FakeHost()), Told(), {"lan0": 7}

    def numbered(name: str) -> int:
        if name not in numbers:
            raise OSError(name)
        return numbers[name]

    monkeypatch.setattr("edged.daemon.treewatch.socket.if_nametoindex", numbered)
    strangers = Strangers(clock)
    watch = TreeWatch(cast(TreeEvents, told), strangers, lambda: {"lan0"}, clock)

    def noted(*devices: int) -> bool:
        told.batch = [Touch(each, 0) for each in devices]
        watch._heard()
        return bool(strangers.take())

    assert noted(7)
    numbers.clear()
    assert not noted(9), "another's"
    assert noted(7), "as long as it is away"
    numbers["lan0"] = 8
    assert noted(7, 9)
    assert noted(8)
    assert not noted(7)


def test_a_process_is_named_as_far_as_its_port_tells() -> None:
    own = Path("/proc/self/comm").read_text().strip()
    assert process_of(os.getpid()) == Process(own, os.getpid())
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    assert process_of(gone) == Process("unknown", gone)
    assert str(process_of(gone)) == f"unknown (pid {gone})"
    # the kernel's own changes, and the ports it chooses for a process's further sockets (netlink_autobind)
    assert process_of(0) == process_of(0xFFFF_EFFF) == UNKNOWN
