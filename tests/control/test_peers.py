"""Who may do what on the control socket, with processes of other users and groups at its other end."""

from __future__ import annotations

import grp
import logging
import socket
import subprocess
import sys
import time

import pytest

from edged.control.door import MOST_REFUSED
from edged.control.peer import peer_of
from edged.errors import ExitCode
from tests.control.conftest import GROUPS, Socket

SOMEBODY, NOGROUP = 65533, 65534
OPERATORS, READERS = (grp.getgrnam(name).gr_gid for name in (GROUPS.group, GROUPS.readers))

READS = (("GET", "status"),)
REST = (
    ("GET", "top?limit=5"),
    ("POST", "blocklist/update"),
    ("POST", "reload"),
    ("POST", "apply"),
    ("POST", "confirm"),
    ("POST", "rollback"),
    ("POST", "teardown"),
)


@pytest.mark.parametrize(
    ("uid", "gid", "groups", "allowed"),
    [
        pytest.param(0, 0, (), READS + REST, id="root"),
        pytest.param(SOMEBODY, OPERATORS, (), READS + REST, id="first group of operators"),
        pytest.param(SOMEBODY, NOGROUP, (3, OPERATORS), READS + REST, id="supplementary group of operators"),
        pytest.param(SOMEBODY, READERS, (OPERATORS,), READS + REST, id="both groups"),
        pytest.param(SOMEBODY, READERS, (), READS, id="first group of readers"),
        pytest.param(SOMEBODY, NOGROUP, (READERS,), READS, id="supplementary group of readers"),
        pytest.param(SOMEBODY, NOGROUP, (), (), id="a stranger"),
        pytest.param(SOMEBODY, 0, (), (), id="a stranger in root's group"),
    ],
)
def test_what_a_peer_may_do(control: Socket, uid: int, gid: int, groups: tuple[int, ...], allowed: object) -> None:
    assert isinstance(allowed, tuple)
    for method, target in READS + REST:
        status, answer = control.ask(method, target, uid=uid, gid=gid, groups=groups)
        if (method, target) in allowed:
            assert status == 200, answer
        else:
            assert (status, answer["exit_code"]) == (403, ExitCode.UNREACHABLE)
            assert f"group {GROUPS.group}" in answer["error"] or f"groups {GROUPS.group}" in answer["error"]
    assert len(control.service.asked) == len(allowed)


def test_every_change_is_in_the_log_with_whose_it_was(control: Socket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edged.control")
    control.ask("POST", "reload", uid=SOMEBODY, gid=OPERATORS)
    control.ask("POST", "teardown", uid=SOMEBODY, gid=READERS)
    control.ask("GET", "status", uid=SOMEBODY, gid=NOGROUP)
    done, refused, stranger = (record.getMessage() for record in caplog.records)
    for line, what in ((done, "reload done"), (refused, "teardown refused"), (stranger, "a stranger was refused")):
        assert line.startswith(f"control: {what} (uid {SOMEBODY}, pid ")
        assert line.endswith(", curl)")


def stranger(*arguments: str) -> subprocess.Popen[bytes]:
    """A Python program of somebody's."""
    command = ["/usr/bin/python3", "-I", "-c", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, user=SOMEBODY, group=NOGROUP, extra_groups=[])


def test_a_strangers_bytes_are_parsed_by_nobody(control: Socket, caplog: pytest.LogCaptureFixture) -> None:
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'\\0' * 1000000);"
        "s.shutdown(1); sys.stdout.buffer.write(b''.join(iter(lambda: s.recv(4096), b'')))"
    )
    said, _ = stranger(program, str(control.path)).communicate()
    assert said.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"400" not in said
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_many_strangers_keep_no_operator_out_and_fill_no_log(control: Socket, caplog: pytest.LogCaptureFixture) -> None:
    program = (
        "import socket, sys, time\n"
        "found = []\n"
        "for _ in range(int(sys.argv[2])):\n"
        "    found.append(socket.socket(socket.AF_UNIX)); found[-1].connect(sys.argv[1])\n"
        "print('there', flush=True); time.sleep(30)"
    )
    crowd = stranger(program, str(control.path), str(MOST_REFUSED * 4))
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == b"there\n"
    began = time.monotonic()
    assert control.ask("POST", "reload", uid=0, gid=0)[0] == 200
    assert time.monotonic() - began < 2
    crowd.kill()
    crowd.communicate()
    assert sum("stranger" in record.getMessage() for record in caplog.records) <= 3


def test_the_name_of_a_program_cannot_break_the_log() -> None:
    program = (
        "import ctypes, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('\\0edged-test-peer');"
        "ctypes.CDLL(None).prctl(15, b'a\\nb\\x1b[2J'); print('named', flush=True); sys.stdin.read()"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0edged-test-peer")
        listener.listen()
        named = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert named.stdout is not None
        assert named.stdout.readline() == b"named\n"
        connection, _ = listener.accept()
        with connection:
            assert peer_of(connection).program == "a?b?[2J"
            named.communicate(b"")
            assert peer_of(connection).program == ""  # it has ended, and its number may be another's
