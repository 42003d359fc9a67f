"""The lab while it stands: the network, the servers and the daemon; and rounds of attempts and transfers through it.

An attempt came out right when the client, the witness at the far side and the counters all say what was expected: the one
counter that must count it rose by one packet, and no other moved.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self, TypeVar

from edged.addresses import Family
from edged.config.caps import Cap
from edged.daemon.capper import USE_SECONDS
from edged.daemon.caps import TICK_SECONDS
from edged.lab.attempts import ATTEMPTS, Attempt
from edged.lab.caps import CappedBytes, CapResult, Held, NotMeasured, cap_in_force, is_slow, measure
from edged.lab.clients import Outcome, Seen
from edged.lab.example import write_configuration
from edged.lab.gateway import Gateway, MetricsUnread
from edged.lab.needs import check_needs
from edged.lab.servers import start_servers
from edged.lab.topology import Topology
from edged.ruleset.tree import Counter

_Count = TypeVar("_Count", Counter, CappedBytes)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt in one family; `wrong` says what differs from what was expected, None where nothing does.

    `counted` are the packets by which each counter of edged rose meanwhile; empty where the metrics page did not answer.
    """

    attempt: Attempt
    family: Family
    seen: Seen
    counted: Mapping[Counter, int]
    wrong: str | None


Made = Result | CapResult


class Lab:
    """The throw-away gateway with everything running in it, from entering the context to leaving it.

    Raises EdgedError and its kinds on entering, where it cannot be built; then nothing of it is left.
    """

    def __init__(self, configuration: Path) -> None:
        self._source = configuration
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        check_needs()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="edged-lab-")))
            self._configuration = write_configuration(self._source, folder)
            self.topology = stack.enter_context(Topology())
            self.gateway = Gateway(self.topology.gateway, self._configuration, folder)
            self._torrent = start_servers(self.topology, folder)
            self.gateway.wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def round(self) -> Iterator[Made]:
        """Makes every attempt in both families, one after the other, then the transfers; tells each result as it is known.

        The transfers come last: what inspects flows begins a moment after the rules are in force, and flows pass meanwhile.
        """
        for attempt in ATTEMPTS:
            for family in Family:
                yield self.make(attempt, family)
        for family in Family:
            yield self.transfer(family)

    def make(self, attempt: Attempt, family: Family) -> Result:
        """Makes one attempt in one family, and holds what became of it against what was expected."""
        try:
            before = self.gateway.counters()
            seen = attempt.make(self.topology, family)
            after = self.gateway.counters()
        except MetricsUnread as error:
            # what clients see is worth telling also where nobody counts any more
            seen = attempt.make(self.topology, family)
            return Result(attempt, family, seen, {}, "; ".join(filter(None, (_otherwise(attempt, seen), str(error)))))
        counted = _rises(before, after)
        return Result(attempt, family, seen, counted, judge(attempt, family, seen, counted))

    def transfer(self, family: Family) -> CapResult:
        """Makes a capped and an uncapped transfer side by side, and tells what became of them under the cap in force."""
        try:
            cap = cap_in_force(self._configuration, self.topology.dynamic, family)
            held = self._transfer(cap, family)
            if is_slow(held):  # a lost packet can cost TCP a second of the few that are measured, and will hardly do so twice
                held = self._transfer(cap, family)
        except NotMeasured as why:
            return CapResult(family, why)
        except MetricsUnread as error:
            return CapResult(family, NotMeasured(str(error)))
        return CapResult(family, held)

    def _transfer(self, cap: Cap, family: Family) -> Held:
        before = self.gateway.capped()
        transfers = measure(self.topology, self._torrent, family, cap.after)
        time.sleep(USE_SECONDS + TICK_SECONDS)  # the page's figures may be as old as that
        return Held(cap.down, transfers, _rises(before, self.gateway.capped()))


def _rises(before: Mapping[_Count, int], after: Mapping[_Count, int]) -> Mapping[_Count, int]:
    return {what: rise for what, value in after.items() if (rise := value - before.get(what, 0))}


def judge(attempt: Attempt, family: Family, seen: Seen, counted: Mapping[Counter, int]) -> str | None:
    """What differs from what the attempt expects; None where nothing does."""
    if otherwise := _otherwise(attempt, seen):
        return otherwise
    by = attempt.counted_by
    expected = {} if by is None else {Counter(by.policy, by.direction, family, by.verdict): 1}
    if counted != expected:
        return f"{describe(seen)}, but counted by {tally(counted)} instead of {tally(expected)}"
    return None


def _otherwise(attempt: Attempt, seen: Seen) -> str | None:
    return None if seen.outcome is attempt.expected else f"expected: {attempt.expected}; seen: {describe(seen)}"


def describe(seen: Seen) -> str:
    """The finding in words."""
    return seen.detail if seen.outcome is Outcome.OTHER else f"{seen.outcome} ({seen.detail})"


def tally(counted: Mapping[Counter, int]) -> str:
    """The counters that rose, and by how many packets."""
    return ", ".join(f"{counter.name} +{rise}" for counter, rise in counted.items()) or "nothing"
