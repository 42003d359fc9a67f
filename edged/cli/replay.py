"""`edged replay`: runs captures through the policy, by the model or by the real kernel."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Command
from edged.errors import ExitCode

if TYPE_CHECKING:
    from edged.loader import Configuration
    from edged.replay.engine import Engine
    from edged.replay.expect import Expectations
    from edged.replay.run import Take
    from edged.replay.sides import SideOf

EXAMPLES = """\
Examples:
  edged replay yesterday.pcap                        what the policy makes of it
  edged replay -c new/edged.yaml --packets new.jsonl yesterday.pcap.gz
  edged replay --expect expect.yaml --junit report.xml *.pcapng
  edged replay --diff /etc/edged/edged.yaml new/edged.yaml yesterday.pcap      which flows a change would touch
  sudo edged replay --engine kernel yesterday.pcap   the same, by the kernel of this machine in a throw-away gateway

A packet comes from the access side if its source is in a pool, else from upstream; --from and --access-mac say otherwise. The
model ends exemptions by the capture's clock, the kernel by its own. What --expect takes is told at the top of
edged/replay/expect_file.py. Exit codes: 0, 1 an expectation was missed,
3 invalid files, 5 with --diff: flows differ.
"""

_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")


class MacType(click.ParamType[int]):
    """An Ethernet address."""

    name = "mac"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The address as a number, or a usage error."""
        if isinstance(value, int):
            return value
        if not _MAC.fullmatch(value):
            self.fail(f"{value!r} is not an Ethernet address such as 02:00:00:00:00:01", param, ctx)
        return int(re.sub("[:-]", "", value), 16)


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@json_option
@click.option("--engine", type=click.Choice(["model", "kernel"]), default="model", show_default=True, help="Who judges.")
@click.option("--packets", type=_FILE, metavar="FILE", help="Write each packet's verdict there, a JSON object a line.")
@click.option("--flows", type=_FILE, metavar="FILE", help="Write the flows there, as CSV.")
@click.option("--expect", type=_FILE, metavar="FILE", help="What must come of it (YAML); a miss ends with exit code 1.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write what came of --expect there, as JUnit XML.")
@click.option("--from", "every", type=click.Choice(["access", "upstream"]), help="All packets come from this side.")
@click.option(
    "--access-mac", "macs", type=MacType(), multiple=True, metavar="MAC", help="What comes from this MAC is from access."
)
@click.option(
    "--diff", type=_FILE, nargs=2, metavar="OLD.yaml NEW.yaml", help="List the flows whose verdict differs between two policies."
)
@click.argument("captures", nargs=-1, required=True, type=_FILE, metavar="CAPTURE...")
@click.pass_context
def command(
    ctx: click.Context,
    path: Path,
    out: Output,
    engine: str,
    packets: Path | None,
    flows: Path | None,
    expect: Path | None,
    junit: Path | None,
    every: str | None,
    macs: tuple[int, ...],
    diff: tuple[Path, Path] | None,
    captures: tuple[Path, ...],
) -> None:
    """Run captures through the policy, and tell what becomes of each packet."""
    if diff:
        if any((packets, flows, expect, junit)):
            raise click.UsageError("--diff compares two policies; --packets, --flows, --expect and --junit are of one")
        _compare(ctx, out, engine, diff, every, macs, captures)
    if junit is not None and expect is None:
        raise click.UsageError("--junit tells what came of --expect, which is missing")
    if every is not None and macs:
        raise click.UsageError("--from and --access-mac exclude each other")
    from edged.lists.offline import in_force
    from edged.policies import Mode
    from edged.replay.report import Summary
    from edged.replay.run import Replay

    configuration = in_force(load_configuration(path))
    expectations = _expectations(configuration, expect) if expect else None
    names = [str(capture) for capture in captures]
    modes = {each.settings.policy: each.settings.mode for each in configuration.policies}
    summary = Summary(engine, names, [name for name, mode in modes.items() if mode is not Mode.OFF])
    began = time.monotonic()
    with ExitStack() as opened:
        takers = _takers(opened, packets, flows, expectations)
        judging = _engine(opened, engine, configuration)
        replay = Replay(judging, _side_of(configuration, every, macs), summary, takers)
        replay.run(captures, _progress(opened, out))
    seconds = time.monotonic() - began
    results = expectations.results() if expectations else ()
    for line in replay.damaged:
        out.warn(f"warning: {line}")
    if junit is not None:
        from edged.replay.junit import junit as as_junit

        junit.write_bytes(as_junit(names, results, seconds))
    if out.as_json:
        out.document(summary.document(seconds))
        for result in results:
            if not result.held:
                out.text(str(result))
    else:
        from edged.replay.screen import screen

        for part in screen(summary, results, seconds):
            out.console.print(part)
    if not all(result.held for result in results):
        ctx.exit(ExitCode.FAILED)


