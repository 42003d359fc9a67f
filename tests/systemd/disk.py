"""The disk of a Debian machine with edged installed from the wheel: a cached root below, and what it writes in memory above.

The mounts are in a namespace of their own, which ends with the process that holds it: nothing of them is left.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from edged.lab.topology import gateway_commands
from tests.systemd.debian import CHECKOUT, PATH, VENV, debian_root

ENVIRONMENT = ("env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/root")
ROOT = "/mnt/root"  # where the holder's namespace has the disk

_HOLD = """
set -e
mount -t tmpfs -o mode=755 edged /mnt
mkdir /mnt/above /mnt/work {root}
mount -t overlay -o lowerdir="$1",upperdir=/mnt/above,workdir=/mnt/work edged {root}
echo mounted
read -r _ || true
"""

# what switches forwarding on on most gateways, and what brings the interfaces up: ifupdown, systemd-networkd and NetworkManager
# are ordered as this unit is
_SYSCTLS = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
NETWORK = "interfaces.service"
_NETWORK_UNIT = """\
[Unit]
Description=Interfaces, addresses and routes of the gateway
After=network-pre.target
Before=network.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/ip -batch /etc/interfaces.batch

[Install]
WantedBy=multi-user.target
"""


class Disk:
    """A machine's files from entering the context to leaving it, over as many boots as one likes."""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            debian = undo.enter_context(debian_root())
            argv = ["unshare", "--mount", "sh", "-c", _HOLD.format(root=ROOT), "hold", str(debian)]
            self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            undo.callback(self._let_go)
            assert self._holder.stdout is not None
            assert self._holder.stdout.readline() == "mounted\n"
            self._put_network()
            self._put_wheel()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    @property
    def mounts(self) -> str:
        """The mount namespace in which ROOT is."""
        return f"/proc/{self._holder.pid}/ns/mnt"

    def path(self, name: str) -> Path:
        """A file of the machine's, by its absolute name there."""
        return Path(f"/proc/{self._holder.pid}/root{ROOT}{name}")

    def run(self, argv: Sequence[object], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on the disk while nothing is booted from it."""
        inside = ["nsenter", f"--mount={self.mounts}", *ENVIRONMENT, "chroot", ROOT, *map(str, argv)]
        done = subprocess.run(inside, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    @property
    def install(self) -> str:
        """systemd/install as the wheel brought it."""
        (found,) = self.path(VENV).glob("lib/python3*/site-packages/edged/share/systemd/install")
        return f"{VENV}/{found.relative_to(self.path(VENV))}"

    def serve(self) -> None:
        """Make edged a service that starts at the next boot, with the shipped example."""
        self.run([self.install])
        self.run(["systemctl", "enable", "edged"])

    def write(self, name: str, old: str, new: str) -> None:
        """Change a file of the machine's."""
        text = self.path(name).read_text()
        assert old in text
        self.path(name).write_text(text.replace(old, new))

    def _put_network(self) -> None:
        self.path("/etc/sysctl.d/90-forwarding.conf").write_text(_SYSCTLS)
        self.path("/etc/interfaces.batch").write_text("".join(f"{line}\n" for line in gateway_commands()))
        self.path(f"/etc/systemd/system/{NETWORK}").write_text(_NETWORK_UNIT)
        self.run(["systemctl", "enable", NETWORK])

    def _put_wheel(self) -> None:
        with TemporaryDirectory() as folder:
            wheel_alone = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(CHECKOUT)]
            subprocess.run([sys.executable, "-m", "pip", *wheel_alone], check=True, capture_output=True)
            (wheel,) = Path(folder).iterdir()
            shutil.copy(wheel, self.path("/root"))
        self.run([f"{VENV}/bin/pip", "install", "--quiet", "--no-index", "--no-deps", f"/root/{wheel.name}"])

    def _let_go(self) -> None:
        self._holder.communicate()
