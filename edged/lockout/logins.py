"""Logins: the one that a command came by, and those that utmp(5) tells of.

Both stand for somebody who was let in. A bare connection to sshd does not: anyone can open one, and would by that keep his own
address out of every list.
"""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from edged.addresses import Address
from edged.lockout.farend import Login

_VARIABLE = "SSH_CONNECTION"
_UTMP = Path("/run/utmp")
_PROC = Path("/proc")
_USER_PROCESS = 7  # utmp.h
# struct utmp up to the address; where 32-bit programs share the file, its times are of 32 bits (bits/utmp.h of glibc)
_RECORD = struct.Struct("=hxxi32s4s32s256shhiii16s20x" if platform.machine() == "x86_64" else "=hxxi32s4s32s256shhqqq16s20x4x")
_MOST_ANCESTORS = 64


def parse_login(text: str) -> Login:
    """SSH_CONNECTION's four words. Raises ValueError."""
    peer, peer_port, server, server_port = text.split()
    return Login(_address(peer), _port(peer_port), _address(server), _port(server_port))


def own_login(proc: Path = _PROC) -> Login | None:
    """The login that this process came by; None where it came by none that can be seen.

    sudo takes the variable out of the environment, so the processes above are asked as well, as far as they may be.
    """
    pid = os.getpid()
    for _ in range(_MOST_ANCESTORS):
        if (found := _login_of(proc / str(pid))) is not None:
            return found
        pid = _parent(proc / str(pid))
        if pid <= 1:
            return None
    return None


def present_logins(utmp: Path = _UTMP) -> tuple[Address, ...]:
    """Where those who are logged in by now came from; nothing where the machine keeps no such record."""
    try:
        records = utmp.read_bytes()
    except OSError:
        return ()
    return tuple(dict.fromkeys(_remote(records)))


def _remote(records: bytes) -> Iterator[Address]:
    whole = len(records) - len(records) % _RECORD.size
    for kind, pid, *_, address in _RECORD.iter_unpack(records[:whole]):
        if kind == _USER_PROCESS and any(address) and _runs(pid):
            # an IPv4 address stands in the first of four words (utmp(5))
            yield ip_address(address[:4]) if not any(address[4:]) else ip_address(address)


def _login_of(process: Path) -> Login | None:
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for variable in variables:
        name, _, value = variable.decode(errors="replace").partition("=")
        if name == _VARIABLE:
            try:
                return parse_login(value)
            except ValueError:
                return None
    return None


def _parent(process: Path) -> int:
    try:
        # proc(5): the command's name, in parentheses, may hold anything; state and parent follow the last one
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _runs(pid: int) -> bool:
    """A record stays where a login ended badly. Asked by a signal, since other users' processes may not show in /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(f"not a port: {port}")
    return port
