"""A second edged on the same gateway: refused with a clear word, and nothing is changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.errors import ExitCode
from edged.lab.topology import Topology
from tests.netns.daemon_process import Daemon, eventually
from tests.tiers import require

CAPS = """\
policy: caps
classes:
  p2p: {after: 1MB, down: 2mbit, up: 1mbit}
pool: 16
"""
SAME_SOCKET = "an edged daemon runs already and answers on"
SAME_TABLE = "belongs to another running process"


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    (made.folder / "rules.d/50-caps.yaml").write_text(CAPS)
    try:
        made.start()
        if made.client.status()["lock"] == "none":
            require("netns", "needs a kernel with the owner flag (5.12)")
        eventually(lambda: all(classes(made, device) == 17 for device in ("lan0", "wan0")), 10.0)
        yield made
    finally:
        made.close()


def test_a_second_daemon_and_an_apply_beside_it_are_refused_and_change_nothing(daemon: Daemon) -> None:
    elsewhere = daemon.folder / "elsewhere.yaml"  # the same gateway by another socket: it cannot know of the daemon
    text = daemon.config.read_text().replace("control.sock", "other.sock").replace("state: state", "state: other")
    elsewhere.write_text(text)
    before = as_it_is(daemon)
    assert edged(daemon, "run", daemon.config) == (ExitCode.REFUSED, SAME_SOCKET)
    assert edged(daemon, "run", elsewhere) == (ExitCode.REFUSED, SAME_TABLE)
    assert edged(daemon, "apply", elsewhere) == (ExitCode.REFUSED, SAME_TABLE)
    assert edged(daemon, "apply", elsewhere, "--confirm", "60s") == (ExitCode.REFUSED, SAME_TABLE)
    assert edged(daemon, "teardown", elsewhere) == (ExitCode.REFUSED, SAME_TABLE)
    assert as_it_is(daemon) == before
    status = daemon.client.status()
    assert (status["in_sync"], status["degraded"], sum(status["drift_repairs"].values())) == (True, [], 0)
    assert not (daemon.folder / "other.sock").exists()


def edged(daemon: Daemon, command: str, config: Path, *arguments: str) -> tuple[int, str]:
    """The command's exit code, and which of the words it said."""
    argv = ["ip", "netns", "exec", daemon.host.netns, sys.executable, "-m", "edged", command, "-c", str(config), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    return done.returncode, next((word for word in (SAME_SOCKET, SAME_TABLE) if word in said), said)


def as_it_is(daemon: Daemon) -> tuple[str, ...]:
    """Tables with their owner and handles, qdiscs, and classes; without what counts on."""
    shown = (
        ["nft", "-s", "-a", "list", "ruleset"],
        ["tc", "qdisc", "show"],
        *(["tc", "class", "show", "dev", device] for device in ("lan0", "wan0")),
    )
    return tuple(daemon.host.run(each, check=True).stdout for each in shown)


def classes(daemon: Daemon, device: str) -> int:
    return daemon.host.run(["tc", "class", "show", "dev", device], check=True).stdout.count("class htb ed:")
