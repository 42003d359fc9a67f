"""A real `edged run` in a namespace, and a stand-in for systemd that hears it and keeps its descriptors."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from edged.control.client import ControlClient
from edged.lab.topology import Host
from tests import secrecy

SHIPPED = Path(__file__).parents[2] / "rules"
CONFIG = """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools:
  dynamic: [203.0.113.0/25, 2001:db8:d::/48]
  static: [203.0.113.64/28, 198.51.100.0/24, 2001:db8:5::/48]
metrics: {listen: "127.0.0.1:9825"}
control: control.sock
state: state
"""
# dup2 in a shell: the descriptors of sd_listen_fds(3) begin at 3 and are for the process that LISTEN_PID names
WITH_OWNER = ["bash", "-c", 'exec 3<&"$0"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=nft exec "$@"']


class Systemd:
    """Hears sd_notify(3) messages, and keeps the descriptors that come with FDSTORE by their names."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.messages: list[str] = []
        self.kept: dict[str, int] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))

    def hear(self, seconds: float) -> str | None:
        """The next message; None where none came in time."""
        self._socket.settimeout(seconds)
        try:
            raw, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 4)
        except TimeoutError:
            return None
        message = raw.decode()
        self.messages.append(message)
        fields = dict(line.split("=", 1) for line in message.splitlines())
        if "FDSTOREREMOVE" in fields:
            self.drop(fields["FDNAME"])
        if descriptors:
            assert (fields["FDSTORE"], len(descriptors)) == ("1", 1)
            self.kept[fields["FDNAME"]] = descriptors[0]
        return message

    def wait_for(self, word: str, seconds: float = 15.0) -> str:
        """The first message with this word from now on."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self.hear(left)
            if message is not None and word in message:
                return message
        raise AssertionError(f"no {word} in {seconds} s; heard: {self.messages}")

    def drop(self, name: str) -> None:
        if name in self.kept:
            os.close(self.kept.pop(name))

    def close(self) -> None:
        for name in list(self.kept):
            self.drop(name)
        self._socket.close()


class Daemon:
    """One configuration in a folder of its own, and the daemon that runs it, again and again."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = Path(mkdtemp(prefix="edged-test-"))
        self.folder.chmod(0o755)
        for name in ("rules.d", "lists", "hosts"):
            shutil.copytree(SHIPPED / name, self.folder / name)
        self.config = self.folder / "edged.yaml"
        self.config.write_text(CONFIG)
        self.systemd = Systemd(self.folder)
        self.client = ControlClient(self.folder / "control.sock")
        self.processes: list[subprocess.Popen[str]] = []
        self.seconds_to_ready = 0.0
        self.patience = 60.0  # seconds that a start may take
        self.lifelines: tuple[bytes, ...] = ()  # far ends of the tests that the gateway itself lives by here
        self.wrapper: tuple[str, ...] = ()  # a command that starts the daemon

    @property
    def process(self) -> subprocess.Popen[str]:
        return self.processes[-1]

    def start(self, *, owner: int | None = None, **environment: str) -> None:
        """Start it and return when it is ready; `owner` is a descriptor to hand over as systemd would."""
        began = time.monotonic()
        self.launch(owner=owner, **environment)
        while "READY=1" not in (self.systemd.hear(0.2) or ""):
            assert self.process.poll() is None, f"the daemon ended: {self.log()}"
            assert time.monotonic() - began < self.patience, f"the daemon is not ready: {self.log()}"
        self.seconds_to_ready = time.monotonic() - began

    def launch(self, *, owner: int | None = None, **environment: str) -> None:
        """Start it without waiting."""
        run = [sys.executable, "-m", "edged", "run", "-c", str(self.config)]
        command = ["ip", "netns", "exec", self.host.netns, *self.wrapper, *run]
        if owner is not None:
            command = [*WITH_OWNER[:3], str(owner), *command]
        with (self.folder / f"log{len(self.processes)}").open("w") as log:
            self.processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    text=True,
                    cwd=Path(__file__).parents[2],
                    env={**os.environ, "NOTIFY_SOCKET": str(self.systemd.path), **environment},
                    pass_fds=() if owner is None else (owner,),
                )
            )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def log(self) -> str:
        """What the last process wrote."""
        return (self.folder / f"log{len(self.processes) - 1}").read_text()

    def write(self, name: str, old: str, new: str) -> None:
        """Change a file of the configuration."""
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def table(self) -> str:
        """Our table as nft prints it with its handles, but for counts and owner; empty where there is none."""
        listed = self.host.run(["nft", "-s", "-a", "list", "table", "inet", "edged"]).stdout
        return re.sub(r" progname .*|\n\tflags .*", "", listed)

    def metrics(self) -> dict[str, float]:
        """The metrics page: series as text -> value."""
        page = self.host.run(["curl", "-sf", "http://127.0.0.1:9825/metrics"], check=True).stdout
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in page.splitlines() if not line.startswith("#")}

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)
        self.systemd.close()
        try:
            secrecy.keep(self.folder, self.lifelines)
        finally:
            shutil.rmtree(self.folder)


def eventually(what: Callable[[], Any], seconds: float = 5.0) -> float:
    """Seconds until `what` was true; fails where it never became so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, f"not so after {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - began
