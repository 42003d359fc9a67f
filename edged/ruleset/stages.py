"""In how many batches a plan is carried out: one, but for plans that make sets.

From Linux 6.18 on a commit switches the rules first and gives an interval set its elements a moment later (nft_rbtree_commit,
net/netfilter/nft_set_rbtree.c). A rule that came with its set finds it empty for that moment: port 25 is open, or source
validation drops everyone. Seen by the SYN probe: 31 good packets lost in 4,000 commits that added or removed policy spoof.
So new sets are filled by a batch of their own, before any rule asks for them. A set that is there keeps its former elements
until the new ones take their place, so nothing else needs a second batch.
"""

from __future__ import annotations

from edged.ruleset.plan import AddCounter, AddElements, AddSet, AdoptTable, CreateTable, DestroyTable, Plan, Step


def stages(plan: Plan) -> tuple[tuple[Step, ...], ...]:
    """The plan's steps, batch by batch; to stop between two leaves the former policy in force, and sets that nothing refers to.

    A table that is made anew is one batch: between two there would be no policy at all, instead of for some 10 microseconds.
    """
    made = {step.set.name for step in plan.steps if isinstance(step, AddSet)}
    if not made or any(isinstance(step, DestroyTable) for step in plan.steps):
        return (plan.steps,)
    first = tuple(step for step in plan.steps if _prepares(step, made))
    return tuple(batch for batch in (first, tuple(step for step in plan.steps if not _prepares(step, made))) if batch)


def _prepares(step: Step, made: set[str]) -> bool:
    """Whether no packet can notice the step."""
    if isinstance(step, AddElements):
        return step.set.name in made
    return isinstance(step, CreateTable | AdoptTable | AddCounter | AddSet)
