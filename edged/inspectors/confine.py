"""What a worker may still do when it reads its first packet: CAP_NET_ADMIN, which verdicts need, and little memory.

It has no file, no process and no socket to gain by that: as nobody it opens nothing of the machine's, and it cannot start
anything. Of the sockets it inherits one; that one speaks nfnetlink, so a worker that was taken over could still change rules.
"""

from __future__ import annotations

import os
import resource

from edged.privileges import NOBODY, NotGivenUp, bound, gain_nothing, keep_capabilities, prctl, status

_PR_SET_KEEPCAPS = 8  # linux/prctl.h
_NET_ADMIN = 1 << 12  # linux/capability.h


def confine(memory: int) -> None:
    """Leaves this process CAP_NET_ADMIN alone and `memory` bytes of address space, for good. Raises NotGivenUp."""
    bound({resource.RLIMIT_AS: memory, resource.RLIMIT_NPROC: 0, resource.RLIMIT_CORE: 0})
    try:
        gain_nothing()
        if os.geteuid() == 0:
            prctl(_PR_SET_KEEPCAPS, 1)  # capabilities(7): else the permitted set is cleared with root's last user id
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        keep_capabilities(_NET_ADMIN)
    except OSError as failed:
        raise NotGivenUp(f"its privileges cannot be dropped: {failed}") from failed
    _prove()


def _prove() -> None:
    found = status()
    # no_new_privs makes the bounding and the inheritable set worth nothing
    left = [f"{name} {found[name]}" for name in ("CapEff", "CapPrm", "CapAmb") if int(found[name], 16) & ~_NET_ADMIN]
    if found["NoNewPrivs"] != "1":
        left.append("no_new_privs is not set")
    if "0" in found["Uid"].split():
        left.append("it is root")
    if left:
        raise NotGivenUp(f"it still has privileges ({', '.join(left)})")
