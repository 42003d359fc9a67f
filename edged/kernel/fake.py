"""A kernel in memory: `FakeKernel` executes plans with the semantics of nftables, on a `FakeHost` that several can share.

It is held to the same contract tests as the real one. A plan runs on a copy of the table, step by step, with the kernel's
errors (ENOENT, EEXIST, EBUSY, EPERM); only a plan that came through replaces the table and raises the generation.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field

from edged.kernel import Capabilities
from edged.kernel.encode import chains_to_empty
from edged.kernel.fakesets import StepRefusedError
from edged.kernel.faketable import FakeTable
from edged.kernel.probe import FEATURES
from edged.kernel.refusals import commit_refused, rule_label, ruleset_changed, stale_where_time_ran_out
from edged.marks import in_field
from edged.ruleset import plan as steps
from edged.ruleset.nodes import Queue, QueueForm
from edged.ruleset.observed import CounterValue, Observed, Ownership
from edged.ruleset.plan import Lock, Plan, Step, describe
from edged.ruleset.tree import Chain


@dataclass
class FakeHost:
    """What the kernels on one host share: the ruleset, its generation, and the clock that elements expire by.

    The methods are what befalls a ruleset from outside: packets, time, and strangers.
    """

    now: float = 0.0
    generation: int = 1
    table: FakeTable | None = None
    marks: list[int] = field(default_factory=list)  # of the connections there are
    missing_features: frozenset[str] = frozenset()
    _ports: int = field(default=0, repr=False)

    def next_port(self) -> int:
        """A netlink port that nobody has."""
        self._ports += 1
        return self._ports

    def count(self, counter: str, packets: int = 1, size: int = 40) -> None:
        """Let packets of that many bytes each pass a counter."""
        counters = self._standing().counters
        before = counters[counter]
        counters[counter] = CounterValue(before.packets + packets, before.bytes + packets * size)

    def commit_elsewhere(self) -> None:
        """A stranger changes a table that is not ours."""
        self.generation += 1

    def flush_ruleset(self) -> None:
        """A stranger's `nft flush ruleset`: an owned table survives it."""
        self.generation += 1
        if self.table is not None and self.table.owner is None:
            self.table = None

    def tamper(self, chain: str, position: int) -> None:
        """A stranger rewrites a rule in place and leaves its comment as it was. Raises PermissionError on an owned table."""
        table = self._standing()
        if table.owner is not None:
            raise PermissionError(errno.EPERM, "the table has an owner")
        table.chains[chain].rules[position] = None
        self.generation += 1

    def _standing(self) -> FakeTable:
        if self.table is None:
            raise LookupError("there is no table")
        return self.table


class FakeKernel:
    """One netlink socket on a fake host, with the port that it owns tables by."""

    def __init__(self, host: FakeHost | None = None, port: int | None = None) -> None:
        """A new socket on the host, or the inherited one that has that port."""
        self.host = host or FakeHost()
        self.port = port if port is not None else self.host.next_port()

    def capabilities(self) -> Capabilities:
        """What the host does not miss."""
        return Capabilities({name: name not in self.host.missing_features for name in FEATURES})

    def generation(self) -> int:
        """The ruleset's generation id."""
        return self.host.generation

    def observe(self) -> Observed:
        """Our table as it stands, without what has run out."""
        table = self.host.table
        if table is None:
            return Observed(self.host.generation, None)
        return Observed(self.host.generation, table.observed(self._ownership(table), self.host.now))

    def counters(self) -> Mapping[str, CounterValue]:
        """Our named counters alone, empty where the table is missing."""
        return dict(self.host.table.counters) if self.host.table else {}

    def check(self, plan: Plan, *, now: float) -> None:
        """Judge the plan without applying it. Raises as apply does."""
        self._executed(plan, now)

    def apply(self, plan: Plan, *, now: float) -> int:
        """Carry the plan out, all of it or nothing, and give the generation after it."""
        table, has_changed = self._executed(plan, now)
        for step in plan.steps:
            if isinstance(step, steps.VoidGeneration):
                self.host.marks = [_voided(mark, step) for mark in self.host.marks]
        if has_changed:
            self.host.table = table
            self.host.generation += 1
        return self.host.generation

    def close(self) -> None:
        """Close the socket: a table owned without persist goes with it, without a new generation; one with it is orphaned."""
        table = self.host.table
        if table is None or table.owner != self.port:
            return
        if table.lock is Lock.OWNER:
            self.host.table = None
        else:
            table.owner = None

    def _ownership(self, table: FakeTable) -> Ownership:
        if table.owner is not None:
            return Ownership.OURS if table.owner == self.port else Ownership.ANOTHER
        return Ownership.ORPHANED if table.lock is Lock.OWNER_PERSIST else Ownership.OPEN

    def _executed(self, plan: Plan, now: float) -> tuple[FakeTable | None, bool]:
        """The table after the plan, and whether any of it changed something. Raises as `apply` does."""
        if plan.generation != self.host.generation:
            raise ruleset_changed()
        transaction = _Transaction(self.host, self.port)
        emptied = chains_to_empty(plan)
        with stale_where_time_ran_out(plan):
            for step in plan.steps:
                label = describe(step)
                try:
                    if emptied and isinstance(step, steps.FillChain | steps.RemoveChain):
                        transaction.empty(emptied)
                        emptied = ()
                    transaction.execute(step, now)
                except StepRefusedError as refused:
                    raise commit_refused(refused.errno, refused.label or label) from refused
        return transaction.table, transaction.has_changed


