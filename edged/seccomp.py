"""Which sockets a process may still open: a seccomp filter over socket(2), for a process that has given up its privileges.

With it no netlink and no unix socket can be opened, whatever the process's user may do; what it holds open already it keeps.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

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


def only_sockets(families: Sequence[int]) -> None:
    """From now on this process opens sockets of these address families alone, for good. Raises NotGivenUp."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise NotGivenUp(f"edged does not know how to confine it on {machine}, only on {', '.join(_MACHINES)}")
    program = _filter(*_MACHINES[machine], families)
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions)))
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _filter(machine: int, socket_call: int, families: Sequence[int]) -> bytes:
    """The program in classic BPF: operation, how many to skip if so and if not, operand (seccomp(2))."""
    left = len(families)  # steps that ask for a family; each skips those behind it, and the refusal
    steps = (
        (_LOAD, 0, 0, _MACHINE),
        (_IF_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 3 + left, 0, _X32),
        (_IF_EQUAL, 2 + left, 0, _IO_URING_SETUP),
        (_IF_EQUAL, 0, 2 + left, socket_call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *((_IF_EQUAL, left - place, 0, family) for place, family in enumerate(families)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
