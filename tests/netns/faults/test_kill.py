"""Whenever edged is killed (-9), nothing opens, and once it is back all is exactly as the files ask and as others left it."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle, islice

import pytest

from edged.lab.topology import Topology
from tests.netns.faults.files import STEADY, Files, leases_of
from tests.netns.faults.operations import ALONE, BY_DAEMON, Operation
from tests.netns.faults.state import KernelState, kernel_state
from tests.netns.faults.strikes import AtMoment, AtPoint, Death, Outcome, Return, by_command, rehearse, strike
from tests.netns.faults.world import World
from tests.promises import Measured

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
POINTS = 67 if IS_LONG else 4  # of each of three lanes, which work through their operations in gateways of their own
# the first two are what lanes begin with; what a changed list alone makes of them comes in the long form
FILES = tuple(Files(*each) for each in ((0, 0), (1, 1), (0, 1), (1, 0))[: 4 if IS_LONG else 2])


@contextmanager
def fresh(seed: int, files: Files, begin: Callable[[World], None]) -> Iterator[tuple[World, KernelState]]:
    """A gateway in which edged has just begun with these files, and what it made there."""
    with Topology() as topology, closing(World(topology, random.Random(seed))) as world:
        world.ask_for(files)
        begin(world)
        yield world, at_rest(world)


def at_rest(world: World) -> KernelState:
    """What is there once nothing has changed for some of the daemon's ticks."""
    seen, since = kernel_state(world.gateway), time.monotonic()
    while time.monotonic() - since < 0.6:
        time.sleep(0.1)
        if (now := kernel_state(world.gateway)) != seen:
            seen, since = now, time.monotonic()
    return seen


def with_daemon(world: World, operations: Sequence[Operation], states: Mapping[Files, KernelState]) -> list[Outcome]:
    back = Return(World.restart, lambda world: world.daemon.client.reload(), states, lambda files: leases_of(files, STEADY))
    with world.moves_much(STEADY):
        return list(struck(world, operations, back))


def alone(world: World, operations: Sequence[Operation], states: Mapping[Files, KernelState]) -> list[Outcome]:
    return list(struck(world, operations, Return(by_command, by_command, states, lambda _: frozenset())))


def struck(world: World, operations: Sequence[Operation], back: Return) -> Iterator[Outcome]:
    """So many deaths, the operations in turn; half of them by the clock, half by what is done."""
    world.check(back.states[world.files], back.leases(world.files))
    spans = {}
    for number, operation in enumerate(islice(cycle(operations), POINTS)):
        if operation not in spans:
            spans[operation] = rehearse(world, operation, back)
        fraction = world.rng.random()
        death: Death = AtMoment(fraction) if (number // len(operations) + number) % 2 else AtPoint(fraction)
        try:
            yield strike(world, operation, spans[operation], death, back)
        except AssertionError as wrong:
            raise AssertionError(f"{operation.name}, {death} of {spans[operation]}, death {number + 1}: {wrong}") from wrong


@pytest.mark.timeout(1800)  # 200 deaths take minutes
@pytest.mark.promise(2)
def test_kill_9_opens_nothing_and_leaves_nothing_behind(measured: Measured) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    begins = [(files, begin) for begin in (World.restart, by_command) for files in FILES]
    with ExitStack() as worlds, ThreadPoolExecutor(4) as at_once:
        made = at_once.map(lambda place: worlds.enter_context(fresh(seed + place, *begins[place])), range(len(begins)))
        begun = dict(zip(begins, made, strict=True))
        states = {begin: {files: begun[files, begin][1] for files in FILES} for begin in (World.restart, by_command)}
        halves = (BY_DAEMON[:3], BY_DAEMON[3:]) if IS_LONG else (BY_DAEMON[:2], BY_DAEMON[2:5])
        lanes = [
            at_once.submit(with_daemon, begun[files, World.restart][0], half, states[World.restart])
            for files, half in zip(FILES, halves, strict=False)
        ]
        lanes.append(at_once.submit(alone, begun[FILES[0], by_command][0], ALONE, states[by_command]))
        outcomes = [outcome for lane in lanes for outcome in lane.result()]
    assert len(outcomes) >= (200 if IS_LONG else 12)
    counts = Counter(outcome.operation for outcome in outcomes)
    inside = sum(outcome.was_inside for outcome in outcomes)
    measured(
        f"0 of {sum(outcome.syns for outcome in outcomes)} SYNs leaked, and none to a permitted port lost, over {len(outcomes)} "
        f"kills ({', '.join(f'{count} in {name}' for name, count in counts.items())}; {inside} before its end)"
    )
