"""What `edged replay` does with captures, whatever is asked of them: by whom, from which side, by how many processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli.options import Output

if TYPE_CHECKING:
    from edged.loader import Configuration
    from edged.replay.engine import Engine
    from edged.replay.expect import Expectation
    from edged.replay.part import Looking, Part, Work
    from edged.replay.sides import SideOf


@dataclass(frozen=True, slots=True)
class How:
    """How captures are to be replayed: --engine, --from, --access-mac and --jobs."""

    engine: str
    every: str | None
    macs: frozenset[int]
    jobs: int


def work(opened: ExitStack, how: How, configuration: Configuration, expected: tuple[Expectation, ...], *, flows: bool) -> Work:
    """The work on a capture, by an engine that is closed with `opened`."""
    from edged.replay.part import Work
    from edged.replay.run import Replay

    replay = Replay(_engine(opened, how, configuration), _side_of(how, configuration))
    return Work(replay, policies_of(configuration), expected, _looking(configuration, expected, flows=flows))


def parts(
    opened: ExitStack, out: Output, how: How, work: Work, captures: tuple[Path, ...], packets: Path | None
) -> Iterator[Part]:
    """The parts of the captures, in their order, while a terminal is told how far it is."""
    tell = _progress(opened, out, len(captures))
    jobs = min(how.jobs, len(captures))
    if jobs > 1:
        from edged.replay.jobs import spread

        for number, part in enumerate(spread(work, captures, jobs, packets), 1):
            tell(f"{number} of {len(captures)} captures", number)
            yield part
        return
    for place, path in enumerate(captures):

        def told(count: int, done: float, place: int = place, name: str = path.name) -> None:
            tell(f"{name}: {count:,} packets", place + done)

        yield work.part(place, path, packets, told)


def policies_of(configuration: Configuration) -> list[str]:
    """The names of the policies that are not off."""
    from edged.policies import Mode

    return [each.settings.policy for each in configuration.policies if each.settings.mode is not Mode.OFF]


def _looking(configuration: Configuration, expected: tuple[Expectation, ...], *, flows: bool) -> Looking | None:
    """How to look into packets; None where the answer would show nowhere, as it takes a quarter of the time."""
    from edged.policies import Caps, Mode
    from edged.replay.filters import Wording, asks
    from edged.replay.part import Looking

    caps = (each.settings for each in configuration.policies if isinstance(each.settings, Caps))
    is_capped = any(each.mode is not Mode.OFF for each in caps)
    if flows or is_capped or any(asks(each.filter, Wording.CLASS) for each in expected):
        return Looking(configuration.streaming_hosts, flows)
    return None


def _engine(opened: ExitStack, how: How, configuration: Configuration) -> Engine:
    site = configuration.site()
    if how.engine == "kernel":
        from edged.replay.kernel import KernelEngine

        return opened.enter_context(KernelEngine(configuration.table(int(time.time())), site))
    from edged.replay.model import Model

    # every exemption that there ever was: the model ends each by the capture's clock
    return Model(configuration.table(0), site)


def _side_of(how: How, configuration: Configuration) -> SideOf:
    from edged.replay.arrival import Side
    from edged.replay.sides import ByMac, Sides

    if how.every is not None:
        side = Side(how.every)
        return lambda _: side
    return ByMac(how.macs) if how.macs else Sides(configuration.site()).of_sender


def _progress(opened: ExitStack, out: Output, captures: int) -> Callable[[str, float], None]:
    """Shows on a terminal how far it is, in captures; long ones take a while."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal or out.as_json:
        return lambda _text, _captures: None
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    bar = opened.enter_context(Progress(*columns, console=console, transient=True))
    task = bar.add_task("replaying", total=captures)
    return lambda text, done: bar.update(task, description=text, completed=done)
