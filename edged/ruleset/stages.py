"""In how many batches a plan is carried out: one, but for plans that make sets, or change interval sets beside the rules.

From Linux 6.18 on a commit switches the rules first and gives an interval set its elements a moment later (nft_rbtree_commit,
net/netfilter/nft_set_rbtree.c). Two things go wrong in that moment:

- A rule that came with its set finds it empty: port 25 is open, or source validation drops everyone. Seen by the SYN probe: 31
  good packets lost in 4,000 commits that added or removed policy spoof. So new sets are filled by a batch of their own, before
  any rule asks for them.
- A rule that keeps its verdict in the connection's mark judges by the former elements and marks as if by the new, and nobody
  asks that connection again. So the sets such rules ask are changed by a batch of their own too, before the generation rises.

A set that is there keeps its former elements until the new ones take their place, so nothing else needs a second batch: the
elements of hash sets (PrefixSet) switch with the rules. A new one is filled ahead, in batches of bounded size (places.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from edged.ruleset.nodes import SetGeneration
from edged.ruleset.places import MOST_AT_ONCE
from edged.ruleset.plan import (
    AddCounter,
    AddElements,
    AddKeys,
    AddSet,
    AdoptTable,
    CreateTable,
    DestroyTable,
    FillChain,
    Plan,
    RemoveElements,
    RemoveKeys,
    Step,
    VoidGeneration,
)


def stages(plan: Plan) -> tuple[tuple[Step, ...], ...]:
    """The plan's steps, batch by batch; to stop between two leaves the former policy in force, and the sets ahead of it.

    A table that is made anew is one batch: between two there would be no policy at all, instead of for some 10 microseconds.
    """
    ahead = {step.set.name for step in plan.steps if isinstance(step, AddSet)}
    ahead |= _judging(plan) & {step.set.name for step in plan.steps if isinstance(step, AddElements | RemoveElements)}
    if not ahead or any(isinstance(step, DestroyTable) for step in plan.steps):
        return (plan.steps,)
    first = [step for step in plan.steps if _prepares(step, ahead)]
    small = tuple(step for step in first if not isinstance(step, AddKeys))
    filling = ((part,) for step in first if isinstance(step, AddKeys) for part in _parts(step))
    rules = tuple(step for step in plan.steps if not _prepares(step, ahead))
    return tuple(batch for batch in (small, *filling, rules) if batch)


def _parts(step: AddKeys) -> Iterator[AddKeys]:
    return (AddKeys(step.set, keys) for keys in step.keys.parts(MOST_AT_ONCE))


def _judging(plan: Plan) -> set[str]:
    """The sets that are asked by chains which keep their verdict."""
    filled = (step.chain for step in plan.steps if isinstance(step, FillChain))
    keeping = (chain for chain in filled if any(isinstance(rule.then, SetGeneration) for rule in chain.rules))
    return {name for chain in keeping for name in chain.asked}


def _prepares(step: Step, ahead: set[str]) -> bool:
    """Whether the step belongs into the first batch."""
    if isinstance(step, AddSet | AddElements | RemoveElements | AddKeys | RemoveKeys):
        return step.set.name in ahead
    return isinstance(step, CreateTable | AdoptTable | VoidGeneration | AddCounter)
