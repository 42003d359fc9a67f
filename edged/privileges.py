"""How a process gives up what it could do, and what the kernel says that it still can."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Mapping
from pathlib import Path

NOBODY = 65534

# linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h

_libc = ctypes.CDLL(None, use_errno=True)


class NotGivenUp(Exception):
    """This process may still do more than its work needs, so it must not go on; the text says what."""


def prctl(option: int, *arguments: int) -> None:
    """Has the kernel change this process; raises NotGivenUp where it refuses."""
    padded = [ctypes.c_ulong(each) for each in (*arguments, *[0] * (4 - len(arguments)))]
    if _libc.prctl(option, *padded) != 0:
        raise NotGivenUp(f"the kernel refuses prctl({option}, ...): {os.strerror(ctypes.get_errno())}")


def gain_nothing() -> None:
    """From now on execve(2) gives this process no privilege; raises NotGivenUp."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def keep_capabilities(kept: int) -> bool:
    """Permits this process the capabilities of that set of bits, below 32, and lets it inherit none, by capset(2).

    False where a seccomp filter refuses that. Raises OSError where the process does not have them.
    """
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    # two of struct __user_cap_data_struct: effective, permitted, inheritable
    if _libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", kept, kept, 0, 0, 0, 0))) == 0:
        return True
    refused = ctypes.get_errno()
    # dropping needs no privilege, so the kernel itself says EPERM only to who wants more than it has
    if refused == errno.EPERM and int(status()["CapPrm"], 16) & kept == kept:
        return False
    raise OSError(refused, os.strerror(refused))


def bound(limits: Mapping[int, int]) -> None:
    """Lowers what this process can use, for good: a limit of resource(3) by its kind. Raises NotGivenUp."""
    try:
        for kind, limit in limits.items():
            _, hard = resource.getrlimit(kind)
            lower = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (lower, lower))
    except OSError as failed:
        raise NotGivenUp(f"its use of resources cannot be bounded: {failed}") from failed


def status() -> Mapping[str, str]:
    """What the kernel says of this process: /proc/self/status, name -> value."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
