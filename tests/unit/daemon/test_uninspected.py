"""Packets that no inspector saw: what the kernel counted less what workers did, and never less than was told before."""

from __future__ import annotations

from edged.daemon.totals import Totals
from edged.daemon.uninspected import Uninspected
from edged.inspectors.post import QueueFigures, State
from edged.ruleset.observed import CounterValue


class Kernel:
    """Its counter, and what two queues' workers have seen."""

    def __init__(self, counted: int | None) -> None:
        self.counted = counted
        self.totals = Totals(lambda: {} if self.counted is None else {"caps_queue": CounterValue(self.counted, 0)})
        self.uninspected = Uninspected(self.totals)

    def told(self, first: int = 0, second: int = 0) -> int:
        queues = (
            QueueFigures(number, State.INSPECTING, {"undecided": seen - seen // 3, "released": seen // 3}, {}, 0, 0)
            for number, seen in enumerate((first, second))
        )
        return self.uninspected.count(self.totals.read(), queues)


def test_it_is_what_no_queue_saw() -> None:
    kernel = Kernel(None)  # no table yet
    assert kernel.told() == 0
    kernel.counted = 100
    assert kernel.told(30, 60) == 10


def test_what_was_counted_before_the_daemon_began_is_not_its_own() -> None:
    kernel = Kernel(5_000)
    assert kernel.told() == 0
    kernel.counted = 5_007
    assert kernel.told(3, 1) == 3


def test_it_never_goes_back() -> None:
    kernel = Kernel(0)
    kernel.counted = 100
    assert kernel.told(0, 90) == 10  # of which some were on their way
    assert kernel.told(0, 100) == 10
    kernel.counted = 120
    assert kernel.told(0, 105) == 15


def test_a_table_that_is_made_anew_counts_on() -> None:
    kernel = Kernel(0)
    kernel.counted = 100
    assert kernel.told(60) == 40
    kernel.counted = 7
    assert kernel.told(60) == 47


def test_where_nothing_was_read_the_last_count_stands() -> None:
    kernel = Kernel(0)
    kernel.counted = 9
    assert kernel.told() == 9
    assert kernel.uninspected.count({}, ()) == 9
