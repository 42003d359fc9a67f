"""What edged is at when it dies, and how each is asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

from edged.errors import EdgedError, ExitCode
from tests.netns.faults.files import GUEST, leases_of
from tests.netns.faults.state import kernel_state
from tests.netns.faults.world import World


class Asked(NamedTuple):
    """Something that was asked for: the process that does it, whether it is done, whether nobody waits for an answer any more."""

    victim: subprocess.Popen[str]
    is_done: Callable[[], bool]
    is_told: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Operation:
    """A name, how it is asked for, and whether it is to open port 25."""

    name: str
    ask: Callable[[World], Asked]
    opens: bool = False


def _start(world: World) -> Asked:
    """A start with other files than those in force, after a death."""
    world.daemon.kill()
    world.hear()
    world.ask_for(world.files.flipped())
    world.daemon.launch(owner=world.daemon.systemd.kept.get("nft"), **world.meter.environment)
    return Asked(world.daemon.process, lambda: "READY=1" in (world.daemon.systemd.hear(0.02) or ""))


def _reload(world: World) -> Asked:
    world.ask_for(world.files.flipped())
    return _by_client(world, world.daemon.client.reload)


def _teardown(world: World) -> Asked:
    return _by_client(world, world.daemon.client.teardown)


def _by_client(world: World, call: Callable[[], object]) -> Asked:
    """One thread asks the daemon, and waits for its answer."""
    with_client = ThreadPoolExecutor(1)
    answer: Future[str] = with_client.submit(_told, call)
    with_client.shutdown(wait=False)
    return Asked(world.daemon.process, lambda: answer.done() and not answer.result(), answer.done)


def _told(call: Callable[[], object]) -> str:
    try:
        call()
    except EdgedError as error:
        return str(error)
    return ""


def _apply(world: World) -> Asked:
    """By the command, which has the daemon do it."""
    world.ask_for(world.files.flipped())
    command = subprocess.Popen(
        world.command({}, "apply"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return Asked(world.daemon.process, lambda: command.poll() == ExitCode.DONE, lambda: command.poll() is not None)


def _list(world: World) -> Asked:
    """The list's file changes, and the daemon sees it."""
    world.files = replace(world.files, entries=1 - world.files.entries)
    world.files.write_list(world.folder)
    return Asked(world.daemon.process, lambda: _has_list(world))


def _has_list(world: World) -> bool:
    listed = world.gateway.run(["nft", "list", "table", "inet", "edged"]).stdout
    return all((f" {entry} " in listed.replace(",", " ")) is is_in for entry, is_in in world.files.telling())


def _leases(world: World) -> Asked:
    """A subscriber begins to move much."""
    world.guests.enter_context(world.moves_much(GUEST))
    wanted = leases_of(world.files, GUEST)
    return Asked(world.daemon.process, lambda: wanted <= kernel_state(world.gateway).leases.keys())


def _apply_alone(world: World) -> Asked:
    world.ask_for(world.files.flipped())
    return _alone(world, "apply")


def _teardown_alone(world: World) -> Asked:
    return _alone(world, "teardown")


def _alone(world: World, name: str) -> Asked:
    """By the command where no daemon runs: it is the one that dies."""
    command = subprocess.Popen(
        world.command(world.meter.environment, name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return Asked(command, lambda: command.poll() == ExitCode.DONE)


BY_DAEMON = (
    Operation("start", _start),
    Operation("reload", _reload),
    Operation("leases", _leases),
    Operation("apply", _apply),
    Operation("teardown", _teardown, opens=True),
    Operation("list", _list),
)
ALONE = (Operation("apply alone", _apply_alone), Operation("teardown alone", _teardown_alone, opens=True))
