"""Who is let in and who has to go: the longest wait goes first, an answer is never cut short, and nobody is counted twice."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edged.admission import GRACE_SECONDS, Admission

MOST, PATIENCE = 3, 5.0


def test_a_newcomer_is_let_in_before_who_waits_longest() -> None:
    admission = Admission[str](2, PATIENCE)
    assert [admission.admit(guest, now) for now, guest in enumerate("abcd")] == [None, None, "a", "b"]
    assert admission.guests == {"c", "d"}


def test_each_has_time_to_ask_before_another_takes_its_place() -> None:
    admission = Admission[str](2, PATIENCE)
    admission.admit("a", 0.0)
    assert admission.wait(0.0) == 0.0
    admission.admit("b", GRACE_SECONDS / 2)
    assert admission.wait(GRACE_SECONDS / 2) == pytest.approx(GRACE_SECONDS / 2)
    admission.begin("a")
    assert admission.wait(GRACE_SECONDS) == pytest.approx(GRACE_SECONDS / 2)
    assert admission.wait(GRACE_SECONDS * 1.5) == 0.0


def test_who_is_being_answered_stays_and_then_has_its_time_anew() -> None:
    admission = Admission[str](2, PATIENCE)
    admission.admit("a", 0.0)
    admission.begin("a")
    assert admission.admit("b", 1.0) is None
    assert admission.admit("c", 2.0) == "b"
    assert admission.overdue(100.0) == ("c",)
    admission.end("a", 100.0)
    assert admission.overdue(105.0) == ()
    assert admission.overdue(105.1) == ("a",)
    assert admission.guests == frozenset()


def test_there_is_no_room_while_as_many_as_may_be_are_answered() -> None:
    admission = Admission[str](1, PATIENCE)
    assert admission.wait(0.0) == 0.0
    admission.admit("a", 0.0)
    admission.begin("a")
    assert admission.wait(100.0) == math.inf
    admission.leave("a")
    assert admission.wait(100.0) == 0.0
    admission.end("a", 101.0)
    assert admission.guests == frozenset()


class Comings(RuleBasedStateMachine):
    """Any order of events, as two event loops' worth of peers bring about."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission[int](MOST, PATIENCE)
        self.now = 0.0
        self.come = 0
        self.answered: set[int] = set()
        self.since: dict[int, float] = {}

    @precondition(lambda self: self.admission.wait(self.now) == 0)
    @rule()
    def newcomer(self) -> None:
        self.come += 1
        gone = self.admission.admit(self.come, self.now)
        assert gone not in self.answered
        assert gone is None or self.now - self.since[gone] >= GRACE_SECONDS * 0.999
        self.since[self.come] = self.now
        assert self.come in self.admission.guests

    @rule(guest=st.integers(1, 20), what=st.sampled_from(["begin", "end", "leave"]))
    def event(self, guest: int, what: str) -> None:
        was_in = guest in self.admission.guests
        if what == "begin":
            self.admission.begin(guest)
            self.answered |= {guest} if was_in else set()
        elif what == "end":
            self.admission.end(guest, self.now)
            if guest in self.answered:
                self.since[guest] = self.now
            self.answered.discard(guest)
        else:
            self.admission.leave(guest)
            self.answered.discard(guest)
        assert (guest in self.admission.guests) == (was_in and what != "leave")

    @rule(seconds=st.floats(0.0, 10.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        assert not self.answered & set(self.admission.overdue(self.now))

    @invariant()
    def no_more_than_may_be(self) -> None:
        assert len(self.admission.guests) <= MOST
        assert self.answered <= self.admission.guests


TestComings = Comings.TestCase
