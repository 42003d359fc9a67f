"""A change that waits for its confirmation and never gets it, and what befalls it meanwhile."""

from __future__ import annotations

import math
import os
import pty
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from edged.clock import SystemClock
from edged.errors import ExitCode
from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Topology
from edged.state import Pending, StateFolder
from tests.netns.faults.strikes import by_command
from tests.netns.faults.world import World

LATEST = 1.0  # seconds after its deadline
_CLOCK = SystemClock()
_PATIENCE = 60.0
_STEPS = (-86_400.0, -2.0, 3_600.0, 86_400.0)  # seconds


class Befalls(Enum):
    """What happens while the change waits."""

    TERMINAL = "the terminal ends, or the command is killed"
    DAEMON = "the daemon is killed, and started again at once"
    CLOCK = "the wall clock is set, ahead or back, several times"
    ANOTHER = "somebody asks for another change"


@dataclass(frozen=True, slots=True)
class Window:
    """A run: whether a daemon is there, and what happens."""

    has_daemon: bool
    befalls: Befalls


def late(window: Window, seed: int) -> float:
    """The same as `lateness`, and says which run failed."""
    try:
        return lateness(window, seed)
    except AssertionError as wrong:
        raise AssertionError(f"{window}, seed {seed}: {wrong}") from wrong


def lateness(window: Window, seed: int) -> float:
    """How many seconds after its deadline the change was taken back, negative before.

    Fails where it was before its time, but for a daemon's start, or never.
    """
    rng = random.Random(seed)
    with Topology() as topology, closing(World(topology, rng)) as world, closing(LinuxKernel(topology.gateway.netns)) as kernel:
        began = time.monotonic()
        if window.has_daemon:
            world.restart()
        else:
            by_command(world)
        seconds = _seconds(window.befalls, time.monotonic() - began)
        world.ask_for(world.files.flipped())
        with in_a_terminal(world, "apply", "--confirm", f"{seconds}s") as (command, end):
            note = _noted(world)
            applied = kernel.generation()
            with ThreadPoolExecutor(1) as watch:
                taken_back = watch.submit(_taken_back, world, kernel, applied, note.deadline + _PATIENCE)
                _befall(window.befalls, world, note, command, end)
                taken_back_at = taken_back.result()
        early = window.befalls is not Befalls.DAEMON and taken_back_at < note.deadline
        assert not early, f"taken back {note.deadline - taken_back_at:.2f} s before its time"
        _told_too_late(world)
    return taken_back_at - note.deadline


def _seconds(befalls: Befalls, start: float) -> int:
    """How long the change waits: long enough for what is to happen meanwhile on a machine on which a start takes so long."""
    match befalls:
        case Befalls.TERMINAL | Befalls.CLOCK:
            return 3
        case Befalls.ANOTHER:
            return 2 + math.ceil(4 * start)
        case Befalls.DAEMON:  # it dies in the first half, and the other is enough for a start
            return 2 + math.ceil(3 * start)
        case _:
            assert_never(befalls)


@contextmanager
def in_a_terminal(world: World, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """The command as the only process of a terminal, and what ends the terminal."""
    ours, theirs = pty.openpty()
    with ExitStack() as end:
        end.callback(os.close, ours)
        try:
            command = subprocess.Popen(
                ["setsid", "--ctty", *world.command(world.meter.environment, *arguments)],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
        finally:
            os.close(theirs)
        try:
            yield command, end.close
        finally:
            command.kill()
            command.wait(_PATIENCE)


def _befall(
    what: Befalls, world: World, note: Pending, command: subprocess.Popen[bytes], end_terminal: Callable[[], None]
) -> None:
    left = note.deadline - _CLOCK.boottime()
    match what:
        case Befalls.TERMINAL:
            time.sleep(world.rng.uniform(0, left))
            world.rng.choice((command.kill, end_terminal))()
        case Befalls.DAEMON:
            time.sleep(world.rng.uniform(0, left / 2))
            world.daemon.kill()
            world.restart()
        case Befalls.CLOCK:
            for seconds in world.rng.sample(_STEPS, 3):
                time.sleep(world.rng.uniform(0, left / 3))
                world.meter.step_clock(seconds)
        case Befalls.ANOTHER:
            for name in ("apply", "reload") if world.daemon.processes else ("apply",):
                _answers(world, name, ExitCode.REFUSED)
            assert StateFolder(world.folder / "state").pending() in {note, None}, "another change moved the deadline"
        case _:
            assert_never(what)


def _noted(world: World) -> Pending:
    """The change as it is noted, once it is in force."""
    state = StateFolder(world.folder / "state")
    _when(lambda: _policy(world) == 1, until=_CLOCK.boottime() + _PATIENCE)
    note = state.pending()
    assert note is not None, "in force, and not noted"
    return note


def _told_too_late(world: World) -> None:
    """Who confirms now hears that it is too late; a daemon's answer waits until it has noted the rollback."""
    _answers(world, "confirm", ExitCode.ROLLED_BACK)


def _answers(world: World, name: str, code: ExitCode) -> None:
    done = subprocess.run(world.command({}, name), capture_output=True, text=True, timeout=_PATIENCE, check=False)
    assert done.returncode == code, (name, done.returncode, done.stdout, done.stderr)


def _policy(world: World) -> int | None:
    """Which of the two policies the kernel holds, as nft tells it."""
    listed = world.gateway.run(["nft", "list", "counters", "table", "inet", "edged"]).stdout
    if not listed:
        return None
    return 0 if "op25b_up_ip_reject" in listed else 1


def _taken_back(world: World, kernel: LinuxKernel, seen: int, until: float) -> float:
    """When what was in force before was so again: the moment of the last commit, not that of looking at what it did."""
    at = 0.0
    while _CLOCK.boottime() < until:
        if (generation := kernel.generation()) != seen:
            seen, at = generation, _CLOCK.boottime()
        if at and _policy(world) == 0:
            return at
        time.sleep(0.005)
    raise AssertionError(f"it was never taken back; the kernel holds the policy {_policy(world)}")


def _when(what: Callable[[], bool], until: float) -> float:
    """The moment on CLOCK_BOOTTIME at which it is so; fails where that is not by then."""
    while not what():
        assert _CLOCK.boottime() < until, "it was not so in time"
        time.sleep(0.01)
    return _CLOCK.boottime()
