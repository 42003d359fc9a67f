"""ENOBUFS, ENOMEM and EPERM at every kind of message: what is in force stays, the fault is told, and the next try mends it.

The sockets are real ones to the real kernel; what fails is told by `faults.Fault`, and lasts until it is lifted.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from edged.daemon.keeper import FIRST_RETRY
from edged.errors import EdgedError
from edged.kernel import conntrack, uapi
from edged.kernel.messages import nft
from edged.kernel.uapi import Msg
from tests.contract.faults import At, Fault, Faults, inject
from tests.contract.machines import LinuxMachine
from tests.contract.parts import Parts, configurations
from tests.tiers import missing_for_namespaces, require

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
ERRNOS = (errno.ENOBUFS, errno.ENOMEM, errno.EPERM)
BRACKETS = (uapi.NFNL_BATCH_BEGIN, uapi.NFNL_BATCH_END)
MADE = tuple(map(nft, (Msg.NEWTABLE, Msg.NEWCHAIN, Msg.NEWRULE, Msg.NEWSET, Msg.NEWSETELEM, Msg.NEWOBJ)))
CHANGED = (*MADE[1:], *map(nft, (Msg.DELCHAIN, Msg.DELRULE, Msg.DELSET, Msg.DELSETELEM, Msg.DELOBJ)))
READ = tuple(map(nft, (Msg.GETGEN, Msg.GETTABLE, Msg.GETCHAIN, Msg.GETRULE, Msg.GETSET, Msg.GETSETELEM, Msg.GETOBJ)))
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
def shared(faults: Faults, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    if reason := missing_for_namespaces():
        require("netns", reason)
    made = Parts(LinuxMachine(), *configurations(tmp_path_factory.mktemp("files")))
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
    assert sum(parts.keeper.state.repairs.values()) > repairs or fault.at is At.RECEIVE
    assert parts.keeper.retry_in is None
