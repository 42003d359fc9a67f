"""The two ways in which `apply` gets a policy into the kernel: by the daemon that holds the table, or by itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edged.cli import machine
from edged.cli.files import load_configuration
from edged.cli.kernel import open_kernel
from edged.errors import EdgedError, Refused

if TYPE_CHECKING:
    from edged.clock import Clock
    from edged.control.asked import Apply
    from edged.control.client import ControlClient
    from edged.control.messages import Status
    from edged.enforce import Enforced
    from edged.kernel import Kernel
    from edged.lockout.guard import Guard
    from edged.ruleset.tree import Table


@dataclass(frozen=True, slots=True)
class Applied:
    """What apply did; `lacks` says where less came of it than the configuration asks for."""

    by: str  # daemon | command
    steps: tuple[str, ...]
    generation: int
    warnings: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # lists whose guards did not let them through


class Ended(Enum):
    """What became of a change that waited for its confirmation."""

    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled back"


class Way(Protocol):
    """One way into the kernel."""

    def apply(self, asked: Apply) -> Applied:
        """Enforce what the files ask for, as it was asked. Raises EdgedError."""
        ...

    def waiting(self) -> float | Ended:
        """The seconds that the change still waits for, or what became of it."""
        ...


class ByDaemon:
    """The daemon does it, with its own files, which must be the ones that were asked for."""

    def __init__(self, client: ControlClient, status: Status, path: Path) -> None:
        self._client = client
        serves = status["configuration"]["path"]
        if Path(serves).resolve() != path.resolve():
            raise Refused(
                f"the daemon (pid {status['pid']}) serves {serves}, not {path.absolute()}; nothing was changed. "
                f"Use -c {serves}, or stop the daemon first."
            )

    def apply(self, asked: Apply) -> Applied:
        """Have the daemon take its files anew."""
        answer = self._client.apply(asked.confirm_seconds, asked.login, asked.guards)
        lacks = tuple(f"{each['what']}: {each['why']}; {each['instead']}" for each in self._client.status()["degraded"])
        refused = tuple(answer["refused"])
        return Applied("daemon", tuple(answer["steps"]), answer["generation"], tuple(answer["warnings"]), lacks, refused)

    def waiting(self) -> float | Ended:
        """As the daemon's status says."""
        status = self._client.status()
        if status["confirm"] is not None:
            return status["confirm"]["seconds_left"]
        return Ended.CONFIRMED if status["enforcing"] and status["configuration"]["running"] == "files" else Ended.ROLLED_BACK


class ByItself:
    """This process does it and leaves; a change that waits for its confirmation is watched by a guardian."""

    def __init__(self, path: Path, socket: Path, clock: Clock) -> None:
        from edged.state import StateFolder, digest

        self._configuration = load_configuration(path)
        self._digest = digest(self._configuration.sources)
        self._state = StateFolder(self._configuration.edged.state, clock)
        self._socket = socket
        self._clock = clock

    def judge(self, asked: Apply) -> tuple[str, ...]:
        """The steps that apply would take, judged by the guard, and by the kernel in a dry run. Raises EdgedError."""
        from edged.lists.offline import as_reloaded
        from edged.oneshot import judge
        from edged.ruleset.plan import describe

        configuration, _ = as_reloaded(self._configuration)
        self._guard(asked)(configuration)
        with open_kernel() as kernel:
            table = configuration.table(int(self._clock.now()))
            return tuple(describe(step) for step in judge(kernel, table, self._clock.now).steps)

    def apply(self, asked: Apply) -> Applied:
        """Enforce; without a confirmation to wait for, the configuration is kept as the last good one."""
        from edged.confirm import refuse_while_waiting
        from edged.lists.offline import taken
        from edged.oneshot import enforce_and_leave
        from edged.ruleset.plan import describe

        self._configuration, refused = taken(self._configuration)
        try:
            self._guard(asked)(self._configuration)
        except Refused:
            with contextlib.suppress(EdgedError):  # it is told that they are refused, whether that is remembered or not
                self._state.refuse(self._digest)
            raise
        table = self._configuration.table(int(self._clock.now()))
        lacks = self._lacks()  # all that can fail comes before the kernel is changed
        with open_kernel() as kernel, self._state.turn():
            refuse_while_waiting(self._state, self._clock)
            if asked.confirm_seconds is None:
                enforced = enforce_and_leave(kernel, table, self._clock.now)
                lacks += self._keep_as_good()
            else:
                enforced = self._enforce_guarded(kernel, table, asked.confirm_seconds)
        return Applied("command", tuple(describe(step) for step in enforced.plan.steps), enforced.generation, (), lacks, refused)

    def _guard(self, asked: Apply) -> Guard:
        from edged.control.asked import Guards
        from edged.lockout.gather import Lifelines
        from edged.lockout.guard import unguarded

        lifelines = Lifelines(self._clock)
        lifelines.note(asked.login)
        return unguarded if asked.guards is Guards.OVERRIDDEN else lifelines.guard

    def _enforce_guarded(self, kernel: Kernel, table: Table, confirm: float) -> Enforced:
        from edged.confirm import Waits, apply_guarded, restore
        from edged.oneshot import enforce_and_leave, judge

        judge(kernel, table, self._clock.now)  # a refusal is better told before a guardian stands there
        last_good = self._state.load_last_good()
        waits = Waits(confirm, self._digest, lambda: restore(kernel, last_good, self._clock))
        return apply_guarded(
            self._state, self._socket, waits, self._clock, lambda: enforce_and_leave(kernel, table, self._clock.now)
        )

    def waiting(self) -> float | Ended:
        """As the note in the state folder says; where its guardian was killed, another one takes the change back."""
        from edged.confirm import GUARDIAN_SECONDS, seconds_left, start_guardian

        pending = self._state.pending()
        if pending is not None:
            left = seconds_left(pending, self._clock)
            if left < -GUARDIAN_SECONDS:
                start_guardian(self._state.path, self._socket)
            return max(0.0, left)
        if self._state.rejected() != self._digest:
            return Ended.CONFIRMED
        try:
            with self._state.turn():  # whoever claimed the change has it until the kernel is as before
                return Ended.ROLLED_BACK
        except Refused:
            return 0.0

    def _keep_as_good(self) -> tuple[str, ...]:
        """Keep the files for a rollback; what is enforced does not depend on it."""
        try:
            self._state.save_last_good(self._configuration)
        except EdgedError as error:
            return (f"the policy is in force, but a later rollback cannot come back to it: {error}",)
        return ()

    def _lacks(self) -> tuple[str, ...]:
        site = self._configuration.site()
        return (
            *(f"interface {name}: it is not there; its rules wait for it to appear" for name in machine.absent_interfaces(site)),
            *(f"{each.what}: {each.why}; {each.remedy}" for each in machine.bypasses(site)),
        )
