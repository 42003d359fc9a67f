"""How the downloading process gives up what it could do, and proves it, before it meets the network.

root becomes nobody, which clears the permitted, effective and ambient sets (capabilities(7), "Effect of user ID changes on
capabilities"); it is not started anew, since nobody may be unable to read the interpreter or edged. Another user drops its
capabilities with capset(2). The unit's seccomp filter refuses that, so there the process clears the ambient set and starts
itself anew: the program has no file capabilities, and execve(2) leaves nothing permitted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NOBODY = 65534

# linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h

_libc = ctypes.CDLL(None, use_errno=True)


class NotGivenUp(Exception):
    """This process may still do more than a download needs, so it must not go on; the text says what."""


def give_up(anew: Sequence[str] | None) -> None:
    """Leaves this process without capabilities, unable to gain any, and not root; proves it by what the kernel says of it.

    `anew` is the command line that starts the process again where only that helps; None where it has been started again.
    Raises NotGivenUp.
    """
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        cleared = _clear_capabilities()
        if anew is not None and not cleared and _sets(_status(), "CapPrm", "CapEff"):
            os.execv(sys.executable, list(anew))  # noqa: S606  without a shell, and this very program
    except OSError as failed:
        raise NotGivenUp(f"its privileges cannot be dropped: {failed}") from failed
    _prove(_status(), cleared)


def prctl(option: int, *arguments: int) -> None:
    """Has the kernel change this process; raises NotGivenUp where it refuses."""
    padded = [ctypes.c_ulong(each) for each in (*arguments, *[0] * (4 - len(arguments)))]
    if _libc.prctl(option, *padded) != 0:
        raise NotGivenUp(f"the kernel refuses prctl({option}, ...): {os.strerror(ctypes.get_errno())}")


def _clear_capabilities() -> bool:
    """Empties every set by capset(2); False where a seccomp filter refuses that."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    if _libc.capset(header, ctypes.create_string_buffer(24)) == 0:  # two of struct __user_cap_data_struct, all zero
        return True
    # dropping needs no privilege, so the kernel itself never says EPERM
    if (refused := ctypes.get_errno()) == errno.EPERM:
        return False
    raise OSError(refused, os.strerror(refused))


def _status() -> Mapping[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _sets(status: Mapping[str, str], *names: str) -> list[str]:
    return [f"{name} {status[name]}" for name in names if int(status[name], 16) != 0]


def _prove(status: Mapping[str, str], cleared: bool) -> None:  # noqa: FBT001  what _clear_capabilities said
    # Where capset(2) is refused, what systemd put into the inheritable set for AmbientCapabilities= stays. It is worth nothing:
    # with no_new_privs execve(2) permits no more than what was permitted before, and that is proved to be nothing.
    left = _sets(status, "CapEff", "CapPrm", "CapAmb", *(["CapInh"] if cleared else []))
    if status["NoNewPrivs"] != "1":
        left.append("no_new_privs is not set")
    if "0" in status["Uid"].split():
        left.append("it is root")
    if left:
        raise NotGivenUp(f"it still has privileges ({', '.join(left)})")
