"""The unit, judged by systemd itself, and `systemd/install` on the file system of a machine that is not this one."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.tiers import require

CHECKOUT = Path(__file__).parents[2]
INSTALL = CHECKOUT / "systemd/install"
TARGETS = {
    "etc/systemd/system/edged.service",
    "etc/sysusers.d/edged.conf",
    "etc/tmpfiles.d/edged.conf",
    "etc/sysctl.d/60-edged.conf",
    "etc/modules-load.d/edged.conf",
    "usr/local/bin/edged",
}
EXAMPLE = {str(path.relative_to(CHECKOUT / "rules")) for path in (CHECKOUT / "rules").rglob("*") if path.is_file()}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which(str(command[0])) is None:
        require("unit", f"needs the command {command[0]}: `./bootstrap test` installs it")
    return subprocess.run(command, capture_output=True, text=True, check=False)


def files_in(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and link with its time of change, so that a rewrite shows even if it wrote the same."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, b"" if path.is_symlink() else path.read_bytes())
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a command that is there wherever the tests run."""
    text = (CHECKOUT / "systemd/edged.service").read_text()
    assert text.count("/opt/edged/.venv/bin/edged ") == 2
    file = tmp_path / "edged.service"
    file.write_text(text.replace("/opt/edged/.venv/bin/edged ", "/bin/true ").replace("/opt/edged", "/opt"))
    return file


def test_systemd_takes_the_unit_without_a_complaint(unit: Path) -> None:
    answer = run("systemd-analyze", "verify", unit)
    # systemd before 254 does not know this key, and ignores it
    complaints = [line for line in answer.stderr.splitlines() if "FileDescriptorStorePreserve" not in line and str(unit) in line]
    assert (complaints, answer.returncode) == ([], 0)


def test_the_unit_is_hardened(unit: Path) -> None:
    answer = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level for edged.service: (\d+\.\d)", answer.stdout)
    assert exposure is not None, answer.stderr
    assert float(exposure[1]) <= 1.7


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a machine that has nothing yet."""
    folder = tmp_path / "root"
    folder.mkdir()
    run("systemd-sysusers", "--version")
    return folder


def test_install_puts_everything_in_place_and_is_idempotent(root: Path) -> None:
    first = run(INSTALL, "--root", root)
    assert first.returncode == 0, first.stderr
    before = files_in(root)
    assert before.keys() >= TARGETS
    assert {"edged.yaml", "subscribers.csv", "hosts/streaming.txt", "rules.d/50-caps.yaml"} <= EXAMPLE
    assert {str(path.relative_to(root / "etc/edged")) for path in (root / "etc/edged").rglob("*") if path.is_file()} == EXAMPLE
    subscribers = (root / "etc/edged/subscribers.csv").stat()
    assert stat.S_IMODE(subscribers.st_mode) == 0o640
    assert f"edged:x:{subscribers.st_gid}:" in (root / "etc/group").read_text() or os.geteuid() != 0
    assert "edged:" in (root / "etc/passwd").read_text()
    assert f"ExecStart={CHECKOUT}/.venv/bin/edged run\n" in (root / "etc/systemd/system/edged.service").read_text()
    assert (root / "usr/local/bin/edged").readlink() == CHECKOUT / ".venv/bin/edged"
    second = run(INSTALL, "--root", root)
    assert (second.returncode, second.stdout, files_in(root)) == (0, "", before)


def test_install_of_a_wheel_takes_the_program_of_its_venv(root: Path, tmp_path: Path) -> None:
    venv = tmp_path / "edged/.venv"
    share = venv / "lib/python3.11/site-packages/edged/share"
    for folder in ("systemd", "rules"):  # as pyproject.toml puts them
        shutil.copytree(CHECKOUT / folder, share / folder)
    answer = run(share / "systemd/install", "--root", root)
    assert answer.returncode == 0, answer.stderr
    installed = (root / "etc/systemd/system/edged.service").read_text()
    assert f"ExecStart={venv}/bin/edged run\n" in installed
    assert f"RequiresMountsFor={venv} /etc/edged\n" in installed
    assert "Documentation=" not in installed, "a wheel has no README"
    assert (root / "usr/local/bin/edged").readlink() == venv / "bin/edged"


def test_install_keeps_the_operators_files(root: Path) -> None:
    (root / "etc/edged").mkdir(parents=True)
    (root / "etc/edged/edged.yaml").write_text("mine")
    assert run(INSTALL, "--root", root).returncode == 0
    assert (root / "etc/edged/edged.yaml").read_text() == "mine"
    assert [path.name for path in (root / "etc/edged").iterdir()] == ["edged.yaml"]


def test_install_does_not_replace_a_command_of_somebody_elses(root: Path) -> None:
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/edged").write_text("#!/bin/sh\n")
    answer = run(INSTALL, "--root", root)
    assert answer.returncode == 1
    assert "a file of somebody else's" in answer.stderr
    assert (root / "usr/local/bin/edged").read_text() == "#!/bin/sh\n"


def test_remove_takes_all_away_but_configuration_and_user(root: Path) -> None:
    run(INSTALL, "--root", root)
    answer = run(INSTALL, "--remove", "--root", root)
    assert answer.returncode == 0, answer.stderr
    left = files_in(root).keys()
    assert not left & TARGETS
    assert "etc/edged/edged.yaml" in left
    assert run(INSTALL, "--remove", "--root", root).returncode == 0
