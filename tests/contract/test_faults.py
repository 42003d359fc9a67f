"""ENOBUFS, ENOMEM and EPERM at every kind of message: what is in force stays, the fault is told, and the next try mends it.

The sockets are real ones to the real kernel; what fails is told by `faults.Fault`, and lasts until it is lifted.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import get_args

import pytest

from edged.daemon.capper import RENEW_SECONDS, RETRY_SECONDS
from edged.daemon.drift import Suspects
from edged.daemon.keeper import FIRST_RETRY, Keeper
from edged.daemon.totals import Totals
from edged.errors import EdgedError
from edged.kernel import conntrack, uapi
from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.messages import nft
from edged.kernel.tcmessages import DELQDISC, DELTCLASS, GETLINK, GETQDISC, GETTCLASS, NEWQDISC, NEWTCLASS
from edged.kernel.uapi import Msg
from edged.loader import Configuration
from edged.ruleset.nodes import QueueForm
from edged.ruleset.plan import Lock, Step
from tests.contract.faults import At, Fault, Faults, FaultyKernel, inject
from tests.contract.machines import LinuxMachine
from tests.contract.parts import HEAVY, Parts, configurations
from tests.tiers import missing_for_namespaces, require
from tests.unit.daemon.daemons import FakeClock

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
ERRNOS = (errno.ENOBUFS, errno.ENOMEM, errno.EPERM)
BRACKETS = (uapi.NFNL_BATCH_BEGIN, uapi.NFNL_BATCH_END)
MADE = tuple(map(nft, (Msg.NEWTABLE, Msg.NEWCHAIN, Msg.NEWRULE, Msg.NEWSET, Msg.NEWSETELEM, Msg.NEWOBJ)))
CHANGED = (*MADE[1:], *map(nft, (Msg.DELCHAIN, Msg.DELRULE, Msg.DELSET, Msg.DELSETELEM, Msg.DELOBJ)))
READ = tuple(map(nft, (Msg.GETGEN, Msg.GETTABLE, Msg.GETCHAIN, Msg.GETRULE, Msg.GETSET, Msg.GETSETELEM, Msg.GETOBJ)))
CAPS = (*map(nft, (Msg.GETSETELEM, Msg.NEWSETELEM, Msg.DELSETELEM)), GETLINK, NEWQDISC, GETQDISC, NEWTCLASS, GETTCLASS)
MARKS = (conntrack.GET,)  # marks of a generation that comes anew are voided before its batch


def faults_at(*kinds: int) -> pytest.MarkDecorator:
    """Each kind with every errno at every place; in the short profile each with one of these, in turn."""
    every = list(itertools.product(At, ERRNOS))
    if IS_LONG:
        found = [Fault(kind, at, number) for kind in kinds for at, number in every]
    else:
        found = [Fault(kind, *every[place % len(every)]) for place, kind in enumerate(kinds)]
    return pytest.mark.parametrize("fault", found, ids=str)


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    with pytest.MonkeyPatch.context() as patched:
        yield inject(patched)


@pytest.fixture(scope="module")
def shared_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Configuration, Configuration]:
    return configurations(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def shared(faults: Faults, shared_files: tuple[Configuration, Configuration]) -> Iterator[Parts]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    made = Parts(LinuxMachine(), *shared_files)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def parts(shared: Parts, faults: Faults) -> Iterator[Parts]:
    """The parts with nothing in force."""
    try:
        yield shared
    finally:
        faults.arm(None)
        shared.reset()


def is_told(fault: Fault, text: str) -> bool:
    """Whether people can make out from it why, and what holds all the same."""
    why = errno.errorcode[fault.errno] in text or "CAP_NET_ADMIN" in text or "belongs to another running process" in text
    return why and any(words in text for words in ("nothing was applied", "nothing was changed", "stays in force"))


def refused(call: Callable[[], object]) -> str:
    """What a call says of why it did not do as asked; empty where it did. Anything but edged's own exceptions fails the test."""
    try:
        call()
    except EdgedError as error:
        return str(error)
    return ""


def rules(host: FakeHost) -> dict[str, list[object]]:
    """What is in force in a kernel in memory."""
    return {} if host.table is None else {name: list(chain.rules) for name, chain in host.table.chains.items()}


@pytest.mark.promise(14)
@faults_at(*BRACKETS, *MADE, *READ[:2], *MARKS)
def test_a_first_policy_comes_whole_or_not_at_all(parts: Parts, faults: Faults, fault: Fault) -> None:
    faults.arm(fault)
    why = refused(lambda: parts.keeper.hold(parts.one))
    assert faults.struck, "no such message was sent"
    faults.arm(None)
    if why:
        assert is_told(fault, why), why
        # a kernel that did as asked, whose answer was lost
        assert parts.in_force() is None or (fault.at is At.RECEIVE and parts.in_force() is parts.one)
        assert not parts.keeper.state.enforcing
    parts.keeper.hold(parts.one)
    assert parts.in_force() is parts.one
    assert parts.keeper.state.in_sync


