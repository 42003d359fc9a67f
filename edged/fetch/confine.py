"""The bounds of the downloading process: what it may use up, and which sockets it may open.

Without capabilities the kernel already refuses its ruleset to this process. Under the unit, though, it has the daemon's user id,
which the control socket obeys; so no socket but those of TCP and UDP can be opened at all, neither netlink nor unix. The C
library then asks DNS itself, without nscd, and takes both families to be in use.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import resource
import socket
import struct

from edged.fetch.messages import MEBIBYTE, Order
from edged.privileges import NotGivenUp, prctl

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

# linux/audit.h and the tables of system calls: what seccomp calls the machine, and the number of socket(2) there
_MACHINES = {
    "x86_64": (0xC000003E, 41),
    "aarch64": (0xC00000B7, 198),
    "riscv64": (0xC00000F3, 198),
    "armv7l": (0x40000028, 281),
}
_IO_URING_SETUP = 425  # everywhere; a ring opens sockets past this filter (io_uring_enter(2), IORING_OP_SOCKET)
_X32 = 0x40000000  # on x86_64: the same calls under other numbers (seccomp(2), "Caveats")

# linux/bpf_common.h and linux/filter.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
# struct seccomp_data of linux/seccomp.h; the low half of the first argument, on little-endian machines
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_KILL = 0x80000000


def confine(order: Order) -> None:
    """Bounds what this process can use and which sockets it can open, for good. Raises NotGivenUp."""
    seconds = math.ceil(order.seconds)
    bounds = {
        # past `largest` the download stops by itself; this holds where it does not
        resource.RLIMIT_FSIZE: order.largest + 4096,
        resource.RLIMIT_AS: 512 * MEBIBYTE,
        resource.RLIMIT_CPU: seconds + 5,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    try:
        for kind, bound in bounds.items():
            _, hard = resource.getrlimit(kind)
            lower = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(kind, (lower, lower))
    except OSError as failed:
        raise NotGivenUp(f"its use of resources cannot be bounded: {failed}") from failed
    _only_internet_sockets()


def _only_internet_sockets() -> None:
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise NotGivenUp(f"edged does not know how to confine it on {machine}, only on {', '.join(_MACHINES)}")
    program = _filter(*_MACHINES[machine])
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions)))
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _filter(machine: int, socket_call: int) -> bytes:
    """The program in classic BPF: operation, how many to skip if so and if not, operand (seccomp(2))."""
    steps = (
        (_LOAD, 0, 0, _MACHINE),
        (_IF_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 6, 0, _X32),
        (_IF_EQUAL, 5, 0, _IO_URING_SETUP),
        (_IF_EQUAL, 0, 3, socket_call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IF_EQUAL, 1, 0, socket.AF_INET),
        (_IF_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
