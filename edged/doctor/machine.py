"""What edged needs of the machine around the kernel: rights, folders, the daemon, programs and packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edged.control.client import ControlClient, NoDaemon
from edged.doctor.finding import Finding, Grade
from edged.errors import EdgedError

_AREA = "machine"
_CAP_NET_ADMIN = 1 << 12  # linux/capability.h
_STORE_PRESERVED = 254  # systemd.service(5): FileDescriptorStorePreserve=

# package: what edged uses it for, and what is lost without it where edged itself goes on
PACKAGES = {
    "aiohttp": ("the daemon's control socket", ""),
    "click": ("the command line", ""),
    "cryptography": ("host names in QUIC's first packets", ""),
    "numpy": ("blocklists of a million entries", ""),
    "prometheus_client": ("the metrics page", ""),
    "publicsuffixlist": ("the hosts of streaming services", ""),
    "pydantic": ("the configuration", ""),
    "pyroute2": ("netlink", ""),
    "PyYAML": ("the configuration", ""),
    "rich": ("tables on the terminal", ""),
    "aiosmtpd": ("the mail server of edged lab", "edged lab does not run: pip install 'edged[lab]'"),
}


def capability(status: Path = Path("/proc/self/status")) -> Finding:
    """CAP_NET_ADMIN in this process."""
    name, purpose = "CAP_NET_ADMIN", "programming the kernel's rules"
    found = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("CapEff:")), "0")
    if int(found, 16) & _CAP_NET_ADMIN:
        return Finding(_AREA, name, Grade.OK, "held", purpose)
    return Finding(
        _AREA, name, Grade.MISSING, "not held", purpose, "nothing can be applied or looked at: run this as root (sudo)"
    )


def interfaces(absent: tuple[str, ...], wanted: tuple[str, ...]) -> Iterator[Finding]:
    """The interfaces of the configuration."""
    for name in wanted:
        purpose = "an interface of the configuration"
        if name in absent:
            yield Finding(_AREA, f"interface {name}", Grade.MISSING, "not there", purpose, "its rules wait for it to appear")
        else:
            yield Finding(_AREA, f"interface {name}", Grade.OK, "there", purpose)


def state_folder(path: Path) -> Finding:
    """Whether the state folder can be written, or made."""
    name, purpose = f"state folder {path}", "the last good configuration outlives a restart"
    nearest = next(each for each in (path, *path.parents) if each.exists())
    read_only = bool(os.statvfs(nearest).f_flag & os.ST_RDONLY)  # access(2) says yes to root
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) and not read_only:
        return Finding(_AREA, name, Grade.OK, "writable" if nearest == path else "can be made", purpose)
    why = "on a read-only file system" if read_only else f"{nearest} cannot be written by this user"
    return Finding(
        _AREA, name, Grade.MISSING, why, purpose, "the policy is enforced; a restart or a rollback has the files alone"
    )


def daemon(client: ControlClient) -> Finding:
    """Whether a daemon answers on the control socket."""
    name, purpose = f"daemon on {client.path}", "holds the table, repairs it, counts"
    try:
        status = client.status()
    except NoDaemon:
        instead = "what was applied last stays in force until boot; nobody repairs it: systemctl start edged"
        return Finding(_AREA, name, Grade.WARN, "not running", purpose, instead)
    except EdgedError as error:
        return Finding(_AREA, name, Grade.WARN, "cannot be asked", purpose, str(error))
    return Finding(_AREA, name, Grade.OK, f"edged {status['version']}, pid {status['pid']}", purpose)


def nft_command() -> Finding:
    """The command nft, which edged itself never calls."""
    name, purpose = "command nft", "looking at the rules by hand; edged does not call it"
    path = shutil.which("nft", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))
    if path is None:
        return Finding(_AREA, name, Grade.WARN, "not installed", purpose, "edged works without it: apt-get install nftables")
    return Finding(_AREA, name, Grade.OK, _said(path, "--version"), purpose)


def systemd() -> Finding:
    """The store in systemd of file descriptors, which keeps the owning socket while no daemon runs."""
    name, purpose = "systemd", "keeps the table's owning socket over a restart of the daemon"
    if not Path("/run/systemd/system").is_dir():
        instead = "without it the table keeps its owner only while the daemon runs"
        return Finding(_AREA, name, Grade.WARN, "not the service manager here", purpose, instead)
    said = _said("systemctl", "--version")
    number = next((int(word) for word in said.split() if word.isdecimal()), 0)
    instead = (
        ""
        if number >= _STORE_PRESERVED
        else "below 254 it lets go of the socket at `systemctl stop`; edged leaves the table in force"
    )
    return Finding(_AREA, name, Grade.OK, said, purpose, instead)


def packages() -> Iterator[Finding]:
    """The Python packages that edged imports."""
    for name, (purpose, otherwise) in PACKAGES.items():
        try:
            yield Finding("python", name, Grade.OK, version(name), purpose)
        except PackageNotFoundError:
            grade = Grade.OK if otherwise else Grade.MISSING
            yield Finding("python", name, grade, "not installed", purpose, otherwise or f"pip install {name}")


def _said(*command: str) -> str:
    """The first line that a program prints; empty where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603  two known programs
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip()