# a change has more than a dozen transactions: most are those that wait for others before and after each reading
LATE = [Fault(uapi.NFNL_BATCH_END, at, errno.ENOMEM, before) for at in (At.SEND, At.RECEIVE) for before in range(2, 11)]


@pytest.mark.promise(14)
@pytest.mark.parametrize("fault", LATE, ids=str)
def test_a_change_that_fails_at_any_moment_leaves_what_was_in_force(parts: Parts, faults: Faults, fault: Fault) -> None:
    parts.keeper.hold(parts.one)
    faults.arm(fault)
    why = refused(lambda: parts.keeper.hold(parts.other))
    assert faults.struck, "no such message was sent"
    faults.arm(None)
    assert is_told(fault, why), why
    if not parts.keeper.state.in_sync:
        parts.retry()
    assert parts.keeper.state.in_sync
    assert parts.in_force() is parts.one


@pytest.mark.promise(14)
@faults_at(*BRACKETS, *CHANGED, *READ, *MARKS)
def test_a_change_that_fails_leaves_what_was_in_force(
    parts: Parts, faults: Faults, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    parts.keeper.hold(parts.one)
    faults.arm(fault)
    why = refused(lambda: parts.keeper.hold(parts.other))
    assert faults.struck, "no such message was sent"
    faults.arm(None)
    state = parts.keeper.state
    assert state.enforcing
    if not why:
        assert fault.at is At.RECEIVE
        assert state.in_sync
        assert parts.in_force() is parts.other
        return
    assert is_told(fault, why), why
    assert parts.in_force() is parts.one or (fault.at is At.RECEIVE and parts.in_force() is parts.other)
    if not state.in_sync:  # the same fault kept it from looking whether all is as before
        assert is_told(fault, state.trouble), state.trouble
        assert f"not in sync, next try in {FIRST_RETRY:.1f} s" in caplog.text
        parts.retry()
    assert parts.keeper.state.in_sync
    assert parts.in_force() is parts.one
    parts.keeper.hold(parts.other)
    assert parts.in_force() is parts.other


@pytest.mark.promise(14)
@faults_at(*BRACKETS, *MADE, *READ[:3], *MARKS)
def test_a_repair_that_fails_is_tried_again_ever_more_slowly(
    parts: Parts, faults: Faults, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    parts.keeper.hold(parts.one)
    repairs = sum(parts.keeper.state.repairs.values())
    parts.machine.flush_ruleset()
    faults.arm(fault)
    parts.keeper.look()
    assert faults.struck, "no such message was sent"
    if parts.keeper.state.in_sync:
        assert fault.at is At.RECEIVE
    else:
        assert is_told(fault, parts.keeper.state.trouble), parts.keeper.state.trouble
        assert f"not in sync, next try in {FIRST_RETRY:.1f} s" in caplog.text
        struck = faults.struck
        parts.keeper.look()  # not yet due: the kernel is left alone
        assert faults.struck == struck
        parts.retry()
        if not parts.keeper.state.in_sync:
            assert parts.keeper.retry_in == pytest.approx(2 * FIRST_RETRY)
    faults.arm(None)
    parts.retry()
    assert parts.keeper.state.in_sync
    assert parts.in_force() is parts.one
    if fault.at is not At.RECEIVE and fault.kind not in READ:  # else the repair was done, and only not seen to be
        assert sum(parts.keeper.state.repairs.values()) > repairs
    assert parts.keeper.retry_in is None


@pytest.mark.promise(14)
@faults_at(*BRACKETS, *CAPS)
def test_caps_that_fail_slow_nobody_and_come_back(
    parts: Parts, faults: Faults, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    parts.keeper.hold(parts.one)
    faults.arm(fault)
    parts.tick_while_heavy(8)
    parts.clock.advance(RENEW_SECONDS)
    parts.tick_while_heavy(8)
    assert faults.struck, "no such message was sent"
    faults.arm(None)
    if not caplog.text:
        assert fault.at is At.RECEIVE  # an answer that was not needed
    else:
        told = [record.getMessage() for record in caplog.records]
        assert any(errno.errorcode[fault.errno] in text or "CAP_NET_ADMIN" in text or "belongs to" in text for text in told)
        assert len(told) < 24, "each try fills the log"
        assert "EBUSY" not in caplog.text, "what an earlier try left in the socket keeps the next one from reading"
    parts.keeper.audit()
    assert parts.keeper.state.in_sync
    parts.clock.advance(RETRY_SECONDS)
    parts.tick_while_heavy(8)
    assert parts.capper.state.trouble == ""
    assert parts.held() == {HEAVY}


@pytest.mark.promise(14)
@faults_at(DELTCLASS)
def test_a_pool_that_cannot_be_made_smaller_is_so_later(parts: Parts, faults: Faults, fault: Fault) -> None:
    parts.keeper.hold(parts.one)
    parts.tick(parts.one, 3)
    whole = len(parts.pool())
    parts.keeper.hold(parts.other)
    faults.arm(fault)
    parts.tick(parts.other, 3)
    assert faults.struck, "no such message was sent"
    assert is_told(fault, parts.capper.state.trouble) or errno.errorcode[fault.errno] in parts.capper.state.trouble
    assert parts.keeper.state.in_sync
    faults.arm(None)
    parts.clock.advance(RETRY_SECONDS)
    parts.tick(parts.other, 3)
    assert parts.capper.state.trouble == ""
    assert len(parts.pool()) == whole - 1


@pytest.mark.promise(14)
@faults_at(DELQDISC)
def test_queueing_that_cannot_be_taken_away_is_told_and_goes_at_the_next_asking(
    parts: Parts, faults: Faults, fault: Fault
) -> None:
    parts.keeper.hold(parts.one)
    parts.tick(parts.one, 3)
    assert parts.pool()
    faults.arm(fault)
    why = refused(parts.capper.release)
    assert faults.struck, "no such message was sent"
    assert errno.errorcode[fault.errno] in why or "CAP_NET_ADMIN" in why, why
    faults.arm(None)
    parts.capper.release()
    assert parts.pool() == []


@pytest.mark.promise(14)
@faults_at(*BRACKETS, nft(Msg.GETGEN), nft(Msg.GETOBJ))
def test_counters_that_cannot_be_read_keep_their_values_and_count_it(
    parts: Parts, faults: Faults, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    parts.keeper.hold(parts.one)
    before, errors = parts.totals.read(), parts.totals.errors
    faults.arm(fault)
    for _ in range(5):
        assert parts.totals.read() == before
    failed = parts.totals.errors - errors
    assert failed == 5 or (failed == 0 and fault.at is At.RECEIVE)
    assert bool(parts.totals.trouble) == bool(failed)
    assert caplog.text.count("the counters cannot be read, their last values stand") == bool(failed)
    assert faults.struck
    faults.arm(None)
    assert parts.totals.read() == before
    assert parts.totals.trouble == ""


@pytest.mark.promise(14)
@faults_at(conntrack.GET)
def test_large_flows_that_cannot_be_looked_at_are_found_later(parts: Parts, faults: Faults, fault: Fault) -> None:
    faults.arm(fault)
    parts.bulk.sample(parts.one)
    assert faults.struck
    assert is_told(fault, parts.bulk.trouble) or errno.errorcode[fault.errno] in parts.bulk.trouble
    faults.arm(None)
    parts.bulk.sample(parts.one)
    assert parts.bulk.trouble == ""


@pytest.mark.promise(14)
@faults_at(*BRACKETS, nft(Msg.GETGEN), nft(Msg.GETFLOWTABLE))
def test_what_stands_around_stays_known_where_it_cannot_be_looked_at(parts: Parts, faults: Faults, fault: Fault) -> None:
    parts.surroundings.refresh()
    present = parts.surroundings.present
    assert present
    faults.arm(fault)
    parts.surroundings.refresh()
    assert faults.struck
    assert parts.surroundings.present == present
    assert is_told(fault, parts.surroundings.trouble) or fault.at is At.RECEIVE
    faults.arm(None)
    parts.surroundings.refresh()
    assert parts.surroundings.trouble == ""


@pytest.mark.promise(14)
@pytest.mark.parametrize("number", ERRNOS if IS_LONG else ERRNOS[1:2], ids=errno.errorcode.get)
@pytest.mark.parametrize("step", get_args(Step), ids=lambda step: step.__name__)
def test_no_step_that_is_refused_changes_a_rule(
    shared_files: tuple[Configuration, Configuration], step: type[Step], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The same on the kernel in memory, for each step that a plan can have."""
    one, other = shared_files
    host = FakeHost(marks=[0] * 3)
    clock = FakeClock(host)
    for lock in (Lock.OWNER_PERSIST, Lock.NONE) if IS_LONG else (Lock.OWNER_PERSIST,):
        kernel = FaultyKernel(host)
        keeper = Keeper(kernel, lock, QueueForm.EXPRESSION, clock, Totals(FakeKernel(host).counters), Suspects())
        kernel.errno = number
        for change in (partial(keeper.hold, one), partial(keeper.hold, other), partial(keeper.hold, one), keeper.release):
            before = rules(host)
            kernel.refuses = step
            why = refused(change)
            kernel.refuses = None
            if why:
                assert errno.errorcode[number] in why or "another running process" in why
                assert rules(host) == before
                clock.advance(keeper.retry_in or 0.0)
                keeper.look()
                assert rules(host) == before
                change()
            assert keeper.state.in_sync == keeper.state.enforcing == bool(rules(host))
        kernel.close()
