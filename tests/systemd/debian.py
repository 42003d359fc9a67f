"""A Debian root in a cache folder, made once: systemd and what edged runs on, with a venv in /opt/edged that lacks edged alone.

The Debian packages are of this machine's release, by its own sources and settings of apt; the Python packages are those of
requirements.lock, by its settings of pip, built for the root's Python. The folder is `$XDG_CACHE_HOME/edged/debian-KEY`
(`~/.cache/...`), where the key says all that it was made of; a root that is not used and has another key is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("systemd", "systemd-sysv", "python3", "python3-venv", "nftables", "iproute2")
VENV = "/opt/edged/.venv"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_LOCK = CHECKOUT / "requirements.lock"
_WHEELS = "/root/wheels"


@contextmanager
def debian_root() -> Iterator[Path]:
    """The root, read only; made where there is none. Raises CalledProcessError with what mmdebstrap or pip said."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edged"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"debian-{_key()}"
    with (cache / "debian.lock").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        if not root.exists():
            _make(root)
        used = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(used, fcntl.LOCK_SH)
        _remove_unused(cache, root)
    try:
        yield root
    finally:
        os.close(used)


def _sources() -> list[Path]:
    folder = Path("/etc/apt")
    found = [
        folder / "sources.list",
        *sorted(folder.glob("sources.list.d/*.list")),
        *sorted(folder.glob("sources.list.d/*.sources")),
    ]
    return [path for path in found if path.exists() and path.stat().st_size]


def _settings() -> str:
    """What this machine's apt fetches by: proxies, certificates, what it asks of a mirror."""
    dump = _run(["apt-config", "dump", "--format", '%F "%v";%n', "Acquire"]).splitlines()
    return "".join(f"{line}\n" for line in dump if not line.endswith('"";'))


def _key() -> str:
    made_of = [Path(__file__).read_bytes(), _LOCK.read_bytes(), *(path.read_bytes() for path in _sources()), _settings().encode()]
    return hashlib.sha256(b"\0".join(made_of)).hexdigest()[:16]


def _make(root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="debian-", suffix=".new", dir=root.parent) as folder:
        new, settings = Path(folder, "root"), Path(folder, "apt.conf")
        settings.write_text(_settings())
        packages = f"--include={','.join(PACKAGES)}"
        _run(["mmdebstrap", "--quiet", "--variant=minbase", packages, f"--aptopt={settings}", "", new, *_sources()])
        _make_venv(new)
        new.rename(root)


def _make_venv(root: Path) -> None:
    version = _inside(root, ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    wheels = root / _WHEELS.lstrip("/")
    which = ["--only-binary=:all:", f"--python-version={version}", "--require-hashes", f"--requirement={_LOCK}"]
    _run([sys.executable, "-m", "pip", "download", "--quiet", *which, f"--dest={wheels}"])
    shutil.copy(_LOCK, wheels)
    _inside(root, ["python3", "-m", "venv", VENV])
    install(root, f"--find-links={_WHEELS}", "--require-hashes", f"--requirement={_WHEELS}/{_LOCK.name}")
    shutil.rmtree(wheels)


def install(root: Path, *what: str) -> None:
    """Have the venv's pip install that, by what is on the disk alone."""
    _inside(root, [f"{VENV}/bin/pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", *what])


def _inside(root: Path, argv: Sequence[str]) -> str:
    return _run(["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/root", "chroot", root, *argv])


def _run(argv: Sequence[str | Path]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()
    return done.stdout


def _remove_unused(cache: Path, root: Path) -> None:
    for other in cache.glob("debian-*"):
        if other == root or not other.is_dir():
            continue
        held = os.open(other, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # a run of another checkout has it
        else:
            shutil.rmtree(other)
        finally:
            os.close(held)
