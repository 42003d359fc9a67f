"""Totals never go back, whatever happens to the counters beneath them, and a failed reading is counted, never shown as 0."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.addresses import Family
from edged.daemon.totals import Totals
from edged.errors import KernelError
from edged.ruleset.nodes import Direction
from edged.ruleset.observed import CounterValue
from edged.ruleset.tree import Counter

REJECTED = Counter("op25b", Direction.UP, Family.IPV4, "reject")
DROPPED = Counter("ip53b", Direction.DOWN, Family.IPV6, "drop")


class Kernel:
    """The counters as the next reading finds them."""

    def __init__(self) -> None:
        self.values: dict[str, CounterValue] | None = {}

    def counters(self) -> dict[str, CounterValue]:
        if self.values is None:
            raise KernelError("nftables did not answer")
        return self.values


def totals(kernel: Kernel) -> Totals:
    made = Totals(kernel.counters)
    made.declare([REJECTED, DROPPED])
    return made


def test_a_counter_that_is_made_anew_goes_on_from_where_the_former_one_was() -> None:
    kernel = Kernel()
    counted = totals(kernel)
    seen = []
    for packets in (5, 9, 2, 2, 7):
        kernel.values = {REJECTED.name: CounterValue(packets, packets * 40)}
        seen.append(counted.read()[REJECTED])
    assert [value.packets for value in seen] == [5, 9, 11, 11, 16]
    assert [value.bytes for value in seen] == [200, 360, 440, 440, 640]


def test_a_counter_that_is_gone_keeps_its_total_and_one_that_never_was_is_left_out() -> None:
    kernel = Kernel()
    counted = totals(kernel)
    kernel.values = {REJECTED.name: CounterValue(5, 200), "a_strangers": CounterValue(1, 1)}
    assert counted.read() == {REJECTED: CounterValue(5, 200)}
    kernel.values = {}
    assert counted.read() == {REJECTED: CounterValue(5, 200)}
    kernel.values = {REJECTED.name: CounterValue(8, 320)}
    assert counted.read() == {REJECTED: CounterValue(13, 520)}


def test_a_failed_reading_counts_and_the_last_values_stand() -> None:
    kernel = Kernel()
    counted = totals(kernel)
    kernel.values = None
    assert counted.read() == {}
    kernel.values = {REJECTED.name: CounterValue(5, 200)}
    counted.read()
    kernel.values = None
    assert counted.read() == {REJECTED: CounterValue(5, 200)}
    assert counted.errors == 2


READINGS = st.lists(
    st.none()
    | st.dictionaries(
        st.sampled_from([REJECTED.name, DROPPED.name]),
        st.integers(0, 50).map(lambda packets: CounterValue(packets, packets * 40)),
    )
)


@given(READINGS)
def test_no_total_ever_goes_back(readings: list[dict[str, CounterValue] | None]) -> None:
    kernel = Kernel()
    counted = totals(kernel)
    last: dict[Counter, CounterValue] = {}
    for kernel.values in readings:
        now = dict(counted.read())
        assert now.keys() >= last.keys()
        for counter, value in last.items():
            assert now[counter].packets >= value.packets
            assert now[counter].bytes >= value.bytes
        last = now
