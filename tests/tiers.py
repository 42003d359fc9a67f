"""The tiers of tests: what each needs of the machine, and what happens where that is missing.

A test's tier is the folder under `tests/` that it lives in. What a machine cannot run is skipped with its reason, and the summary
shows every reason; a tier named in `EDGED_REQUIRE` (as in `EDGED_REQUIRE=netns,vm`) fails instead: CI never passes by skipping.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from typing import NoReturn

import pytest

from tests.systemd.cgroups import hierarchies

TIERS = {
    "unit": "pure code: no sockets, no sleep",
    "golden": "folders of data that a person can read",
    "contract": "one suite against the fake and against the real kernel",
    "netns": "the real kernel and real clients in network namespaces, as root",
    "vm": "Debian's stock kernel in an emulated machine",
    "systemd": "a Debian machine that systemd boots in a container, with edged installed as a service",
}

IN_NAMESPACES = ("nft", "ip", "unshare")
IN_A_CONTAINER = ("mmdebstrap", "systemd-nspawn")
IN_A_MACHINE = ("qemu-system-x86_64", "busybox", "depmod")


def required() -> frozenset[str]:
    """The tiers that this run must not skip, from `EDGED_REQUIRE`."""
    names = {name.strip() for name in os.environ.get("EDGED_REQUIRE", "").split(",")} - {""}
    if unknown := names - TIERS.keys():
        raise pytest.UsageError(f"EDGED_REQUIRE names no tier: {', '.join(sorted(unknown))} (tiers: {', '.join(TIERS)})")
    return frozenset(names)


def require(tier: str, reason: str) -> NoReturn:
    """Ends the test because `reason` keeps it from running here: skipped, or failed where its tier is required."""
    if tier in required():
        pytest.fail(f"{reason}; EDGED_REQUIRE={os.environ['EDGED_REQUIRE']} forbids skipping the {tier} tier", pytrace=False)
    pytest.skip(f"{tier}: {reason}")


@functools.cache
def missing_for_namespaces() -> str | None:
    """Why tests cannot use the real kernel in network namespaces here; None where they can."""
    if os.geteuid() != 0:
        return "needs root (network namespaces and nftables)"
    if absent := [tool for tool in IN_NAMESPACES if shutil.which(tool) is None]:
        return f"needs the command {', '.join(absent)}: `./bootstrap test` installs it"
    probe = subprocess.run(["unshare", "--net", "nft", "list", "tables"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return f"this kernel gives no network namespace with nftables: {probe.stderr.strip()}"
    return None


@functools.cache
def missing_for_a_machine() -> str | None:
    """Why tests cannot boot the stock kernel here; None where they can."""
    if absent := [tool for tool in IN_A_MACHINE if shutil.which(tool) is None]:
        return f"needs the command {', '.join(absent)}: `./bootstrap test` installs it"
    return None


@functools.cache
def missing_for_a_container() -> str | None:
    """Why tests cannot boot a Debian machine in a container here; None where they can."""
    if reason := missing_for_namespaces():
        return reason
    if absent := [tool for tool in IN_A_CONTAINER if shutil.which(tool) is None]:
        return f"needs the command {', '.join(absent)}: `./bootstrap test` installs it"
    if not (folders := hierarchies()):
        return "needs control groups, and no hierarchy that systemd works with is mounted"
    if closed := [str(folder) for folder in folders if os.statvfs(folder).f_flag & os.ST_RDONLY]:
        return f"needs control groups of its own, and may make none in {', '.join(closed)}"
    return None


def missing(tier: str) -> str | None:
    """Why `tier` cannot run on this machine; None where it can. The contract tier's fake half runs anywhere."""
    match tier:
        case "netns":
            return missing_for_namespaces()
        case "vm":
            return missing_for_a_machine()
        case "systemd":
            return missing_for_a_container()
        case _:
            return None
