"""One life of a Debian machine: systemd boots it from a disk, by systemd-nspawn, in the network namespace of the lab's gateway.

Its interfaces are down and without addresses until its own network unit has brought them up, as on any machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

from edged.kernel.namespace import NAMESPACES
from edged.lab.topology import Topology
from tests.systemd.cgroups import groups
from tests.systemd.disk import ENVIRONMENT, NETWORK, ROOT, Disk

DEVICES = ("lan0", "wan0")
POOL = 2048  # rules.d/50-caps.yaml
_PATIENCE = 60.0  # seconds that anything may take
_POWER_OFF = signal.SIGRTMIN + 4  # systemd(1): as systemctl start poweroff.target

# control groups of its own: with no manager to ask for any, nspawn stays in those that it was started in
_START = 'for group in $OWN_GROUPS; do echo $$ >"$group/cgroup.procs"; done; exec "$@"'
# the network namespace is the gateway's: nspawn is started in it, and told that the machine may have it for its own
_PLACE = (f"--directory={ROOT}", "--network-namespace-path=/proc/self/ns/net", "--capability=CAP_NET_ADMIN")
_NSPAWN = ("systemd-nspawn", "--boot", "--quiet", "--register=no", "--keep-unit", "--console=read-only")


class Machine:
    """The machine from power on to power off; the topology's gateway must not have been booted before."""

    def __init__(self, disk: Disk, topology: Topology) -> None:
        self.disk = disk
        self.topology = topology
        self.leader = 0  # its process 1, as the one that the tests run on numbers it

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.take_down()
            self._nspawn = self._power_on(undo)
            self._await_systemd()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.power_off()
        self._undo.close()

    def take_down(self) -> None:
        """The interfaces down and without addresses, as they are before a boot."""
        for device in DEVICES:
            self.topology.gateway.run(["ip", "link", "set", device, "down"], check=True)
            self.topology.gateway.run(["ip", "address", "flush", "dev", device], check=True)

    def power_off(self) -> None:
        """Shut it down in good order."""
        if self._nspawn.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.leader, _POWER_OFF)
            self._nspawn.wait(_PATIENCE)

    def run(self, argv: Sequence[object], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine, as root."""
        done = subprocess.run(self._inside(argv), capture_output=True, text=True, check=False, timeout=_PATIENCE)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}{self.journal()}"
        return done

    def popen(self, argv: Sequence[object]) -> subprocess.Popen[str]:
        """Start a command on the machine."""
        return subprocess.Popen(
            self._inside(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def show(self, name: str, unit: str = "edged") -> str:
        """A property of a unit (systemctl show)."""
        return self.run(["systemctl", "show", "--value", f"--property={name}", unit]).stdout.strip()

    @property
    def main_pid(self) -> int:
        """The daemon's process, as the machine numbers it."""
        return int(self.show("MainPID"))

    def moment(self, name: str, unit: str = "edged") -> float:
        """When that happened, by time.monotonic(); 0 where it has not."""
        return int(self.show(f"{name}TimestampMonotonic", unit)) / 1e6

    def await_active(self, unit: str = "edged") -> None:
        """Until a unit is active; edged is when it has said READY."""
        self.await_(lambda: self.show("ActiveState", unit) == "active")

    def await_(self, what: Callable[[], bool]) -> None:
        """Until that is so."""
        until = time.monotonic() + _PATIENCE
        while not what():
            assert time.monotonic() < until, f"not so after {_PATIENCE} s: {self.journal()}"
            time.sleep(0.02)

    def await_network(self) -> None:
        """Until edged is ready and the interfaces are up."""
        self.await_active()
        self.await_active(NETWORK)
        self.topology.await_links()

    def rules(self) -> str:
        """Our table as nft prints it, but for counts, times and who owns it."""
        listed = self.topology.gateway.run(["nft", "-s", "list", "table", "inet", "edged"]).stdout
        return re.sub(r" (timeout|expires) \d\S*| # progname .*|\n\tflags .*", "", listed)

    def await_shaped(self) -> None:
        """Until all classes of the shipped pool, and the line's, are on both interfaces."""
        self.await_(lambda: all(self._classes(device) == POOL + 1 for device in DEVICES))

    def status(self) -> Any:
        """`edged status --json`."""
        return json.loads(self.run(["edged", "status", "--json"], check=False).stdout)  # its exit code says "degraded"

    def journal(self, *arguments: str, unit: str = "edged") -> str:
        """What the unit, and systemd of it, wrote."""
        argv = ["journalctl", "--boot", "--output=cat", f"--unit={unit}", *arguments]
        return subprocess.run(self._inside(argv), capture_output=True, text=True, check=False).stdout

    def processes(self) -> dict[int, dict[str, str]]:
        """The unit's processes, and what /proc/PID/status says of each."""
        found = {}
        for process in Path(f"/proc/{self.leader}/root/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                if "/edged.service" in (process / "cgroup").read_text():
                    lines = (process / "status").read_text().splitlines()
                    found[int(process.name)] = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return found

    def _classes(self, device: str) -> int:
        return self.topology.gateway.run(["tc", "class", "show", "dev", device]).stdout.count("class htb ed:")

    def _inside(self, argv: Sequence[object]) -> list[str]:
        return ["nsenter", f"--target={self.leader}", "--all", "--", *ENVIRONMENT, *map(str, argv)]

    def _power_on(self, undo: ExitStack) -> subprocess.Popen[bytes]:
        name = self.topology.gateway.netns
        own = undo.enter_context(groups(name))
        # without it nspawn mounts /proc/sys/net read only (NSPAWN.md: SYSTEMD_NSPAWN_API_VFS_WRITABLE)
        environment = {**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", "OWN_GROUPS": " ".join(map(str, own))}
        namespaces = [f"--mount={self.disk.mounts}", f"--net={NAMESPACES / name}"]
        argv = ["nsenter", *namespaces, "setpriv", "--pdeathsig", "KILL", "sh", "-c", _START, "start"]
        self._console = TemporaryFile("w+")  # noqa: SIM115  as long as the machine runs
        undo.callback(self._console.close)
        process = subprocess.Popen(
            [*argv, *_NSPAWN, *_PLACE], stdin=subprocess.DEVNULL, stdout=self._console, stderr=self._console, env=environment
        )
        undo.callback(process.wait)
        undo.callback(process.kill)
        return process

    def _await_systemd(self) -> None:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self._nspawn.poll() is None:
            for child in children.read_text().split():
                if _is_first(child) and Path(f"/proc/{child}/root/run/systemd/private").exists():
                    self.leader = int(child)
                    return
            time.sleep(0.005)
        self._console.seek(0)
        raise AssertionError(f"the machine did not boot: {self._console.read()}")


def _is_first(pid: str) -> bool:
    """Whether that is process 1 of a machine, and not one of nspawn's own on the way there."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return re.search(r"^NSpid:.*\t1$", status, re.MULTILINE) is not None