def _compare(
    ctx: click.Context,
    out: Output,
    engine: str,
    policies: tuple[Path, Path],
    every: str | None,
    macs: tuple[int, ...],
    captures: tuple[Path, ...],
) -> NoReturn:
    from edged.lists.offline import in_force
    from edged.replay.compare import differing
    from edged.replay.flows import Flows
    from edged.replay.report import Summary
    from edged.replay.run import Replay

    seen = []
    for path in policies:
        configuration, flows = in_force(load_configuration(path)), Flows()
        with ExitStack() as opened:
            judging = _engine(opened, engine, configuration)
            replay = Replay(judging, _side_of(configuration, every, macs), Summary(engine, []), [flows.take])
            replay.run(captures, _progress(opened, out))
        seen.append(list(flows.rows()))
    found = list(differing(*seen))
    for each in found:
        out.text(str(each))
    out.text(f"{len(found)} of {len(seen[0])} flows differ")
    out.data(flows=len(seen[0]), differing=[each.document() for each in found])
    ctx.exit(ExitCode.DIFFERENT if found else ExitCode.DONE)


def _expectations(configuration: Configuration, path: Path) -> Expectations:
    from edged.config.problem import InvalidConfiguration, Problem
    from edged.replay.expect import Expectations
    from edged.replay.expect_file import read_expectations
    from edged.replay.filter_values import site_names

    try:
        raw = path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), 1, 1, "", f"the file cannot be read: {error.strerror}")
        raise InvalidConfiguration((problem,)) from error
    return Expectations(read_expectations(str(path), raw, site_names(configuration.site())))


def _takers(opened: ExitStack, packets: Path | None, flows: Path | None, expectations: Expectations | None) -> list[Take]:
    takers: list[Take] = []
    if expectations is not None:
        takers.append(expectations.feed)
    if packets is not None:
        from edged.replay.writers import PacketsWriter

        takers.append(PacketsWriter(opened.enter_context(_text(packets))).write)
    if flows is not None:
        from edged.replay.flows import Flows
        from edged.replay.writers import FlowsWriter

        collected = Flows()
        file = opened.enter_context(_text(flows))
        opened.callback(lambda: FlowsWriter(file).write(collected.rows()))
        takers.append(collected.take)
    return takers


def _text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def _engine(opened: ExitStack, engine: str, configuration: Configuration) -> Engine:
    site = configuration.site()
    if engine == "kernel":
        from edged.replay.kernel import KernelEngine

        return opened.enter_context(KernelEngine(configuration.table(int(time.time())), site))
    from edged.replay.model import Model

    # every exemption that there ever was: the model ends each by the capture's clock
    return Model(configuration.table(0), site)


def _side_of(configuration: Configuration, every: str | None, macs: tuple[int, ...]) -> SideOf:
    from edged.replay.arrival import Side
    from edged.replay.sides import Sides, by_mac

    if every is not None:
        side = Side(every)
        return lambda _: side
    return by_mac(frozenset(macs)) if macs else Sides(configuration.site()).of_sender


def _progress(opened: ExitStack, out: Output) -> Callable[[str, int], None]:
    """Tells on a terminal how far it is; long captures take a while."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal or out.as_json:
        return lambda _name, _packets: None
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    bar = opened.enter_context(Progress(*columns, console=console, transient=True))
    task = bar.add_task("replaying")
    return lambda name, packets: bar.update(task, description=f"{name}: {packets:,} packets")
