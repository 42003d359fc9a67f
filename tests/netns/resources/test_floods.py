"""The control socket and the metrics page under floods: fair clients are answered, the policy is looked after, nothing grows."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.netns.daemon_process import Daemon, eventually
from tests.netns.resources.floods import FLOODS, Connect
from tests.netns.resources.usage import Peak, beats, usage
from tests.promises import Measured

SECONDS = 4.0 if os.environ.get("EDGED_PROFILE") == "long" else 0.5
_MEMORY = 48 << 20  # what a flood may cost for a while
_LONGEST_WAIT = 3.0  # seconds, where others have the processors too; a scrape may take 10
_CONNECTIONS = {"control": 64, "metrics": 256}  # as README has it
_DESCRIPTORS = 16  # beside those of connections


def _connecting(daemon: Daemon, listener: str) -> Connect:
    """A way to connect to the daemon's listener of that name."""

    def connect(patience: float = 1.0) -> socket.socket:
        if listener == "control":
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address: str | tuple[str, int] = str(daemon.client.path)
        else:
            made = daemon.host.socket(socket.AF_INET, socket.SOCK_STREAM)
            address = ("127.0.0.1", 9825)
        made.settimeout(patience)
        try:
            made.connect(address)
        except OSError:
            made.close()
            raise
        return made

    return connect


def _scrape(connect: Connect) -> None:
    """One scrape by a client that says what it wants at once; fails where it is not answered whole."""
    with connect(patience=5.0) as made:  # the kernel says its SYN again after 1 s where the queue was full
        made.sendall(b"GET /metrics HTTP/1.1\r\nHost: edged\r\n\r\n")
        answer = b"".join(iter(lambda: made.recv(65536), b""))
    assert b" 200 " in answer.partition(b"\r\n")[0], answer[:200]
    assert b"edged_enforcement_in_sync 1.0" in answer


def _waits(ask: Callable[[], object], flooding: Future[int]) -> list[float]:
    """How long each of a fair client's questions took, ten a second while the flood lasts."""
    took = []
    while not flooding.done():
        began = time.monotonic()
        ask()
        took.append(time.monotonic() - began)
        time.sleep(0.1)
    return took


@pytest.mark.promise(14)
@pytest.mark.promise(15)
@pytest.mark.parametrize("listener", ["control", "metrics"])
def test_a_flood_keeps_nobody_from_being_answered(daemon: Daemon, measured: Measured, listener: str) -> None:
    daemon.start(WATCHDOG_USEC="2000000")
    connect = _connecting(daemon, listener)
    ask = daemon.client.status if listener == "control" else lambda: _scrape(connect)
    ask()
    before, peak, took, count = usage(daemon.process.pid), Peak(), dict[str, float](), 0
    with beats(daemon.systemd) as heard, ThreadPoolExecutor(2) as threads:
        for name, flood in FLOODS.items():
            flooding = threads.submit(flood, connect, SECONDS)
            watching = threads.submit(_sampled, daemon.process.pid, peak, flooding)
            took[name] = max(_waits(ask, flooding))
            count += flooding.result()
            watching.result()
    assert max(took.values()) < _LONGEST_WAIT, f"a fair client waited (s): {took}"
    assert heard.longest < 2.0, f"the heart beat late: {heard}"
    assert peak.descriptors <= before.descriptors + _CONNECTIONS[listener] + _DESCRIPTORS
    assert peak.memory - before.memory < _MEMORY, f"{(peak.memory - before.memory) >> 20} MiB more"
    eventually(lambda: usage(daemon.process.pid).descriptors <= before.descriptors + 2, 10.0)
    assert daemon.client.status()["in_sync"]
    assert len(daemon.log()) < 64 << 10, "a flood fills the log"
    measured(
        f"{listener}: {count} connections in {len(took)} kinds of flood: fair clients waited at most {max(took.values()):.2f} s, "
        f"the heart {heard.longest:.1f} s, at most {peak.descriptors - before.descriptors} descriptors and "
        f"{(peak.memory - before.memory) / (1 << 20):.0f} MiB more"
    )


def _sampled(pid: int, peak: Peak, flooding: Future[int]) -> None:
    while not flooding.done():
        peak.take(pid)
        time.sleep(0.02)


@pytest.mark.promise(15)
def test_a_scrape_each_10_ms_takes_nothing_from_the_policy(daemon: Daemon, measured: Measured) -> None:
    daemon.start(WATCHDOG_USEC="2000000")
    connect = _connecting(daemon, "metrics")
    _scrape(connect)
    before = usage(daemon.process.pid)
    scrapes, slowest, until = 0, 0.0, time.monotonic() + 3 * SECONDS
    with beats(daemon.systemd) as heard:
        while (began := time.monotonic()) < until:
            _scrape(connect)
            scrapes += 1
            slowest = max(slowest, time.monotonic() - began)
            if scrapes % 50 == 0:
                assert daemon.client.reload()["changed"] == 0
            time.sleep(max(0.0, began + 0.01 - time.monotonic()))
    after = usage(daemon.process.pid)
    assert slowest < _LONGEST_WAIT
    assert heard.longest < 2.0
    assert after.descriptors <= before.descriptors + 2
    assert after.memory - before.memory < _MEMORY
    measured(
        f"{scrapes} scrapes, one each 10 ms: the slowest {slowest * 1000:.0f} ms, "
        f"{(after.cpu - before.cpu) / scrapes * 1000:.1f} ms of CPU each, "
        f"{(after.memory - before.memory) / (1 << 20):.1f} MiB more"
    )
