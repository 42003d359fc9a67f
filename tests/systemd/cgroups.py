"""Control groups that a booted machine has for itself: made below this process's own, in each hierarchy systemd works with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def hierarchies() -> list[Path]:
    """This process's folder in the unified hierarchy and in systemd's own of version 1, as far as they are mounted."""
    paths = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths[controllers] = path
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        where, _, kind = line.partition(" - ")
        root, mounted = where.split()[3:5]
        controllers = "" if kind.startswith("cgroup2 ") else "name=systemd"
        if controllers in paths and (
            not controllers or (kind.startswith("cgroup ") and controllers in kind.split()[2].split(","))
        ):
            found.append(Path(mounted, os.path.relpath(paths[controllers], root)))
    return found


@contextmanager
def groups(name: str) -> Iterator[list[Path]]:
    """A group of that name in each; with all below they are removed at the end, when nobody may be in them any more."""
    made = [folder / name for folder in hierarchies()]
    try:
        for group in made:
            group.mkdir()
        yield made
    finally:
        for group in made:
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()
