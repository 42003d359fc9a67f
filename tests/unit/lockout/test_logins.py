"""Logins: the words of SSH_CONNECTION, the processes above, and the records of utmp."""

from __future__ import annotations

import os
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.lockout import logins
from edged.lockout.farend import Login
from edged.lockout.logins import own_login, parse_login, present_logins

TEXT = "198.51.100.9 50000 192.0.2.1 22"
LOGIN = Login(ip_address("198.51.100.9"), 50000, ip_address("192.0.2.1"), 22)
USER, DEAD = 7, 8


def test_the_words_of_ssh_connection() -> None:
    assert parse_login(TEXT) == LOGIN
    assert str(LOGIN) == TEXT
    assert parse_login("fe80::9%lan0 50000 fe80::1%lan0 22").peer == ip_address("fe80::9")


@pytest.mark.parametrize("text", ["", "198.51.100.9", f"{TEXT} 1", "host 1 192.0.2.1 22", TEXT.replace("22", "x"), TEXT + "2222"])
def test_what_is_no_login(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_login(text)


def process(proc: Path, pid: int, parent: int, **environment: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "environ").write_bytes(b"".join(f"{name}={value}\0".encode() for name, value in environment.items()))
    (folder / "stat").write_text(f"{pid} (a) 1 (b) S {parent} {pid} 0\n")


def test_a_login_is_found_above_sudo(tmp_path: Path) -> None:
    process(tmp_path, os.getpid(), 20, SUDO_USER="noc")
    process(tmp_path, 20, 10)
    process(tmp_path, 10, 1, SSH_CONNECTION=TEXT)
    assert own_login(tmp_path) == LOGIN


def test_the_nearest_login_counts(tmp_path: Path) -> None:
    process(tmp_path, os.getpid(), 10, SSH_CONNECTION=TEXT)
    process(tmp_path, 10, 1, SSH_CONNECTION="192.0.2.99 1 192.0.2.1 22")
    assert own_login(tmp_path) == LOGIN


def test_a_console_is_no_login_nor_is_what_cannot_be_read(tmp_path: Path) -> None:
    assert own_login(tmp_path) is None
    process(tmp_path, os.getpid(), 1)
    assert own_login(tmp_path) is None
    (tmp_path / str(os.getpid()) / "environ").write_bytes(b"SSH_CONNECTION=nonsense\0")
    assert own_login(tmp_path) is None


def test_a_chain_of_processes_that_goes_round_ends(tmp_path: Path) -> None:
    process(tmp_path, os.getpid(), os.getpid())
    assert own_login(tmp_path) is None


def record(kind: int, pid: int, address: str | None) -> bytes:
    packed = b"" if address is None else ip_address(address).packed
    if struct.calcsize("P") == 8 and logins._RECORD.size == 384:
        return struct.pack("=hxxi32s4s32s256shhiii16s20x", kind, pid, b"pts/0", b"0", b"noc", b"host", 0, 0, 0, 0, 0, packed)
    return struct.pack("=hxxi32s4s32s256shhqqq16s20x4x", kind, pid, b"pts/0", b"0", b"noc", b"host", 0, 0, 0, 0, 0, packed)


def test_who_is_logged_in(tmp_path: Path) -> None:
    utmp = tmp_path / "utmp"
    own = os.getpid()
    gone = 2**22 + 1  # beyond the largest pid that Linux gives (PID_MAX_LIMIT)
    records = [
        record(USER, own, "198.51.100.9"),
        record(USER, own, "2001:db8::9"),
        record(USER, own, "198.51.100.9"),
        record(USER, own, None),  # at the console
        record(DEAD, own, "192.0.2.66"),
        record(USER, gone, "192.0.2.67"),
    ]
    utmp.write_bytes(b"".join(records) + b"torn")
    assert present_logins(utmp) == (ip_address("198.51.100.9"), ip_address("2001:db8::9"))
    assert present_logins(tmp_path / "none") == ()
