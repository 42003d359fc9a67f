"""`apply --confirm` where no daemon runs: a guardian process that takes the change back unless somebody confirms it.

    apply      notes the change in the state folder, starts the guardian, waits for its "ready", then applies
    guardian   has read the last good configuration and opened the kernel before anything changed; looks at the note until its
               deadline, which is on CLOCK_BOOTTIME, so that neither a clock step nor a suspended machine moves it
    confirm    takes the note away

Taking the note away is what decides: one call of unlink or rename succeeds, so a confirmation at the last moment and the
rollback can never both happen. The guardian is no child of the terminal: it has a session of its own and none of its streams.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import syslog
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from edged.clock import Clock, SystemClock
from edged.control.client import ControlClient
from edged.enforce import Enforced, enforce
from edged.errors import EdgedError, ExitCode, Refused, Unreachable
from edged.oneshot import enforce_and_leave
from edged.state import Pending, StateFolder

if TYPE_CHECKING:
    from edged.kernel import Kernel
    from edged.loader import Configuration

_READY = "ready"
_LOOK_EVERY = 0.25  # seconds between two looks at the note; a suspended machine wakes into one
_START_SECONDS = 60.0  # by then a guardian stands there, or its starter has given up
GUARDIAN_SECONDS = 5.0  # a note this long past its deadline has no guardian any more
# the kernel may be busy, or a stranger be committing in a loop: the promise to roll back is worth many tries
_ROLLBACK_TRIES = 300
_RETRY_SECONDS = 1.0


class RolledBack(EdgedError):
    """The change was not confirmed in time and was taken back."""

    exit_code = ExitCode.ROLLED_BACK


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a change waits, the digest of its files, and what brings back the policy from before it."""

    seconds: float
    digest: str
    take_back: Callable[[], object]


def seconds_left(pending: Pending, clock: Clock) -> float:
    """How long the change still waits; negative once it is over, as a change made before the last boot is."""
    return pending.deadline - clock.boottime() if pending.boot_id == clock.boot_id() else -math.inf


def refuse_while_waiting(state: StateFolder, clock: Clock) -> None:
    """Raise Refused where another change waits: two could not be told apart by one confirmation."""
    pending = state.pending()
    if pending is not None and (left := seconds_left(pending, clock)) > -GUARDIAN_SECONDS:
        raise Refused(
            f"a change waits for its confirmation, {max(left, 0):.0f} s more; nothing was changed. "
            "Confirm it (edged confirm), or let it be rolled back first."
        )


def apply_guarded(state: StateFolder, control: Path, waits: Waits, clock: Clock, change_it: Callable[[], Enforced]) -> Enforced:
    """Apply a change that is rolled back at its deadline unless it is confirmed. Raises EdgedError; then nothing waits.

    Dying between the lines leaves a note without a change, or a guardian that rolls back to what is in force already.
    """
    boot = clock.boot_id()
    try:
        state.begin_confirm(Pending(boot, clock.boottime() + _START_SECONDS + waits.seconds, waits.digest))
        start_guardian(state.path, control)
        # only now does the time run: on a busy machine the guardian takes seconds to stand there
        state.begin_confirm(Pending(boot, clock.boottime() + waits.seconds, waits.digest))
    except BaseException:
        state.end_confirm()  # nothing was changed; a guardian sees it and leaves
        raise
    try:
        enforced = change_it()
    except EdgedError:
        state.end_confirm()
        raise
    # whatever else ends this (Ctrl-C, a defect) leaves the note: the guardian rolls back what may have been changed
    if state.rejected() == waits.digest and state.pending() is None:
        # the time ran out while the kernel was being changed, so the guardian may have rolled back too early
        waits.take_back()
        raise RolledBack("the time ran out before the change was made; what was in force before is in force. Give it more time")
    return enforced


