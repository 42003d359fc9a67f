"""Whenever edged is killed (-9), nothing opens, and once it is back all is exactly as the files ask and as others left it."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import cycle, islice, product

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
FILES = tuple(Files(*each) for each in (product((0, 1), repeat=2) if IS_LONG else ((0, 0), (1, 1))))


@contextmanager
def fresh(seed: int) -> Iterator[World]:
    with Topology() as topology, closing(World(topology, random.Random(seed))) as world:
        yield world


def by_daemon(files: Files) -> KernelState:
    """What the daemon makes of the files in a fresh gateway."""
    with fresh(0) as world:
        world.ask_for(files)
        world.restart()
        return at_rest(world)


def alone(files: Files) -> KernelState:
    """What the command makes of them."""
    with fresh(0) as world:
        world.ask_for(files)
        by_command(world)
        return at_rest(world)


def at_rest(world: World) -> KernelState:
    """What is there once nothing has changed for some of the daemon's ticks."""
    seen, since = kernel_state(world.gateway), time.monotonic()
    while time.monotonic() - since < 1.0:
        if (now := kernel_state(world.gateway)) != seen:
            seen, since = now, time.monotonic()
    return seen


def lane_with_daemon(seed: int, operations: Sequence[Operation], states: Mapping[Files, KernelState]) -> list[Outcome]:
    back = Return(World.restart, lambda world: world.daemon.client.reload(), states, lambda files: leases_of(files, STEADY))
    with fresh(seed) as world:
        world.restart()
        with world.moves_much(STEADY):
            return list(struck(world, operations, POINTS, back))


def lane_alone(seed: int, states: Mapping[Files, KernelState]) -> list[Outcome]:
    with fresh(seed) as world:
        by_command(world)
        return list(struck(world, ALONE, POINTS, Return(by_command, by_command, states, lambda _: frozenset())))


def struck(world: World, operations: Sequence[Operation], points: int, back: Return) -> Iterator[Outcome]:
    """So many deaths, the operations in turn; half of them by the clock, half by what is done."""
    world.check(back.states[world.files], back.leases(world.files))
    spans = {}
    for number, operation in enumerate(islice(cycle(operations), points)):
        if operation not in spans:
            spans[operation] = rehearse(world, operation, back)
        fraction = world.rng.random()
        death: Death = AtMoment(fraction) if (number // len(operations) + number) % 2 else AtPoint(fraction)
        try:
            yield strike(world, operation, spans[operation], death, back)
        except AssertionError as wrong:
            raise AssertionError(f"{operation.name}, {death} of {spans[operation]}, death {number + 1}: {wrong}") from wrong


@pytest.mark.promise(2)
def test_kill_9_opens_nothing_and_leaves_nothing_behind(measured: Measured) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    with ThreadPoolExecutor(3) as at_once:
        daemons = dict(zip(FILES, at_once.map(by_daemon, FILES), strict=True))
        commands = dict(zip(FILES, at_once.map(alone, FILES), strict=True))
        lanes = (
            at_once.submit(lane_with_daemon, seed, BY_DAEMON[:3] if IS_LONG else BY_DAEMON[:2], daemons),
            at_once.submit(lane_with_daemon, seed + 1, BY_DAEMON[3:] if IS_LONG else BY_DAEMON[2:5], daemons),
            at_once.submit(lane_alone, seed + 2, commands),
        )
        outcomes = [outcome for lane in lanes for outcome in lane.result()]
    assert len(outcomes) >= (200 if IS_LONG else 12)
    counts = Counter(outcome.operation for outcome in outcomes)
    inside = sum(outcome.was_inside for outcome in outcomes)
    measured(
        f"0 of {sum(outcome.syns for outcome in outcomes)} SYNs leaked, and none to a permitted port lost, over {len(outcomes)} "
        f"kills ({', '.join(f'{count} in {name}' for name, count in counts.items())}; {inside} before its end)"
    )
