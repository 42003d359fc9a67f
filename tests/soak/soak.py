"""The soak: churn for as long as is asked for, a line a minute of what the daemon holds, and a verdict at the end."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from edged.daemon.drift import Reason
from edged.lab.topology import Topology
from tests.netns.daemon_process import eventually
from tests.netns.resources.usage import Usage, beats, slope, usage
from tests.soak.gateway import Churn, Every

MIB = 1 << 20
_HOUR = 3600.0
_SLOPE = 1.0  # MiB an hour, where hours were measured
_FLAT = 12.0  # MiB from quarter to quarter of a shorter run: what a list that is read takes for a moment comes and goes
_SETTLED = 120.0  # seconds from which on that is so; before, the first lists and reloads are still to come
_WARMING = 48.0
_THREADS = 6  # asyncio's executor makes threads as it needs them, at most min(32, CPUs + 4)
_DESCRIPTORS = 4
_SAMPLE_SECONDS = 1.0
_SETTLES = 10.0  # seconds until all is as desired after the last change


@dataclass
class Report:
    """What was seen; `samples` are the seconds since the churn began, and the daemon then."""

    samples: list[tuple[float, Usage]] = field(default_factory=list)
    objects: list[int] = field(default_factory=list)  # in the table, elements left out: at the begin and at the end
    changes: int = 0
    leases: int = 0  # at most
    longest_beat: float = 0.0
    repairs: int = 0  # of the table; trees that went with their interface are made anew, and count
    problems: list[str] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """MiB from the third quarter of the time to the last one, by the least of each: peaks come and go."""
        quarter = len(self.samples) // 4
        third, last = self.samples[2 * quarter : 3 * quarter], self.samples[3 * quarter :]
        return (min(each.memory for _, each in last) - min(each.memory for _, each in third)) / MIB

    @property
    def slope(self) -> float:
        """MiB an hour, after the first hour."""
        return slope([(seconds / _HOUR, each.memory / MIB) for seconds, each in self.samples if seconds > _HOUR])

    def line(self) -> str:
        """How it stands."""
        seconds, now = self.samples[-1]
        return (
            f"{seconds / 60:7.1f} min  {self.changes:7} changes  {now.memory / MIB:6.1f} MiB  {now.descriptors:3} descriptors  "
            f"{now.threads:2} threads  {now.cpu:8.1f} s CPU  at most {self.leases} leases"
        )

    def judge(self, flat: float) -> None:
        """Note all that is not as it should be; `flat` is the growth that a shorter run may have."""
        seconds = self.samples[-1][0]
        if seconds >= 2 * _HOUR and self.slope >= _SLOPE:
            self.problems.append(f"memory grows by {self.slope:.2f} MiB an hour")
        if seconds < 2 * _HOUR and self.growth >= flat:
            self.problems.append(f"memory grew by {self.growth:.1f} MiB within a quarter of the time")
        half = len(self.samples) // 2
        before, after = (
            statistics.median(each.descriptors for _, each in some) for some in (self.samples[:half], self.samples[half:])
        )
        if after - before > _DESCRIPTORS:
            self.problems.append(f"descriptors grew from {before:.0f} to {after:.0f}")
        threads = [each.threads for _, each in self.samples]
        if max(threads[half:]) - max(threads[:half]) > _THREADS:
            self.problems.append(f"threads grew from {max(threads[:half])} to {max(threads[half:])}")
        if len(set(self.objects)) > 1:
            self.problems.append(f"the table's size changed: {sorted(set(self.objects))}")
        if self.repairs:
            self.problems.append(f"{self.repairs} foreign changes of the table were undone, and nobody made any")


def soak(seconds: float, tell: Callable[[str], None]) -> Report:
    """Churn for so long, and judge. Scrapes and samples go on beside the changes, which wait for each other."""
    report = Report()
    with ExitStack() as opened:
        churn = Churn(opened.enter_context(Topology()), opened)
        churn.daemon.start(WATCHDOG_USEC="10000000", MALLOC_ARENA_MAX="2")  # as the unit does
        report.objects.append(churn.objects())
        opened.enter_context(churn.heavy_flows())
        heard = opened.enter_context(beats(churn.daemon.systemd))
        pace = min(1.0, seconds / 60)  # the short soak does everything at least a few times
        changes = [
            Every(2 * pace, churn.some_entries),
            Every(10 * pace, churn.whole_list),
            Every(6 * pace, churn.policy),
            Every(8 * pace, churn.interface),
        ]
        ending = threading.Event()
        watching = opened.enter_context(ThreadPoolExecutor(1)).submit(_watch, churn, report, ending, tell)
        opened.callback(ending.set)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not watching.done():
            for change in changes:
                change()
            report.changes = sum(each.count for each in changes)
            time.sleep(0.1)
        ending.set()
        watching.result()
        churn.make_policy("enforce")
        eventually(lambda: churn.daemon.client.status()["in_sync"], _SETTLES)
        report.objects.append(churn.objects())
        repairs = churn.daemon.client.status()["drift_repairs"]
        report.repairs = sum(repairs[reason.value] for reason in Reason)
        report.longest_beat = heard.longest
    tell(report.line())
    report.judge(_FLAT if seconds >= _SETTLED else _WARMING)
    if not report.leases:
        report.problems.append("nobody was ever held")
    return report


def _watch(churn: Churn, report: Report, ending: threading.Event, tell: Callable[[str], None]) -> None:
    """A sample and a scrape a second, and a line a minute."""
    began, minute = time.monotonic(), Every(60.0, lambda: tell(report.line()))
    while not ending.wait(_SAMPLE_SECONDS):
        report.samples.append((time.monotonic() - began, usage(churn.daemon.process.pid)))
        churn.scrape()
        report.leases = churn.leases
        minute()
