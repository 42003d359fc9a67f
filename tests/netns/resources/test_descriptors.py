"""A process without a descriptor left: the policy is looked after, the watchdog hears of it, and nothing has to be restarted."""

from __future__ import annotations

import resource
import signal
import socket
import time

import pytest

from edged.errors import Unreachable
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.resources.usage import beats, usage
from tests.promises import Measured

SECONDS = 3.0


@pytest.mark.promise(14)
def test_without_descriptors_the_policy_is_looked_after(daemon: Daemon, measured: Measured) -> None:
    daemon.start(WATCHDOG_USEC="2000000")
    pid = daemon.process.pid
    daemon.client.status()
    table = daemon.table()
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = usage(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, most))  # a new one would be beyond it, wherever there is a gap
    with beats(daemon.systemd) as heard:
        daemon.process.send_signal(signal.SIGHUP)
        daemon.host.run(["nft", "add", "table", "inet", "theirs"], check=True)
        with pytest.raises(Unreachable):
            daemon.client.status()
        with daemon.host.socket(socket.AF_INET, socket.SOCK_STREAM) as scrape:
            scrape.connect(("127.0.0.1", 9825))  # the kernel's queue has room; nobody takes it out
            time.sleep(SECONDS)
        busy = usage(pid).cpu - before.cpu
        daemon.host.run(["nft", "flush", "ruleset"], check=True)
    assert daemon.process.poll() is None
    assert heard.longest < 2.0, f"the watchdog heard nothing for {heard.longest:.1f} s"
    assert busy < SECONDS, f"{busy:.1f} s of CPU for waiting"
    assert daemon.table() == table
    assert len(daemon.log()) < 16 << 10
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    back = eventually(lambda: _answers(daemon), 10.0)
    status = daemon.client.status()
    assert status["in_sync"]
    assert daemon.client.reload()["changed"] == 0
    told = f"the heart {heard.longest:.1f} s, {busy:.1f} s of CPU, answers {back:.1f} s after there were some"
    measured(f"no descriptor left for {SECONDS:.0f} s: {told}")


def _answers(daemon: Daemon) -> bool:
    try:
        return daemon.client.status()["in_sync"]
    except Unreachable:
        return False
