"""The exceptions of edged, split by what a caller can do about them, each with the exit code it ends a command with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended (the public interface, section 2)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    UNREACHABLE = 4
    DIFFERENT = 5
    REFUSED = 6
    ROLLED_BACK = 7
    DEGRADED = 8


class EdgedError(Exception):
    """Something edged could not do; the text says what failed, what still holds and what to do."""

    exit_code = ExitCode.FAILED
    problems: tuple[object, ...] = ()  # what is wrong with the operator's files, where that is why; a line each


class KernelError(EdgedError):
    """The kernel refused a batch; nothing of it was applied. `errno` is the kernel's, `label` names the step it met."""

    def __init__(self, text: str, *, errno: int = 0, label: str = "") -> None:
        super().__init__(text)
        self.errno = errno
        self.label = label


class StalePlan(KernelError):
    """The ruleset changed since it was observed; nothing was applied. Observe again, plan again, try again."""


class TableHeld(EdgedError):
    """Another socket owns table inet edged; only who holds that can change it, and nothing was changed."""

    exit_code = ExitCode.REFUSED

    def __init__(self) -> None:
        super().__init__(
            "table inet edged belongs to another running process, which alone can change it; nothing was changed, and its policy "
            "stays in force. An edged daemon? Use its control socket (edged reload, edged teardown). A daemon that was stopped? "
            "systemd 254 and newer keep its socket: systemctl clean --what=fdstore edged"
        )


class Refused(EdgedError):
    """A guard of edged refused to do this; nothing changed."""

    exit_code = ExitCode.REFUSED


class Unreachable(EdgedError):
    """The daemon does not answer on its control socket."""

    exit_code = ExitCode.UNREACHABLE
