"""How the downloading process gives up what it could do, and proves it, before it meets the network.

root becomes nobody, which clears the permitted, effective and ambient sets (capabilities(7), "Effect of user ID changes on
capabilities"); it is not started anew, since nobody may be unable to read the interpreter or edged. Another user drops its
capabilities with capset(2). The unit's seccomp filter refuses that, so there the process clears the ambient set and starts
itself anew: the program has no file capabilities, and execve(2) leaves nothing permitted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from edged.privileges import NOBODY, NotGivenUp, gain_nothing, keep_capabilities, status


def give_up(anew: Sequence[str] | None) -> None:
    """Leaves this process without capabilities, unable to gain any, and not root; proves it by what the kernel says of it.

    `anew` is the command line that starts the process again where only that helps; None where it has been started again.
    Raises NotGivenUp.
    """
    gain_nothing()
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        cleared = keep_capabilities(0)
        if anew is not None and not cleared and _sets(status(), "CapPrm", "CapEff"):
            os.execv(sys.executable, list(anew))  # noqa: S606  without a shell, and this very program
    except OSError as failed:
        raise NotGivenUp(f"its privileges cannot be dropped: {failed}") from failed
    _prove(status(), cleared)


def _sets(found: Mapping[str, str], *names: str) -> list[str]:
    return [f"{name} {found[name]}" for name in names if int(found[name], 16) != 0]


def _prove(found: Mapping[str, str], cleared: bool) -> None:  # noqa: FBT001  what keep_capabilities said
    # Where capset(2) is refused, what systemd put into the inheritable set for AmbientCapabilities= stays. It is worth nothing:
    # with no_new_privs execve(2) permits no more than what was permitted before, and that is proved to be nothing.
    left = _sets(found, "CapEff", "CapPrm", "CapAmb", *(["CapInh"] if cleared else []))
    if found["NoNewPrivs"] != "1":
        left.append("no_new_privs is not set")
    if "0" in found["Uid"].split():
        left.append("it is root")
    if left:
        raise NotGivenUp(f"it still has privileges ({', '.join(left)})")