def _voided(mark: int, step: steps.VoidGeneration) -> int:
    return mark & ~step.mask if mark & step.mask == in_field(step.mask, step.generation) else mark


class _Transaction:
    """A copy of the table, on which the steps of one plan are taken."""

    def __init__(self, host: FakeHost, port: int) -> None:
        self.table = host.table.copy() if host.table else None
        self.has_changed = False
        self._host = host
        self._port = port

    def execute(self, step: Step, now: float) -> None:
        """Take a step. Raises StepRefusedError."""
        match step:
            case steps.CreateTable(lock):
                self._create(lock)
            case steps.AdoptTable():
                table = self._writable()
                if table.lock is not Lock.OWNER_PERSIST:
                    raise StepRefusedError(errno.EOPNOTSUPP)  # a table made without the flag cannot take it later
                self.has_changed = self.has_changed or table.owner is None
                table.owner = self._port
            case steps.DestroyTable():
                self._writable()
                self.table, self.has_changed = None, True
            case steps.VoidGeneration():
                pass  # the connections', not the table's
            case _:
                if isinstance(step, steps.FillChain):
                    self._refuse_unknown_queues(step.chain)
                has_changed = self._writable().execute(step, self._host.now, now)
                self.has_changed = self.has_changed or has_changed

    def empty(self, chains: tuple[str, ...]) -> None:
        """Take the rules out of chains. Raises StepRefusedError."""
        for name in chains:
            had_rules = self._writable().empty(name)
            self.has_changed = self.has_changed or had_rules

    def _create(self, lock: Lock) -> None:
        if self.table is not None:
            self._writable()
            raise StepRefusedError(errno.EEXIST)
        wanted = {Lock.NONE: (), Lock.OWNER: ("table_owner",), Lock.OWNER_PERSIST: ("table_owner", "table_persist")}[lock]
        if self._host.missing_features.intersection(wanted):
            raise StepRefusedError(errno.EOPNOTSUPP)
        self.table, self.has_changed = FakeTable(lock, None if lock is Lock.NONE else self._port), True

    def _refuse_unknown_queues(self, chain: Chain) -> None:
        """An expression or target that the kernel was built without is not found."""
        feature = {QueueForm.EXPRESSION: "queue", QueueForm.TARGET: "queue_target"}
        for rule in chain.rules:
            if isinstance(rule.then, Queue) and feature[rule.then.form] in self._host.missing_features:
                raise StepRefusedError(errno.ENOENT, rule_label(chain, rule))

    def _writable(self) -> FakeTable:
        if self.table is None:
            raise StepRefusedError(errno.ENOENT)
        if self.table.owner not in (None, self._port):
            raise StepRefusedError(errno.EPERM)
        return self.table
