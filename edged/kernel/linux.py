"""The Linux kernel behind the `Kernel` protocol."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from edged.errors import KernelError, StalePlan
from edged.kernel import Capabilities
from edged.kernel.batch import Batch
from edged.kernel.conntrack import void_mark
from edged.kernel.encode import encode_plan
from edged.kernel.flowtables import Flowtable, read_flowtables
from edged.kernel.foreignrules import ForeignRules, Forwarder, read_foreign_rules, read_forwarders
from edged.kernel.leases import LinuxLeases
from edged.kernel.nftsocket import DumpTornError, NftSocket
from edged.kernel.observe import read_counters, read_table
from edged.kernel.probe import probe
from edged.kernel.refusals import ruleset_changed, stale_where_time_ran_out
from edged.marks import in_field
from edged.ruleset.observed import CounterValue, Observed, ObservedTable
from edged.ruleset.plan import AddKeys, Plan, RemoveKeys, VoidGeneration, describe, outline

if TYPE_CHECKING:
    from edged.packed import Keys

_TABLE = "edged"
_ATTEMPTS = 100  # within some two seconds; whoever commits without a pause for that long is a fault by itself
_GENERATIONS = 1 << 32
_LOUD = 1 << 16  # bytes of a batch that is worth silencing our own listener for

Result = TypeVar("Result")


class LinuxKernel:
    """nftables over one netlink socket; for one thread at a time.

    The socket owns the table where the lock says so: `fileno()` can be handed to a later process, which continues as the
    owner by `LinuxKernel(fileno=...)`.
    """

    def __init__(
        self,
        netns: str | None = None,
        fileno: int | None = None,
        clock: Callable[[], float] = time.time,
        hush: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """In the present or the named network namespace, or over an inherited socket. Raises KernelError.

        `clock` is the wall clock, in seconds since the epoch. `hush` is entered around batches of many elements: while anybody
        listens, the kernel makes a message of each of them (ruleset/places.py).
        """
        self._nft = NftSocket(netns, fileno)
        self._netns = netns
        self._clock = clock
        self._hush = hush
        self._able: Capabilities | None = None
        self._kept: dict[str, Keys] = {}  # what sets of prefixes were last given, by their names

    @property
    def port(self) -> int:
        """The netlink port that the kernel knows this owner by."""
        return self._nft.port

    def fileno(self) -> int:
        """The owning socket's descriptor."""
        return self._nft.fileno()

    def leases(self) -> LinuxLeases:
        """The leases in our table, over the same socket, which alone may write them; for the same thread."""
        return LinuxLeases(self._nft, _TABLE)

    def capabilities(self) -> Capabilities:
        """Probe by dry runs, once; changes nothing. Raises KernelError where nftables cannot be reached at all."""
        if self._able is None:
            self._able = probe(self._nft)
        return self._able

    def generation(self) -> int:
        """The ruleset's generation id."""
        return self._nft.generation()

    def observe(self) -> Observed:
        """Our table as it stands. Raises KernelError, also where others commit faster than it can be read."""
        generation, table = self._consistent(lambda: read_table(self._nft, _TABLE, self._clock(), self._kept), _without_counts)
        return Observed(generation, table)

    def counters(self) -> Mapping[str, CounterValue]:
        """Our named counters alone, empty where the table is missing. Raises KernelError."""
        return self._consistent(lambda: read_counters(self._nft, _TABLE), frozenset)[1]

    def foreign_flowtables(self) -> tuple[Flowtable, ...]:
        """The flowtables on this machine; the flows in them pass every rule unseen (G-5). Raises KernelError."""
        return self._consistent(lambda: read_flowtables(self._nft), frozenset)[1]

    def forwarders(self) -> tuple[Forwarder, ...]:
        """The netdev tables of this machine that forward packets by themselves. Raises KernelError."""
        return self._consistent(lambda: read_forwarders(self._nft), frozenset)[1]

    def foreign_rules(self) -> tuple[ForeignRules, ...]:
        """What other programs' rules do that bears on edged's. Raises KernelError."""
        return self._consistent(lambda: read_foreign_rules(self._nft), frozenset)[1]

    def check(self, plan: Plan, *, now: float) -> None:
        """Let the kernel judge the plan without applying it. Raises as apply does.

        The elements of sets of prefixes are left out: they are sound by construction, and a million take the kernel as long to
        judge as to apply.
        """
        if batch := self._batch(outline(plan), now):
            with stale_where_time_ran_out(plan):
                self._nft.judge(batch)

    def apply(self, plan: Plan, *, now: float) -> int:
        """Carry the plan out in one atomic batch and give the generation after it; an empty plan writes nothing.

        Dying in here leaves the kernel as it was or as planned: the batch is one system call. Raises StalePlan where the
        ruleset changed since the plan was made, TableHeld where another process owns the table, KernelError where the
        kernel refuses a step; in all cases nothing was applied.
        """
        if batch := self._batch(plan, now):
            for step in plan.steps:
                if isinstance(step, VoidGeneration):
                    void_mark(self._netns, step.mask, in_field(step.mask, step.generation))
            loud = sum(len(message.body) for message in batch.messages) > _LOUD
            with self._hush() if loud else nullcontext(), stale_where_time_ran_out(plan), self._keeping(plan):
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

    @contextmanager
    def _keeping(self, plan: Plan) -> Iterator[None]:
        """Remember what sets of prefixes hold once the plan is through.

        Where an element to be removed is not there (ENOENT), somebody else has been at the set: what it holds is not known any
        more, and the plan was made for another state.
        """
        given = {step.set.name: step.set.keys for step in plan.steps if isinstance(step, AddKeys | RemoveKeys)}
        removing = {describe(step): step.set.name for step in plan.steps if isinstance(step, RemoveKeys)}
        try:
            yield
        except KernelError as refused:
            if refused.errno == errno.ENOENT and refused.label in removing:
                self._kept.pop(removing[refused.label], None)
                text = f"{refused.label}: not all of them are there; nothing was applied"
                raise StalePlan(text, errno=errno.ENOENT) from refused
            raise
        self._kept.update(given)

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
