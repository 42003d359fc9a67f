"""Network namespaces for benchmarks: made under a name of this process, removed at the end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


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
