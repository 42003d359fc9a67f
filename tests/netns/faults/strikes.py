"""Deaths by SIGKILL inside an operation, spread evenly over its time or over what it does, and what came of each.

While edged dies, is dead and comes back, the SYN probe runs. Where the operation was to open port 25, what the probe saw through
counts from the moment on at which it was asked for, until edged is back.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from edged.errors import ExitCode
from tests.netns.faults.files import Files
from tests.netns.faults.operations import Asked, Operation
from tests.netns.faults.state import KernelState, Lease
from tests.netns.faults.world import World
from tests.netns.probe.probe import FAMILIES, Probe, Result

_PATIENCE = 30.0


class AtMoment(NamedTuple):
    """After that fraction of the time that the operation takes."""

    fraction: float


class AtPoint(NamedTuple):
    """Before or after something that it does, after that fraction of all that (faults/meter.py)."""

    fraction: float


Death = AtMoment | AtPoint


class Span(NamedTuple):
    """How long an operation takes, and how many points it passes."""

    seconds: float
    points: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A death that all came back from; `was_inside` is whether the operation was under way."""

    operation: str
    death: Death
    was_inside: bool
    syns: int


@dataclass(frozen=True, slots=True)
class Return:
    """How edged comes back from a death, and from a teardown, and what there is to be then."""

    from_death: Callable[[World], None]
    from_teardown: Callable[[World], object]
    states: Mapping[Files, KernelState]
    leases: Callable[[Files], frozenset[Lease]]


def rehearse(world: World, operation: Operation, back: Return) -> Span:
    """Let the operation come to its end, and measure it."""
    passed, began = world.meter.passed, time.monotonic()
    asked = operation.ask(world)
    _await(asked.is_done, f"{operation.name} does not come to its end")
    span = Span(time.monotonic() - began, world.meter.passed - passed)
    world.guests.close()
    if operation.opens:
        back.from_teardown(world)
    return span


def strike(world: World, operation: Operation, span: Span, death: Death, back: Return) -> Outcome:
    """Have edged die and come back, and look at everything. Fails where anything is not as it is promised."""
    with Probe(world.topology, least=1) as probe:
        if isinstance(death, AtPoint):
            world.meter.die_after(1 + int(death.fraction * span.points))
        asked_at = time.monotonic()
        asked = operation.ask(world)
        _die(asked, span, death)
        world.meter.live()
        _await(asked.is_told, f"who asked for {operation.name} still waits for an answer")
        was_inside = not asked.is_done()
        back.from_death(world)
        back_at = time.monotonic()
        world.check(back.states[world.files], back.leases(world.files))
        world.guests.close()
        result = probe.result()
    opened = range(probe.due(asked_at) - int(result.latest) - 5, probe.due(back_at)) if operation.opens else range(0)
    judge(result, opened, at_rest=probe.due(time.monotonic()))
    return Outcome(operation.name, death, was_inside, result.sent * len(FAMILIES))


def judge(result: Result, opened: range, at_rest: int) -> None:
    """Fails where a SYN to port 25 came through while it was not to be open, or one to the other port did not.

    After a teardown the devices' roots are made anew, and a device drops what it is given while its root is changed
    (qdisc_graft, net/sched/sch_api.c): until edged is at rest again that is nobody's fault.
    """
    changed = range(opened.start, at_rest) if opened else opened
    for family in FAMILIES:
        leaked = [each for each in result.leaked(family) if each not in opened]
        lost = [each for each in result.missing(family) if each not in changed]
        assert (leaked, lost) == ([], []), f"of {result.sent} of {family.label} leaked {leaked}, lost {lost}"


def by_command(world: World) -> None:
    """Somebody applies again, where no daemon runs."""
    done = subprocess.run(world.command({}, "apply"), capture_output=True, text=True, timeout=_PATIENCE, check=False)
    assert done.returncode == ExitCode.DONE, (done.returncode, done.stdout, done.stderr)


def _die(asked: Asked, span: Span, death: Death) -> None:
    """Return when the victim is dead; one that does not come to its point dies when it must have been at its end."""
    match death:
        case AtMoment(fraction):
            time.sleep(fraction * span.seconds)
        case AtPoint():
            with suppress(subprocess.TimeoutExpired):
                asked.victim.wait(2 * span.seconds + 1)
        case _:
            assert_never(death)
    asked.victim.kill()
    asked.victim.wait(_PATIENCE)


def _await(what: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < until, otherwise
        time.sleep(0.005)
