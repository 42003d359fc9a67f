"""The kernel's refusals in words: which exception a caller gets, with which text, for the real kernel and the fake alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from edged.errors import KernelError, StalePlan, TableHeld
from edged.ruleset.plan import Plan, RemoveElements, describe
from edged.ruleset.tree import Chain, Rule


def rule_label(chain: Chain, rule: Rule) -> str:
    """What people call the writing of one rule."""
    return f"chain {chain.name}, rule {rule.name}"


def reading_refused(number: int, explanation: str = "") -> KernelError:
    """The exception for an errno met while looking."""
    if number == errno.EPERM:
        return _no_capability()
    return KernelError(f"nftables cannot be read: {_reason(number, explanation)}", errno=number)


def commit_refused(number: int, label: str, explanation: str = "", more: int = 0) -> KernelError | TableHeld:
    """The exception for the first error of a batch; without a label it is the batch itself that was refused."""
    if number == errno.ERESTART:
        return ruleset_changed()
    if number == errno.EPERM:
        return TableHeld() if label else _no_capability()
    others = f" (and {more} more error{'s' * (more != 1)} in the same batch)" if more else ""
    said = f"the kernel refused: {label or 'the batch'}: {_reason(number, explanation)}{others}; nothing was applied"
    return KernelError(said, errno=number, label=label)


def ruleset_changed() -> StalePlan:
    """The exception for a plan that was made for another generation."""
    return StalePlan("the ruleset changed since it was read; nothing was applied", errno=errno.ERESTART)


@contextmanager
def stale_where_time_ran_out(plan: Plan) -> Iterator[None]:
    """An element whose end came between observing and applying is gone already (ENOENT): the plan is stale, not wrong."""
    ending = {
        describe(step)
        for step in plan.steps
        if isinstance(step, RemoveElements) and any(element.until is not None for element in step.elements)
    }
    try:
        yield
    except KernelError as refused:
        if refused.errno == errno.ENOENT and refused.label in ending:
            raise StalePlan(
                f"{refused.label}: one of them has just run out; nothing was applied", errno=errno.ENOENT
            ) from refused
        raise


def _no_capability() -> KernelError:
    return KernelError(
        "nftables may not be used by this process: it lacks the capability CAP_NET_ADMIN in its network namespace; "
        "nothing was changed. Run as root, or grant the capability.",
        errno=errno.EPERM,
    )


def _reason(number: int, explanation: str) -> str:
    said = f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
    return f"{said}: {explanation}" if explanation else said