def start_guardian(state: Path, control: Path) -> None:
    """Start the process that watches the noted change; returns once it is ready to roll back.

    Raises EdgedError where it cannot be made ready; then nobody watches, and nothing must be applied.
    """
    with subprocess.Popen(  # noqa: S603  ourselves, and two paths
        [sys.executable, "-m", "edged.confirm", os.fspath(state.absolute()), os.fspath(control.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as started:
        # the pipe closes when the guardian says ready or dies, so this wait has an end
        said = started.stdout.read() if started.stdout else ""
    if said.strip() != _READY:
        raise EdgedError(f"no guardian for the rollback could be started, so nothing was applied: {said.strip() or 'it died'}")


@dataclass(slots=True)
class Guardian:
    """The watch over one noted change. `told` ends the waiting at once: the machine goes down, or an operator said so."""

    state: StateFolder
    kernel: Kernel
    last_good: Configuration | None
    daemon: ControlClient
    clock: Clock
    sleep: Callable[[float], None]
    log: Callable[[str], None]
    told: bool = field(default=False)

    def watch(self, change: Pending) -> bool:
        """Wait, then roll back; False where the change was confirmed or replaced meanwhile."""
        while (note := self._note(change)) is not None:
            change = note
            left = seconds_left(change, self.clock)
            if self.told or left <= 0:
                return self._roll_back(change)
            self.sleep(min(left, _LOOK_EVERY))
        return False

    def _note(self, change: Pending) -> Pending | None:
        """The note of this change as it is now: its deadline moves once, when the guardian stands there."""
        try:
            note = self.state.pending()
        except EdgedError:
            return change  # a note that cannot be read is no confirmation
        return note if note is not None and (note.boot_id, note.digest) == (change.boot_id, change.digest) else None

    def _roll_back(self, change: Pending) -> bool:
        claimed = False
        for _ in range(_ROLLBACK_TRIES):
            try:
                if not claimed and self._daemon_rolls_back():
                    return True
                # an `edged apply` between the claim and the restoring would be undone by it
                with self.state.turn():
                    claimed = claimed or self._claim()
                    if not claimed:
                        return False
                    restore(self.kernel, self.last_good, self.clock)
            except (EdgedError, OSError) as error:
                if not claimed and self._note(change) is None:
                    return False
                self.log(f"the change was not confirmed, and rolling it back failed; trying again: {error}")
                self.sleep(_RETRY_SECONDS)
            else:
                self.log("the change was not confirmed in time: rolled back")
                return True
        self.log("the change was not confirmed and could NOT be rolled back; it is in force. Run: edged apply, or edged teardown")
        return False

    def _claim(self) -> bool:
        """Take the note, or be too late. Dying right after leaves the rejected files named: a daemon's start avoids them."""
        try:
            return self.state.reject()
        except EdgedError as error:
            self.log(f"rolling back all the same: {error}")
            return True

    def _daemon_rolls_back(self) -> bool:
        """A daemon that was started meanwhile owns the table, and has the note as well: it is asked to do it."""
        try:
            self.daemon.rollback()
        except Unreachable:
            return False
        return True


def restore(kernel: Kernel, last_good: Configuration | None, clock: Clock) -> None:
    """Enforce the last good configuration; where there is none, leave nothing of edged. Raises EdgedError."""
    from edged.lists.offline import in_force  # noqa: PLC0415  pydantic, which a look at the note does without

    if last_good is None:
        enforce(kernel, None, clock.now)
    else:
        enforce_and_leave(kernel, in_force(last_good).table(int(clock.now())), clock.now)


def main(state_path: str, control_path: str) -> None:
    """The guardian's process: says on stdout that it is ready, or why not, and lets go of its starter."""
    from edged.kernel.linux import LinuxKernel  # noqa: PLC0415  commands that import this module only look at the note

    if os.fork():
        os._exit(0)  # the session's leader goes: its child can never come by a terminal again
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    clock, state = SystemClock(), StateFolder(Path(state_path))
    try:
        change = state.pending() or _nothing_noted()
        kernel = LinuxKernel()
        kernel.capabilities()  # asked now, for it takes some 0.3 s: at its deadline a change is to be taken back at once
        guardian = Guardian(
            state, kernel, state.load_last_good(), ControlClient(Path(control_path)), clock, time.sleep, syslog.syslog
        )
    except EdgedError as error:
        sys.stdout.write(str(error))
        sys.stdout.flush()
        os._exit(1)

    def tell(_number: int, _frame: FrameType | None) -> None:
        guardian.told = True

    signal.signal(signal.SIGTERM, tell)
    syslog.openlog("edged", syslog.LOG_PID, syslog.LOG_DAEMON)
    os.chdir("/")
    sys.stdout.write(_READY)
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    guardian.watch(change)


def _nothing_noted() -> NoReturn:
    raise EdgedError("no change is noted in the state folder")


if __name__ == "__main__":
    main(*sys.argv[1:])
