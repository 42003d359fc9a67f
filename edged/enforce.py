"""Bringing a kernel to the desired state: observe, diff, apply, and look whether it is so; `apply` and the daemon do this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edged.errors import KernelError, StalePlan
from edged.kernel import Kernel
from edged.ruleset.diff import diff
from edged.ruleset.observed import Observed
from edged.ruleset.plan import Desired, Plan, Step
from edged.ruleset.stages import stages

# a stranger who commits in a loop makes a plan stale each time; give up rather than compete with it for ever
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Enforced:
    """What was done, and the ruleset's generation at which the kernel was seen to be as desired."""

    plan: Plan
    generation: int


def enforce(kernel: Kernel, desired: Desired | None, clock: Callable[[], float], *, seen: Observed | None = None) -> Enforced:
    """Make the kernel hold what is desired (None: nothing of edged) and verify it; where nothing is to do, nothing is written.

    `seen` is what the caller has just observed, so that a repair begins at once; where it is no longer so, nothing is lost.
    Raises TableHeld where another process owns the table, KernelError where the kernel refuses or does not come to rest; each
    batch is atomic, so the policy that held before a refused one still holds. Dying between two batches leaves it too, with
    new sets beside it that nothing refers to yet; the next call goes on from there.
    """
    done: tuple[Plan, ...] = ()
    for _ in range(ATTEMPTS):
        observed, seen = seen or kernel.observe(), None
        plan = diff(desired, observed)
        if not plan:
            return Enforced(_joined(done, plan), observed.generation)
        generation = observed.generation
        taken: tuple[Step, ...] = ()
        try:
            for steps in stages(plan):
                generation = kernel.apply(replace(plan, steps=steps, generation=generation), now=clock())
                taken += steps
        except StalePlan:
            done += (replace(plan, steps=taken),)
        else:
            done += (plan,)
    raise KernelError(
        f"the ruleset did not come to rest in {ATTEMPTS} tries: something else keeps changing it; "
        "the last batch that was applied holds. Look for the other program with: nft monitor"
    )


def _joined(done: tuple[Plan, ...], last: Plan) -> Plan:
    return Plan(tuple(step for plan in done for step in plan.steps), last.generation, last.table)
