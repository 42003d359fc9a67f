"""Who is let in and who has to go: the longest wait goes first, an answer is never cut short, and nobody is counted twice."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edged.admission import Admission

MOST, PATIENCE, GRACE = 3, 5.0, 0.2


def let_in(admission: Admission[str], guest: str, now: float, *unheard: str) -> str | None:
    """Who goes for the newcomer, who stays outside where nobody can."""
    gone = None
    if not admission.has_room:
        gone = admission.to_go(now, unheard.__contains__)
        if gone is None:
            return guest
        admission.leave(gone)
    admission.admit(guest, now)
    return gone


def test_a_newcomer_is_let_in_before_who_waits_longest() -> None:
    admission = Admission[str](2, PATIENCE)
    assert [let_in(admission, guest, now) for now, guest in enumerate("abcd")] == [None, None, "a", "b"]
    assert admission.guests == {"c", "d"}


def test_each_has_time_to_ask_before_another_takes_its_place() -> None:
    admission = Admission[str](2, PATIENCE, GRACE)
    assert let_in(admission, "a", 0.0) is None
    assert let_in(admission, "b", GRACE / 2) is None
    assert let_in(admission, "c", GRACE * 0.9) == "c"
    assert let_in(admission, "c", GRACE * 1.1) == "a"


def test_who_has_asked_and_was_not_heard_has_longer() -> None:
    admission = Admission[str](2, PATIENCE, GRACE)
    assert [let_in(admission, guest, 0.0) for guest in "ab"] == [None, None]
    assert let_in(admission, "c", GRACE * 1.1, "a") == "b"
    assert let_in(admission, "d", GRACE * 2.2, "a", "c") == "d"
    assert let_in(admission, "d", GRACE * 10.1, "a", "c") == "a"


def test_who_is_being_answered_stays_and_then_has_its_time_anew() -> None:
    admission = Admission[str](2, PATIENCE)
    admission.admit("a", 0.0)
    admission.begin("a")
    assert let_in(admission, "b", 1.0) is None
    assert let_in(admission, "c", 2.0) == "b"
    assert admission.overdue(100.0) == ("c",)
    admission.end("a", 100.0)
    assert admission.overdue(105.0) == ()
    assert admission.overdue(105.1) == ("a",)
    assert admission.guests == frozenset()


def test_there_is_no_room_while_as_many_as_may_be_are_answered() -> None:
    admission = Admission[str](1, PATIENCE)
    assert (admission.has_room, admission.is_busy) == (True, False)
    admission.admit("a", 0.0)
    assert (admission.has_room, admission.is_busy) == (False, False)
    admission.begin("a")
    assert (admission.has_room, admission.is_busy) == (False, True)
    assert admission.to_go(100.0, lambda _: False) is None
    admission.leave("a")
    assert (admission.has_room, admission.is_busy) == (True, False)
    admission.end("a", 101.0)
    assert admission.guests == frozenset()


class Comings(RuleBasedStateMachine):
    """Any order of events, as two event loops' worth of peers bring about."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission[int](MOST, PATIENCE, GRACE)
        self.now = 0.0
        self.come = 0
        self.answered: set[int] = set()
        self.since: dict[int, float] = {}

    @precondition(lambda self: not self.admission.is_busy)
    @rule()
    def newcomer(self) -> None:
        if not self.admission.has_room:
            gone = self.admission.to_go(self.now, lambda _: False)
            assert gone not in self.answered
            if gone is None:
                return
            assert self.now - self.since[gone] >= GRACE * 0.999
            self.admission.leave(gone)
        self.come += 1
        self.admission.admit(self.come, self.now)
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
