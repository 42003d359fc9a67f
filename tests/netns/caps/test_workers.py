"""What becomes of the daemon's own inspectors costs no flow anything: killed, stopped, or let run for a moment each second."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.netns.caps.gateway import CapsGateway, Plan, Settings, caps_gateway
from tests.netns.caps.openings import Openings, percentile

SECONDS = 2.5
QUICKLY = 0.1  # seconds in which 99 of 100 connections are to open
STALL = 1.0  # an established flow may be without an answer for less


@pytest.fixture  # a daemon for each: it waits longer before each new worker, the more often one has failed
def gateway() -> Iterator[CapsGateway]:
    with caps_gateway(Settings([Plan("ten", 10_000, 10_000)]), ["ten"]) as made:
        yield made


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def slow(pid: int) -> None:
    """A packet or so a second: it runs for a millisecond at a time."""
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.001)
    os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize(
    ("hurt", "gap", "workers", "waited"),
    [(kill, 1.0, 2, 0), (stop, 1.0, 2, 1), (slow, 0.5, 1, 0)],
    ids=["killed", "stopped", "slow"],
)
def test_flows_open_and_go_on(gateway: CapsGateway, hurt: Callable[[int], None], gap: float, workers: int, waited: int) -> None:
    """G-3: caps and classification fail open, and packets that waited in vain are counted.

    `workers` is the least number of those that are hurt, `waited` that of such packets: one that is stopped for good has some.
    """
    hurt_ones: set[int] = set()
    until = time.monotonic() + SECONDS
    with Openings(gateway.topology) as seen:
        while time.monotonic() < until:
            for pid in gateway.workers():
                with contextlib.suppress(ProcessLookupError):  # its supervisor was faster
                    hurt(pid)
                    hurt_ones.add(pid)
            time.sleep(gap)
    print(
        f"{len(seen.opened)} connections: opened in {percentile(seen.opened, 0.99) * 1e3:.1f} ms, first words in "
        f"{percentile(seen.first_words, 0.99) * 1e3:.1f} ms (99 of 100); longest answer {max(seen.answered) * 1e3:.0f} ms"
    )
    assert gateway.daemon.metrics()['edged_queue_packets_total{queue="0",result="released"}'] >= waited
    assert len(hurt_ones) >= workers, "no worker was replaced"
    assert len(seen.opened) > 100
    assert percentile(seen.opened, 0.99) < QUICKLY
    assert percentile(seen.first_words, 0.99) < QUICKLY
    assert max(seen.answered) < STALL
