"""Where edged may lie and who may run it: root's own folder, a wheel's place, and the unit's user with its sandbox."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import edged
from edged.fetch.messages import Order, understood
from tests.fetch.authority import Authority
from tests.fetch.processes import CAPABILITIES, NOBODY
from tests.fetch.server import Server, content, redirect, trickle
from tests.tiers import missing_for_namespaces

NETWORK_ADMINISTRATOR = f"{1 << 12:016x}"  # CAP_NET_ADMIN of capabilities(7), as /proc shows it

# The process itself, which tells at its end what it imported after it had given up its privileges.
LATE_IMPORTS = """
import sys
from edged.fetch import __main__ as child
before = set()
give_up = child.give_up
def remembered(anew):
    give_up(anew)
    before.update(sys.modules)
child.give_up = remembered
child.main()
print(*(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/list", "Fetched"),
        ("/moved", "Fetched"),
        ("/absent", "404"),
        ("/trickle", "took longer"),
        ("//name.invalid/", "cannot be resolved"),
        ("//\u00e9.invalid/", "cannot be resolved"),
    ],
)
def test_it_imports_nothing_once_it_is_nobody(server: Server, authority: Authority, tmp_path: Path, path: str, said: str) -> None:
    server.pages |= {"/list": content(b"1"), "/moved": redirect("/list"), "/trickle": trickle}
    server.pages["/absent"] = lambda handler: handler.head(404, Content_Length="0")
    url = f"https:{path}" if path.startswith("//") else server.url(path)
    order = Order(url, "", "", 2**21, 1, authority.pem.read_text())
    with (tmp_path / "fetched").open("wb") as into:
        command = [sys.executable, "-I", "-B", "-c", LATE_IMPORTS, str(into.fileno())]
        done = subprocess.run(command, input=order.line(), pass_fds=(into.fileno(),), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said in str(understood(done.stdout))
    assert done.stderr.strip() == b""


@contextmanager
def installed(python: str, mode: int) -> Iterator[str]:
    """The interpreter of a virtual environment that edged is installed in as a wheel would be, in a folder of that mode."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (packages,) = folder.glob("venv/lib/python*/site-packages")
        shutil.copytree(Path(edged.__file__).parent, packages / "edged", ignore=shutil.ignore_patterns("__pycache__"))
        folder.chmod(mode)
        yield str(folder / "venv/bin/python")


FETCH = """
import asyncio, pathlib, sys, tempfile
from edged.fetch.client import Request, fetch
with tempfile.TemporaryFile() as into:
    print(asyncio.run(fetch(Request(sys.argv[1], ca=pathlib.Path(sys.argv[2])), into)))
"""


def test_nobody_need_be_able_to_read_edged(server: Server, authority: Authority) -> None:
    server.pages["/list"] = content(b"1")
    with installed(sys.executable, 0o700) as python:
        command = [str(python), "-I", "-B", "-c", FETCH, server.url(), str(authority.pem)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "Fetched(etag='', last_modified='', size=1)\n", done.stderr


# A daemon as the unit runs it: an ordinary user with CAP_NET_ADMIN in its ambient set, and capset(2) refused by a filter.
UNIT = """
import asyncio, ctypes, json, os, pathlib, platform, struct, sys, tempfile
from edged.fetch.client import Request, fetch
sys.path.insert(0, sys.argv[4])
from processes import children, status, until

capset = {"x86_64": 126, "aarch64": 91, "riscv64": 91, "armv7l": 185}[platform.machine()]
steps = ((0x20, 0, 0, 0), (0x15, 0, 1, capset), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000))
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
header = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(program)))
assert ctypes.CDLL(None).prctl(22, 2, header, 0, 0) == 0
pem = pathlib.Path(sys.argv[3])

async def main():
    with tempfile.TemporaryFile() as into:
        whole = str(await fetch(Request(sys.argv[1], ca=pem), into))
    filters = int(status(os.getpid())["Seccomp_filters"])
    with tempfile.TemporaryFile() as into:
        task = asyncio.create_task(fetch(Request(sys.argv[2], ca=pem), into))
        await until(lambda: any(int(status(pid)["Seccomp_filters"]) > filters for pid in children()))
        (pid,) = children()
        child = status(pid)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    print(json.dumps({"whole": whole, "child": child, "daemon": status(os.getpid())}))

asyncio.run(main())
"""


def for_everyone() -> str | None:
    """An interpreter that edged runs on and that every user may start."""
    # setpriv itself may start what nobody may not
    fits = "import os, sys, venv; sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for python in (sys.executable, "/usr/bin/python3"):
        probe = subprocess.run([*as_nobody, python, "-I", "-c", fits], cwd="/", capture_output=True, check=False)
        if probe.returncode == 0:
            return python
    return None


def test_under_the_unit_it_starts_itself_anew(server: Server, authority: Authority) -> None:
    if reason := missing_for_namespaces():
        pytest.skip(reason)
    server.pages |= {"/list": content(b"1"), "/trickle": trickle}
    if (python := for_everyone()) is None:
        pytest.skip("needs a Python from 3.11 on that every user may start, with venv: apt-get install python3-venv")
    with installed(python, 0o755) as interpreter, tempfile.NamedTemporaryFile() as pem:
        pem.write(authority.pem.read_bytes())
        pem.flush()
        Path(pem.name).chmod(0o644)
        sets = ("--inh-caps=+net_admin", "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin", "--no-new-privs")
        command = [
            "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            *sets,
            interpreter,
            "-I",
            "-B",
            "-c",
            UNIT,
        ]
        arguments = [server.url(), server.url("/trickle"), pem.name, interpreter.rpartition("/venv/")[0]]
        shutil.copy(Path(__file__).parent / "processes.py", arguments[3])
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["whole"] == "Fetched(etag='', last_modified='', size=1)"
    assert {name: said["daemon"][name] for name in CAPABILITIES} == dict.fromkeys(CAPABILITIES, NETWORK_ADMINISTRATOR)
    # the inheritable set stays, as edged/fetch/privileges.py says, and gives nothing: what runs was started with it
    none = "0" * 16
    expected = {"CapInh": NETWORK_ADMINISTRATOR, "CapPrm": none, "CapEff": none, "CapAmb": none, "NoNewPrivs": "1"}
    assert {name: said["child"][name] for name in expected} == expected
