"""What /proc says of the process that downloads."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

NOBODY = 65534
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def children() -> list[int]:
    """The processes that this one has started and not reaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(path.parent.name))
    return found


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def until(condition: object) -> None:
    """Waits until the condition holds, for ten seconds at most."""
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)
