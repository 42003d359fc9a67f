"""Network namespaces for benchmarks: made under a name of this process, removed at the end."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NETFILTER = 12  # NETLINK_NETFILTER, linux/netlink.h
_NFTABLES = 1 << 6  # NFNLGRP_NFTABLES, linux/netfilter/nfnetlink.h


@contextmanager
def namespace(purpose: str) -> Iterator[str]:
    """A fresh network namespace's name."""
    name = f"edged-bench-{purpose}-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def ip(netns: str, *lines: str) -> None:
    """Run commands of iproute2 in the namespace."""
    subprocess.run(["ip", "-n", netns, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def listeners() -> int:
    """How many sockets on this machine hear of changes to nftables, in whatever namespace.

    The kernel asks whether there is any at all (netlink_has_listeners), and then makes a message of 7 KiB for each element of a
    batch, also where nobody in that batch's own namespace hears it: a million take it 15 s and 7 GB, and not half a second.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            netns = (process / "ns/net").stat().st_ino
            if netns not in found:
                lines = [line.split() for line in (process / "net/netlink").read_text().splitlines()[1:]]
                found[netns] = sum(
                    int(protocol) == _NETFILTER and bool(int(groups, 16) & _NFTABLES) for _, protocol, _, groups, *_ in lines
                )
    return sum(found.values())


def alone(seconds: float = 60.0) -> bool:
    """Wait until nobody hears of changes to nftables; whether that came to be in time."""
    until = time.monotonic() + seconds
    while listeners():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def watched() -> Iterator[list[int]]:
    """Look ten times a second how many listen meanwhile; the numbers are whole once this has ended."""
    seen: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while True:
            seen.append(listeners())
            if ended.wait(0.1):
                return

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()
