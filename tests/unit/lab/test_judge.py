"""An attempt is right only if the finding and every counter are as expected; what differs is said in words."""

from __future__ import annotations

import pytest

from edged.addresses import Family
from edged.lab.attempts import ATTEMPTS, Attempt
from edged.lab.clients import Outcome, Seen
from edged.lab.document import as_document
from edged.lab.report import summary
from edged.lab.trial import Result, judge
from edged.ruleset.nodes import Direction
from edged.ruleset.tree import Counter

REFUSED = next(each for each in ATTEMPTS if each.name == "op25b-refused")
PASSING = next(each for each in ATTEMPTS if each.name == "web-static")
REJECT = Counter("op25b", Direction.UP, Family.IPV4, "reject")
DROP = Counter("op25b", Direction.UP, Family.IPV4, "drop")


@pytest.mark.parametrize(
    ("attempt", "outcome", "counted", "wrong"),
    [
        (REFUSED, Outcome.REFUSED, {REJECT: 1}, None),
        (REFUSED, Outcome.PASSES, {}, "expected: refused at once; seen: passes (so)"),
        (REFUSED, Outcome.OTHER, {REJECT: 1}, "expected: refused at once; seen: so"),
        (REFUSED, Outcome.REFUSED, {}, "refused at once (so), but counted by nothing instead of op25b_up_ip_reject +1"),
        (REFUSED, Outcome.REFUSED, {REJECT: 2}, "counted by op25b_up_ip_reject +2 instead of op25b_up_ip_reject +1"),
        (REFUSED, Outcome.REFUSED, {REJECT: 1, DROP: 1}, "counted by op25b_up_ip_reject +1, op25b_up_ip_drop +1 instead"),
        (PASSING, Outcome.PASSES, {}, None),
        (PASSING, Outcome.PASSES, {DROP: 1}, "passes (so), but counted by op25b_up_ip_drop +1 instead of nothing"),
    ],
)
def test_judgement(attempt: Attempt, outcome: Outcome, counted: dict[Counter, int], wrong: str | None) -> None:
    told = judge(attempt, Family.IPV4, Seen(outcome, "so"), counted)
    assert told == wrong or (wrong is not None and told is not None and wrong in told)


def test_a_counter_of_the_other_family_does_not_do() -> None:
    assert judge(REFUSED, Family.IPV6, Seen(Outcome.REFUSED, "so"), {REJECT: 1}) is not None


def test_the_policies_are_all_tried_in_both_directions() -> None:
    tried = {(each.counted_by.policy, each.counted_by.direction) for each in ATTEMPTS if each.counted_by}
    both = {(policy, direction) for policy in ("op25b", "spoof", "blocklist") for direction in Direction}
    assert tried == both | {("ip53b", Direction.DOWN)}
    assert len({each.name for each in ATTEMPTS}) == len(ATTEMPTS)
    assert all((each.expected is Outcome.PASSES) == (each.counted_by is None) for each in ATTEMPTS)


def test_a_round_is_right_only_if_all_of_it_is() -> None:
    fine = [Result(each, family, Seen(each.expected, "so"), {}, None) for each in ATTEMPTS for family in Family]
    document = as_document(3, fine, 1.23456)
    assert (document["round"], document["right"], document["seconds"]) == (3, True, 1.235)
    assert summary(3, fine) == f"round 3: {len(fine)} of {len(fine)} attempts came out right"
    one_off = [*fine[:-1], Result(ATTEMPTS[-1], Family.IPV6, Seen(Outcome.PASSES, "so"), {}, "expected otherwise")]
    document = as_document(3, one_off, 1)
    assert document["right"] is False
    assert summary(3, one_off).endswith(f"{len(fine) - 1} of {len(fine)} attempts came out right, 1 did NOT")
