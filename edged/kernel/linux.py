"""The Linux kernel behind the `Kernel` protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from edged.errors import KernelError
from edged.kernel import Capabilities
from edged.kernel.batch import Batch
from edged.kernel.encode import encode_plan
from edged.kernel.flowtables import Flowtable, read_flowtables
from edged.kernel.nftsocket import DumpTornError, NftSocket
from edged.kernel.observe import read_counters, read_table
from edged.kernel.probe import probe
from edged.kernel.refusals import ruleset_changed, stale_where_time_ran_out
from edged.ruleset.observed import CounterValue, Observed, ObservedTable
from edged.ruleset.plan import Plan

_TABLE = "edged"
_ATTEMPTS = 100  # within some two seconds; whoever commits without a pause for that long is a fault by itself
_GENERATIONS = 1 << 32

Result = TypeVar("Result")


class LinuxKernel:
    """nftables over one netlink socket; for one thread at a time.

    The socket owns the table where the lock says so: `fileno()` can be handed to a later process, which continues as the
    owner by `LinuxKernel(fileno=...)`.
    """

    def __init__(self, netns: str | None = None, fileno: int | None = None, clock: Callable[[], float] = time.time) -> None:
        """In the present or the named network namespace, or over an inherited socket. Raises KernelError."""
        self._nft = NftSocket(netns, fileno)
        self._clock = clock  # the wall clock, seconds since the epoch

    @property
    def port(self) -> int:
        """The netlink port that the kernel knows this owner by."""
        return self._nft.port

    def fileno(self) -> int:
        """The owning socket's descriptor."""
        return self._nft.fileno()

    def capabilities(self) -> Capabilities:
        """Probe by dry runs; changes nothing. Raises KernelError where nftables cannot be reached at all."""
        return probe(self._nft)

    def generation(self) -> int:
        """The ruleset's generation id."""
        return self._nft.generation()

    def observe(self) -> Observed:
        """Our table as it stands. Raises KernelError, also where others commit faster than it can be read."""
        generation, table = self._consistent(lambda: read_table(self._nft, _TABLE, self._clock()), _without_counts)
        return Observed(generation, table)

    def counters(self) -> Mapping[str, CounterValue]:
        """Our named counters alone, empty where the table is missing. Raises KernelError."""
        return self._consistent(lambda: read_counters(self._nft, _TABLE), frozenset)[1]

    def foreign_flowtables(self) -> tuple[Flowtable, ...]:
        """The flowtables on this machine; the flows in them pass every rule unseen (G-5). Raises KernelError."""
        return self._consistent(lambda: read_flowtables(self._nft), frozenset)[1]

    def check(self, plan: Plan, *, now: float) -> None:
        """Let the kernel judge the plan without applying it. Raises as apply does."""
        if batch := self._batch(plan, now):
            with stale_where_time_ran_out(plan):
                self._nft.judge(batch)

    def apply(self, plan: Plan, *, now: float) -> int:
        """Carry the plan out in one atomic batch and give the generation after it; an empty plan writes nothing.

        Dying in here leaves the kernel as it was or as planned: the batch is one system call. Raises StalePlan where the
        ruleset changed since the plan was made, TableHeld where another process owns the table, KernelError where the
        kernel refuses a step; in all cases nothing was applied.
        """
        if batch := self._batch(plan, now):
            with stale_where_time_ran_out(plan):
                self._nft.commit(batch)
            # One commit is one generation. Where others committed since, the plan's own is given, so that they show.
            return plan.generation if self.generation() == plan.generation else (plan.generation + 1) % _GENERATIONS or 1
        return plan.generation

    def close(self) -> None:
        """Let go of the socket; what is in the kernel stays as the lock says."""
        self._nft.close()

    def _batch(self, plan: Plan, now: float) -> Batch | None:
        """The plan in the kernel's words; None where there is nothing to say. Raises StalePlan."""
        if not plan:
            if self.generation() != plan.generation:
                raise ruleset_changed()
            return None
        return Batch(encode_plan(plan, now), plan.generation)

    def _consistent(self, read: Callable[[], Result], gist: Callable[[Result], object]) -> tuple[int, Result]:
        """What was read while no commit came in between, and the generation that it was."""
        for attempt in range(_ATTEMPTS):
            time.sleep(min(attempt, 10) / 1000)  # whoever is at work comes to an end
            before = self.generation()
            self._nft.settle()
            try:
                found = self._untorn(read, gist)
            except DumpTornError:
                continue
            self._nft.settle()
            if self.generation() == before:
                return before, found
        raise KernelError(
            f"the ruleset cannot be read: another program worked on it each of {_ATTEMPTS} times that it was listed. "
            "Look for that program with: nft monitor"
        )

    def _untorn(self, read: Callable[[], Result], gist: Callable[[Result], object]) -> Result:
        """What was read, twice with the same gist where it came in parts: another's dry run tears those without a word."""
        resumptions = self._nft.resumptions
        found = read()
        if self._nft.resumptions != resumptions and gist(read()) != gist(found):
            raise DumpTornError
        return found


def _without_counts(table: ObservedTable | None) -> object:
    """The table without what counts on by itself."""
    return table and replace(table, counters=dict.fromkeys(table.counters, CounterValue()))
