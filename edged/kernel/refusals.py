"""The kernel's refusals in words: which exception a caller gets, with which text, for the real kernel and the fake alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from edged.errors import KernelError, StalePlan, TableHeld
from edged.ruleset.plan import Plan, RemoveElements, describe
from edged.ruleset.tree import Chain, Rule

# what an operator can do about it, where the kernel's own words do not say
_ADVICE = {
    errno.ENOMEM: ". The machine has no memory left for it: free -h, and dmesg for what the kernel says",
    errno.ENOBUFS: ". The kernel has no buffers left for it: free -h, and the sysctls net.core.rmem_max and wmem_max",
}


def rule_label(chain: Chain, rule: Rule) -> str:
    """What people call the writing of one rule."""
    return f"chain {chain.name}, rule {rule.name}"


def reading_refused(number: int, explanation: str = "") -> KernelError:
    """The exception for an errno met while looking."""
    if number == errno.EPERM:
        return _no_capability()
    text = f"nftables cannot be read: {reason(number, explanation)}; what is in force stays in force{advice(number)}"
    return KernelError(text, errno=number)


def unsent(whom: str, failed: OSError) -> KernelError:
    """The exception where the kernel does not take what is sent to it."""
    number = failed.errno or 0
    return KernelError(f"cannot send to {whom}: {reason(number)}; nothing was changed{advice(number)}", errno=number)


def unanswered(whom: str, failed: OSError) -> KernelError:
    """The exception where no answer can be received; what it would have been an answer to may have been done."""
    number = failed.errno or 0
    return KernelError(f"{whom} did not answer: {reason(number)}; what is in force stays in force{advice(number)}", errno=number)


def commit_refused(number: int, label: str, explanation: str = "", more: int = 0) -> KernelError | TableHeld:
    """The exception for the first error of a batch; without a label it is the batch itself that was refused."""
    if number == errno.ERESTART:
        return ruleset_changed()
    if number == errno.EPERM:
        return TableHeld() if label else _no_capability()
    others = f" (and {more} more error{'s' * (more != 1)} in the same batch)" if more else ""
    why = reason(number, explanation)
    said = f"the kernel refused: {label or 'the batch'}: {why}{others}; nothing was applied{advice(number)}"
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


def advice(number: int) -> str:
    """What to do about an errno, as the end of a text; empty where that depends."""
    return _ADVICE.get(number, "")


def reason(number: int, explanation: str = "") -> str:
    """An errno in words, and the kernel's explanation where it gave one."""
    said = f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
    return f"{said}: {explanation}" if explanation else said
