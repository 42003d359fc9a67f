"""What the process that downloads can do: nothing but to speak to the network and to write one file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.fetch.client import Request, fetch
from tests.fetch.authority import Authority
from tests.fetch.processes import CAPABILITIES, NOBODY, children, status, until
from tests.fetch.server import Server, trickle
from tests.tiers import missing_for_namespaces

NETLINK_NETFILTER = 12  # linux/netlink.h

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose privileges are given up here")


@pytest.fixture
def seen(server: Server, authority: Authority, tmp_path: Path) -> Callable[[Callable[[int, int], None]], None]:
    """Looks at the process in the middle of a download; the look gets its number and that of the file's descriptor."""

    async def scene(look: Callable[[int, int], None]) -> None:
        server.pages["/list"] = trickle
        with (tmp_path / "fetched").open("wb") as into:
            task = asyncio.create_task(fetch(Request(server.url(), largest=2**21, ca=authority.pem, seconds=20), into))
            await until(lambda: server.asked)
            (pid,) = children()
            look(pid, into.fileno())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return lambda look: asyncio.run(scene(look))


def test_it_has_no_capability_and_can_gain_none(seen: Callable[[Callable[[int, int], None]], None]) -> None:
    def look(pid: int, _descriptor: int) -> None:
        found = status(pid)
        assert {name: found[name] for name in CAPABILITIES} == dict.fromkeys(CAPABILITIES, "0" * 16)
        assert found["NoNewPrivs"] == "1"
        assert found["Seccomp"] == "2"  # a filter
        user = NOBODY if os.geteuid() == 0 else os.geteuid()
        assert found["Uid"].split() == [str(user)] * 4
        if os.geteuid() == 0:
            assert found["Gid"].split() == [str(NOBODY)] * 4
            assert found["Groups"] == ""

    seen(look)


def test_it_inherits_the_file_and_nothing_else(seen: Callable[[Callable[[int, int], None]], None], tmp_path: Path) -> None:
    def look(pid: int, descriptor: int) -> None:
        open_now = {int(path.name): str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
        assert open_now.keys() >= {0, 1, 2, descriptor}
        assert open_now[descriptor] == str(tmp_path / "fetched")
        (connection,) = open_now.keys() - {0, 1, 2, descriptor}
        connections = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        assert open_now[connection] in [f"socket:[{line.split()[9]}]" for line in connections]

    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as owner, tempfile.TemporaryFile() as other:
        os.set_inheritable(owner.fileno(), True)
        os.set_inheritable(other.fileno(), True)
        seen(look)


def test_it_has_little_of_the_daemons_surroundings(
    seen: Callable[[Callable[[int, int], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(pid: int, _descriptor: int) -> None:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        names = {each.partition(b"=")[0].decode() for each in environment.split(b"\0")} - {""}
        assert "no_proxy" in names
        assert names <= {"PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}
        assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
        assert os.getsid(pid) == pid
        assert status(pid)["Umask"] == "0077"
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        hard = {line[:26].strip(): line[26:].split()[1] for line in limits[1:]}
        assert hard["Max core file size"] == hard["Max processes"] == "0"
        assert hard["Max file size"] == str(2**21 + 4096)
        assert int(hard["Max address space"]) <= 2**29
        assert int(hard["Max cpu time"]) <= 25

    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    seen(look)


# A batch that makes a table, in a network namespace of its own; what the kernel says to it, as an error's number.
BATCH = """
import ctypes, json, os, socket, struct
from edged.fetch import confine, messages, privileges

def message(kind, flags, family, resource, attributes=b""):
    return struct.pack("=IHHIIBBH", 20 + len(attributes), kind, flags, 1, 0, family, 0, socket.htons(resource)) + attributes

def batch():
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as opened:  # NETLINK_NETFILTER
            opened.settimeout(5)
            name = struct.pack("=HH4s", 8, 1, b"mine")  # NFTA_TABLE_NAME
            # NFNL_MSG_BATCH_BEGIN, NFT_MSG_NEWTABLE with NLM_F_ACK, NFNL_MSG_BATCH_END
            opened.send(message(16, 1, 0, 10) + message(10 << 8, 5, 1, 0, name) + message(17, 1, 0, 10))
            return struct.unpack_from("=i", opened.recv(4096), 16)[0]
    except OSError as refused:
        return refused.errno

if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
    raise SystemExit("no network namespace")
said = {"root": batch()}
privileges.give_up(None)
said["unprivileged"] = batch()
confine.confine(messages.Order("", "", "", 1, 1, ""))
said["confined"] = batch()
for name in ("AF_UNIX", "AF_PACKET", "AF_INET", "AF_INET6"):
    try:
        socket.socket(getattr(socket, name), socket.SOCK_DGRAM).close()
        said[name] = 0
    except OSError as refused:
        said[name] = refused.errno
ctypes.CDLL(None, use_errno=True).syscall(425, 1, 0)  # io_uring_setup
said["ring"] = ctypes.get_errno()
try:
    os.fork()
    said["fork"] = 0
except OSError as refused:
    said["fork"] = refused.errno
print(json.dumps(said))
"""


def test_the_kernel_refuses_it_a_batch() -> None:
    if reason := missing_for_namespaces():
        pytest.skip(reason)
    done = subprocess.run([sys.executable, "-I", "-B", "-c", BATCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said == {
        "root": 0,
        "unprivileged": -1,  # EPERM, as nfnetlink answers it
        "confined": 1,  # EPERM, of socket(2)
        "AF_UNIX": 1,
        "AF_PACKET": 1,
        "AF_INET": 0,
        "AF_INET6": 0,
        "ring": 1,
        "fork": 11,  # EAGAIN of RLIMIT_NPROC
    }


@as_root
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("os.setresuid = lambda *users: None; privileges.keep_capabilities = lambda kept: True", "CapEff .*CapPrm .*it is root"),
        ("os.setresuid = lambda *users: None", r"\(it is root\)"),
        ("privileges.gain_nothing = lambda: None", r"\(no_new_privs is not set\)"),
        ("privileges.NOBODY = 0", r"\(it is root\)"),
    ],
)
def test_it_does_not_go_on_where_it_kept_a_privilege(fault: str, said: str) -> None:
    script = f"import os; from edged.fetch import privileges; {fault}; privileges.give_up(None)"
    done = subprocess.run([sys.executable, "-I", "-B", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edged.privileges.NotGivenUp: it still has privileges")
    assert re.search(said, last), last
