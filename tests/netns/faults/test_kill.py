"""Whenever edged is killed (-9), nothing opens, and once it is back all is exactly as the files ask and as others left it."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle, islice, product
from typing import NamedTuple

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


class Begin(NamedTuple):
    """How a gateway comes to have edged's policy, and by which files."""

    files: Files
    come: Callable[[World], None]


LANES = (Begin(FILES[0], World.restart), Begin(FILES[1], World.restart), Begin(FILES[0], by_command))


@contextmanager
def fresh(begin: Begin, seed: int) -> Iterator[tuple[World, KernelState]]:
    """A gateway in which edged has just begun, and what it made there."""
    with Topology() as topology, closing(World(topology, random.Random(seed))) as world:
        world.ask_for(begin.files)
        begin.come(world)
        yield world, at_rest(world)


def state_of(begin: Begin) -> KernelState:
    """What edged makes in a gateway that is there for this alone."""
    with fresh(begin, 0) as (_, state):
        return state


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
    with ExitStack() as worlds, ThreadPoolExecutor(4) as at_once:
        # each lane goes on in the gateway that shows what its first files are to come to
        begun = list(at_once.map(lambda number: worlds.enter_context(fresh(LANES[number], seed + number)), range(3)))
        others = [begin for begin in map(Begin._make, product(FILES, (World.restart, by_command))) if begin not in LANES]
        states = dict(zip((*LANES, *others), (*(state for _, state in begun), *at_once.map(state_of, others)), strict=True))
        daemons, commands = ({files: states[Begin(files, come)] for files in FILES} for come in (World.restart, by_command))
        first, second, last = (world for world, _ in begun)
        lanes = (
            at_once.submit(with_daemon, first, BY_DAEMON[:3] if IS_LONG else BY_DAEMON[:2], daemons),
            at_once.submit(with_daemon, second, BY_DAEMON[3:] if IS_LONG else BY_DAEMON[2:5], daemons),
            at_once.submit(alone, last, ALONE, commands),
        )
        outcomes = [outcome for lane in lanes for outcome in lane.result()]
    assert len(outcomes) >= (200 if IS_LONG else 12)
    counts = Counter(outcome.operation for outcome in outcomes)
    inside = sum(outcome.was_inside for outcome in outcomes)
    measured(
        f"0 of {sum(outcome.syns for outcome in outcomes)} SYNs leaked, and none to a permitted port lost, over {len(outcomes)} "
        f"kills ({', '.join(f'{count} in {name}' for name, count in counts.items())}; {inside} before its end)"
    )
