"""Enforcing without a daemon: what a process that leaves afterwards may ask of the kernel, and what it compares.

A process that leaves must not hold the table as its owner alone: the table would go with its socket. With `persist` the table
stays, orphaned, and the next edged adopts it; on older kernels the table is an ordinary one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edged.enforce import ATTEMPTS, Enforced, enforce
from edged.errors import StalePlan
from edged.kernel import Capabilities, Kernel
from edged.ruleset.diff import diff
from edged.ruleset.observed import Observed, Ownership
from edged.ruleset.plan import Desired, Lock, Plan
from edged.ruleset.tree import Table


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the kernel was seen to hold, and what separates it from the desired table, whoever owns it at the moment."""

    plan: Plan
    ownership: Ownership | None  # None: there is no table


def compare(kernel: Kernel, table: Table) -> Comparison:
    """Compare contents alone: a table that the daemon holds, or that the last `apply` left orphaned, counts as ours."""
    return _compared(kernel, table, kernel.capabilities())


def judge(kernel: Kernel, table: Table, clock: Callable[[], float]) -> Plan:
    """What `enforce_and_leave` would do now, judged by the kernel in a dry run. Raises TableHeld, KernelError."""
    return _judged(kernel, table, kernel.capabilities(), clock)


def enforce_and_leave(kernel: Kernel, table: Table, clock: Callable[[], float]) -> Enforced:
    """Make the kernel hold the table and leave it in force; where it holds it already, nothing is written.

    The kernel judges the whole plan before any of it is applied. Raises TableHeld where a daemon owns the table, KernelError
    where the kernel refuses; nothing was applied then.
    """
    able = kernel.capabilities()  # asked once: that takes some 200 ms
    plan = _judged(kernel, table, able, clock)
    return enforce(kernel, _left_behind(table, able), clock) if plan else Enforced(plan, plan.generation)


def _left_behind(table: Table, able: Capabilities) -> Desired:
    """The table as a process that leaves can hold it."""
    return Desired(table, able.lock if able.lock is Lock.OWNER_PERSIST else Lock.NONE, able.queue)


def _compared(kernel: Kernel, table: Table, able: Capabilities) -> Comparison:
    observed = kernel.observe()
    ownership = observed.table.ownership if observed.table is not None else None
    if observed.table is not None and ownership in (Ownership.ANOTHER, Ownership.ORPHANED):
        ours = Observed(observed.generation, replace(observed.table, ownership=Ownership.OURS))
        return Comparison(diff(Desired(table, Lock.OWNER, able.queue), ours), ownership)
    return Comparison(diff(_left_behind(table, able), observed), ownership)


def _judged(kernel: Kernel, table: Table, able: Capabilities, clock: Callable[[], float]) -> Plan:
    for _ in range(ATTEMPTS - 1):
        try:
            return _judged_once(kernel, table, able, clock)
        except StalePlan:
            continue
    return _judged_once(kernel, table, able, clock)


def _judged_once(kernel: Kernel, table: Table, able: Capabilities, clock: Callable[[], float]) -> Plan:
    seen = _compared(kernel, table, able)
    if seen.ownership is not Ownership.ANOTHER and not seen.plan:
        return seen.plan  # adopting an orphaned table that is right already would be a write for nothing
    plan = diff(_left_behind(table, able), kernel.observe())
    kernel.check(plan, now=clock())
    return plan
