"""Debian's stock kernel in a cache folder: downloaded once with apt-get, and only the modules that a gateway's tests can need.

The folder is `$XDG_CACHE_HOME/edged/stock-kernel` (`~/.cache/...`); removing it makes the next run fetch the kernel anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

META_PACKAGE = "linux-image-amd64"
KEPT = re.compile(
    r"lib/modules/[^/]+/(modules\.\w+$"
    r"|kernel/(net|crypto|lib|arch|drivers/virtio)/"
    r"|kernel/fs/(9p|netfs|fscache|overlayfs)/"
    r"|kernel/drivers/char/virtio_console"
    r"|kernel/drivers/net/[^/]+$)"
)


class KernelUnavailableError(Exception):
    """There is no kernel in the cache and none can be had; the text says why."""


@dataclass(frozen=True, slots=True)
class KernelImage:
    """A bootable kernel and its modules."""

    release: str
    vmlinuz: Path
    modules: Path  # the folder lib/modules/RELEASE


def cache_folder() -> Path:
    """Where kernels are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edged" / "stock-kernel"


def cached() -> KernelImage | None:
    """The kernel of an earlier run."""
    for vmlinuz in sorted(cache_folder().glob("*/vmlinuz"), reverse=True):
        release = vmlinuz.parent.name
        return KernelImage(release, vmlinuz, vmlinuz.parent / "lib/modules" / release)
    return None


def fetch() -> KernelImage:
    """The cached kernel, or Debian's current one, downloaded, unpacked and put in its place in one rename."""
    if image := cached():
        return image
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetch.") as work:
        Path(work).chmod(0o755)  # apt-get downloads as the user _apt where it can
        package = _package()
        print(f"stock_kernel: downloading {package}", file=sys.stderr, flush=True)
        _run(["apt-get", "-q", "download", package], cwd=work)
        (deb,) = Path(work).glob("*.deb")
        release = _unpack(deb, Path(work) / "kernel")
        _run(["depmod", "-b", f"{work}/kernel", release])
        if not (cache_folder() / release).exists():
            (Path(work) / "kernel").rename(cache_folder() / release)
    image = cached()
    assert image is not None
    return image


def _package() -> str:
    """The package that holds the kernel itself, which the one without a version in its name depends on."""
    for attempt in (1, 2):
        answer = subprocess.run(["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True, check=False)
        if found := re.search(r"^ *Depends: (linux-image-\S+)$", answer.stdout, re.MULTILINE):
            return found[1]
        if attempt == 1:
            _run(["apt-get", "-q", "update"])
    raise KernelUnavailableError(f"apt knows no {META_PACKAGE} here")


def _unpack(deb: Path, folder: Path) -> str:
    """Unpacks what is kept of a kernel package; returns the kernel's release."""
    releases = set()
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpacker,
        tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive,
    ):
        for member in archive:
            name = member.name.removeprefix("./").removeprefix("usr/")
            if member.isfile() and (name.startswith("boot/vmlinuz-") or KEPT.match(name)):
                if name.startswith("boot/vmlinuz-"):
                    releases.add(name.removeprefix("boot/vmlinuz-"))
                    name = "vmlinuz"
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None
                with target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    (release,) = releases
    return release


def _run(command: list[str], cwd: str | None = None) -> None:
    answer = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise KernelUnavailableError(f"`{' '.join(command)}` failed: {answer.stderr.strip() or answer.stdout.strip()}")
