"""The state folder on a full disk, a read-only one, gone, and with every file in it damaged: the policy is enforced."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edged.control.client import DaemonRefused
from tests.netns.daemon_process import Daemon, eventually
from tests.promises import Measured

OP25B = "rules.d/20-op25b.yaml"
_FULL = 4096  # blocks of the disk that are written to it until none is left


class Disk:
    """A small file system of its own under the daemon's state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._run("mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "edged-test", str(folder))

    @staticmethod
    def _run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def fill(self) -> None:
        """Nothing more can be written."""
        with (self.folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            for _ in range(_FULL):
                filler.write(bytes(4096))
        assert os.statvfs(self.folder).f_bavail == 0

    def clear(self) -> None:
        """There is room again."""
        (self.folder / "filler").unlink()

    def lock(self, how: str, pid: int) -> None:
        """`ro` or `rw`, as that process sees it."""
        self._run("nsenter", "--target", str(pid), "--mount", "mount", "-o", f"remount,{how}", str(self.folder))

    def remove(self) -> None:
        self._run("umount", "--lazy", str(self.folder))


@pytest.fixture
def disk(daemon: Daemon) -> Iterator[Disk]:
    made = Disk(daemon.folder / "state")
    try:
        yield made
    finally:
        made.remove()


def degraded(daemon: Daemon) -> dict[str, str]:
    return {each["what"]: each["why"] for each in daemon.client.status()["degraded"]}


def observes(daemon: Daemon) -> bool:
    return "op25b_up_ip_observe" in daemon.table()


def change_all(daemon: Daemon) -> None:
    """Another policy, and another list."""
    daemon.write(OP25B, "mode: enforce", "mode: observe")
    (daemon.folder / "lists/authority.txt").write_text("192.0.2.77\n2001:db8:a::77\n")


@pytest.mark.promise(14)
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_disk_that_takes_nothing_keeps_no_policy_from_being_enforced(
    daemon: Daemon, disk: Disk, how: str, measured: Measured
) -> None:
    daemon.start()
    good = (disk.folder / "last-good.json").read_bytes()
    kept = (disk.folder / "lists/authority.list").read_bytes()
    if how == "full":
        disk.fill()
    else:
        disk.lock("ro", daemon.process.pid)
    change_all(daemon)
    began = time.monotonic()
    daemon.client.reload()
    took = time.monotonic() - began
    assert observes(daemon)
    assert daemon.client.blocklist_test("192.0.2.77")["blocked"]
    why = "No space left on device" if how == "full" else "Read-only file system"
    found = degraded(daemon)
    assert {what: why in found[what] for what in found} == {"state folder": True, "lists": True}
    assert daemon.client.status()["in_sync"]
    # a good file is never replaced by half of one, and what could not be finished takes no room
    assert (disk.folder / "last-good.json").read_bytes() == good
    assert (disk.folder / "lists/authority.list").read_bytes() == kept
    assert not list(disk.folder.glob("**/.*.new"))
    with pytest.raises(DaemonRefused, match="nothing was applied"):
        daemon.client.apply(60.0)

    daemon.kill()
    daemon.start(owner=daemon.systemd.kept["nft"])
    assert observes(daemon)
    assert daemon.client.status()["in_sync"]
    if how == "full":
        disk.clear()
    else:
        disk.lock("rw", daemon.process.pid)
    daemon.client.reload()
    (daemon.folder / "lists/authority.txt").write_text("192.0.2.78\n2001:db8:a::78\n")
    eventually(lambda: degraded(daemon) == {})
    assert "mode: observe" in (disk.folder / "last-good.json").read_text()
    measured(f"{how} disk: the change was in force after {took:.1f} s, a restart too; no file was harmed")


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _random(file: Path) -> None:
    file.write_bytes(random.Random(file.name).randbytes(4096))


def _nested(file: Path) -> None:
    file.write_text("[" * 100_000)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _forbidden(file: Path) -> None:
    """Of another user, and for that one alone."""
    file.chmod(0o600)
    os.chown(file, 65534, 65534)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "random": _random,
    "forbidden": _forbidden,
    "truncated": _truncated,
    "nested": _nested,
    "folder": _folder,
}
IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
TRIED = tuple(DAMAGES) if IS_LONG else ("random", "forbidden")  # a start each; tests/unit/test_state.py reads them all


@pytest.mark.promise(14)
def test_no_damage_to_the_state_folder_keeps_a_start_from_enforcing(daemon: Daemon, measured: Measured) -> None:
    # root's own files are its own, and what is another's is closed to it, as to the unit's user
    daemon.wrapper = ("setpriv", "--bounding-set", "-all,+net_admin,+setuid,+setgid,+setpcap", "--inh-caps", "-all")
    state = daemon.folder / "state"
    daemon.start()
    files = ["last-good.json", "confirm.json", "rejected.json", "lists/authority.list", "lists/drop.list", "lists/key"]
    for kind in TRIED:
        daemon.kill()
        for name in files:
            path = state / name
            if path.is_dir():
                path.rmdir()
            if not path.exists():
                path.write_text("{}")
            DAMAGES[kind](path)
        daemon.start(owner=daemon.systemd.kept["nft"])
        status = daemon.client.status()
        assert (status["in_sync"], status["enforcing"]) == (True, True)
        assert "op25b_up" in daemon.table()
        assert daemon.client.blocklist_test("192.0.2.66")["blocked"]
        for name in ("last-good.json", "lists/authority.list"):
            assert str(state / name) in daemon.log()
    daemon.kill()
    shutil.rmtree(state)
    daemon.start(owner=daemon.systemd.kept["nft"])
    assert json.loads((state / "last-good.json").read_text())["schema"]
    shutil.rmtree(state)  # under a running daemon
    daemon.client.reload()
    assert json.loads((state / "last-good.json").read_text())["schema"]
    assert degraded(daemon) == {}
    measured(f"{len(TRIED)} kinds of damage to each of {len(files)} files of the state folder, and none left: enforced at once")
