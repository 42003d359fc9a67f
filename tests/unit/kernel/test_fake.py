"""What befalls a fake host, and the features that it can lack; its plans are held to the contract tests."""

from __future__ import annotations

import errno

import pytest

from edged.errors import KernelError
from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.probe import FEATURES
from edged.ruleset.diff import diff
from edged.ruleset.nodes import Continue, Queue, QueueForm
from edged.ruleset.plan import CreateTable, Desired, FillChain, Lock, Plan
from edged.ruleset.tree import Chain, Hook, Rule, Table


@pytest.mark.parametrize(
    ("missing", "strongest", "refused"),
    [
        (set(), Lock.OWNER_PERSIST, ()),
        ({"table_persist"}, Lock.OWNER, (Lock.OWNER_PERSIST,)),
        ({"table_owner", "table_persist"}, Lock.NONE, (Lock.OWNER, Lock.OWNER_PERSIST)),
    ],
)
def test_an_old_kernel_refuses_what_it_does_not_know(missing: set[str], strongest: Lock, refused: tuple[Lock, ...]) -> None:
    kernel = FakeKernel(FakeHost(missing_features=frozenset(missing)))
    assert kernel.capabilities().lock is strongest
    for lock in Lock:
        plan = Plan((CreateTable(lock),), kernel.generation())
        if lock in refused:
            with pytest.raises(KernelError) as met:
                kernel.check(plan, now=0)
            assert met.value.errno == errno.EOPNOTSUPP
        else:
            kernel.check(plan, now=0)


@pytest.mark.parametrize(
    ("missing", "form"),
    [
        (set(), QueueForm.EXPRESSION),
        ({"queue"}, QueueForm.TARGET),
        ({"queue_target"}, QueueForm.EXPRESSION),
        ({"queue", "queue_target"}, None),
    ],
)
def test_packets_are_queued_in_the_form_that_the_kernel_has(missing: set[str], form: QueueForm | None) -> None:
    kernel = FakeKernel(FakeHost(missing_features=frozenset(missing)))
    assert kernel.capabilities().queue is form
    table = Table(chains=(Chain("inspect", (Rule("inspect.udp", then=Queue(3)), Rule("last")), Hook()),))
    for wanted in (*QueueForm, None):
        plan = diff(Desired(table, queue=wanted), kernel.observe())
        if wanted is None or not missing & {"queue" if wanted is QueueForm.EXPRESSION else "queue_target"}:
            kernel.check(plan, now=0)
            filled = next(step.chain.rules for step in plan.steps if isinstance(step, FillChain))
            assert [rule.then for rule in filled] == [*([Queue(3, wanted)] if wanted else []), Continue()]
        else:
            with pytest.raises(KernelError, match=r"chain inspect, rule inspect\.udp") as met:
                kernel.check(plan, now=0)
            assert met.value.errno == errno.ENOENT


def test_features_are_told_in_words() -> None:
    for name, feature in FEATURES.items():
        assert name.islower()
        assert feature.purpose
        assert feature.otherwise


def test_nothing_passes_a_counter_of_a_table_that_is_not_there() -> None:
    with pytest.raises(LookupError):
        FakeHost().count("op25b_up_ip_drop")
