"""Counter totals that never go back, read from a kernel whose counters do.

A named counter keeps its value while chains are refilled, but starts at nothing when it is made anew: a policy switched off and
on, a table remade. So each total is a base, what earlier counters of that name had reached, plus the present counter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock

from edged.errors import KernelError
from edged.ruleset.observed import CounterValue
from edged.ruleset.tree import Counter

_log = logging.getLogger(__name__)
_NOTHING = CounterValue()


@dataclass(slots=True)
class _Total:
    base: CounterValue = _NOTHING
    last: CounterValue = _NOTHING

    def take(self, value: CounterValue) -> None:
        """A new reading; a smaller one is of a counter that was made anew since."""
        if value.packets < self.last.packets or value.bytes < self.last.bytes:
            self.base = self.value()
        self.last = value

    def value(self) -> CounterValue:
        return CounterValue(self.base.packets + self.last.packets, self.base.bytes + self.last.bytes)


class Totals:
    """The totals of our counters over the life of this daemon; any thread may ask.

    One lock is held over reading and adding up, so that readings are taken in the order in which they were made.
    """

    def __init__(self, read: Callable[[], Mapping[str, CounterValue]]) -> None:
        self._read = read
        self._lock = Lock()
        self._known: dict[str, Counter] = {}
        self._totals: dict[str, _Total] = {}
        self._errors = 0
        self._trouble = ""

    @property
    def errors(self) -> int:
        """How often the kernel could not be read."""
        return self._errors

    @property
    def trouble(self) -> str:
        """Why it could not be read the last time; empty where it could."""
        return self._trouble

    def declare(self, counters: Iterable[Counter]) -> None:
        """What the counters of these names count."""
        with self._lock:
            self._known.update({counter.name: counter for counter in counters})

    def read(self) -> Mapping[Counter, CounterValue]:
        """The totals as of now; where the kernel cannot be read, as of the last time, and the error counts.

        A counter that is in the kernel no more keeps its total; one that never was is left out.
        """
        with self._lock:
            try:
                values = self._read()
            except (KernelError, OSError) as error:
                self._errors += 1
                if str(error) != self._trouble:  # a scrape every few milliseconds must not fill the log
                    _log.warning("the counters cannot be read, their last values stand: %s", error)
                self._trouble = str(error)
            else:
                if self._trouble:
                    _log.info("the counters can be read again")
                self._trouble = ""
                self._take(values)
            return {self._known[name]: total.value() for name, total in self._totals.items()}

    def _take(self, values: Mapping[str, CounterValue]) -> None:
        for name in self._known:
            if name in values:
                self._totals.setdefault(name, _Total()).take(values[name])
            elif name in self._totals:
                self._totals[name].take(_NOTHING)


def over_classes(values: Mapping[Counter, CounterValue]) -> Mapping[Counter, CounterValue]:
    """The same with the classes of a policy added up."""
    sums: dict[Counter, CounterValue] = {}
    for counter, value in values.items():
        whole = replace(counter, flow_class="")
        before = sums.get(whole, _NOTHING)
        sums[whole] = CounterValue(before.packets + value.packets, before.bytes + value.bytes)
    return sums
