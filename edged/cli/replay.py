"""`edged replay`: runs captures through the policy, by the model or by the real kernel."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.replaying import How, parts, policies_of, work
from edged.cli.root import Command
from edged.errors import ExitCode

if TYPE_CHECKING:
    from edged.loader import Configuration
    from edged.replay.expect import Expectation

EXAMPLES = """\
Examples:
  edged replay yesterday.pcap                        what the policy makes of it
  edged replay -c new/edged.yaml --packets new.jsonl yesterday.pcap.gz
  edged replay --expect expect.yaml --junit report.xml --jobs 4 *.pcapng
  edged replay --diff /etc/edged/edged.yaml new/edged.yaml yesterday.pcap      which flows a change would touch
  sudo edged replay --engine kernel yesterday.pcap   the same, by the kernel of this machine in a throw-away gateway

A packet comes from the access side if its source is in a pool, else from upstream; --from and --access-mac say otherwise. The
model ends exemptions by the capture's clock, the kernel by its own. Where the policy has caps, or --flows or a filter asks for
it, packets are looked into: their flows are p2p, streaming or neither. What --expect takes is told at the top of
edged/replay/expect_file.py. Exit codes: 0, 1 an expectation was missed, 3 invalid files, 5 with --diff: flows differ.
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
@click.option("--flows", type=_FILE, metavar="FILE", help="Write the flows there, as CSV, with classes and host names.")
@click.option("--expect", type=_FILE, metavar="FILE", help="What must come of it (YAML); a miss ends with exit code 1.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write what came of --expect there, as JUnit XML.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="How many captures to work on at a time."
)
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
    jobs: int,
    every: str | None,
    macs: tuple[int, ...],
    diff: tuple[Path, Path] | None,
    captures: tuple[Path, ...],
) -> None:
    """Run captures through the policy, and tell what becomes of each packet."""
    if every is not None and macs:
        raise click.UsageError("--from and --access-mac exclude each other")
    if engine == "kernel" and jobs > 1:
        raise click.UsageError("--jobs is of the model; the kernel judges one capture at a time")
    how = How(engine, every, frozenset(macs), jobs)
    if diff:
        if any((packets, flows, expect, junit)):
            raise click.UsageError("--diff compares two policies; --packets, --flows, --expect and --junit are of one")
        _compare(ctx, out, how, diff, captures)
    if junit is not None and expect is None:
        raise click.UsageError("--junit tells what came of --expect, which is missing")
    from edged.lists.offline import in_force
    from edged.replay.expect import Expectations
    from edged.replay.report import Summary
    from edged.replay.writers import FlowsWriter

    configuration = in_force(load_configuration(path))
    expectations = Expectations(_expected(configuration, expect) if expect else ())
    names = [str(capture) for capture in captures]
    summary = Summary(engine, names, policies_of(configuration))
    damaged = []
    began = time.monotonic()
    with ExitStack() as opened:
        if packets is not None:
            packets.write_bytes(b"")
        writer = FlowsWriter(opened.enter_context(_text(flows))) if flows is not None else None
        asked = work(opened, how, configuration, expectations.all, flows=flows is not None)
        for part in parts(opened, out, how, asked, captures, packets):
            summary.include(part.summary)
            expectations.include(part.counts)
            if writer is not None:
                writer.write(part.rows)
            damaged += [part.damage] if part.damage else []
    seconds = time.monotonic() - began
    results = expectations.results()
    for line in damaged:
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

        for shown in screen(summary, results, seconds):
            out.console.print(shown)
    if not all(result.held for result in results):
        ctx.exit(ExitCode.FAILED)


def _compare(
    ctx: click.Context,
    out: Output,
    how: How,
    policies: tuple[Path, Path],
    captures: tuple[Path, ...],
) -> NoReturn:
    from edged.lists.offline import in_force
    from edged.replay.compare import differing

    seen = []
    for path in policies:
        configuration = in_force(load_configuration(path))
        with ExitStack() as opened:
            found = parts(opened, out, how, work(opened, how, configuration, (), flows=True), captures, None)
            seen.append([row for part in found for row in part.rows])
    differ = list(differing(*seen))
    for each in differ:
        out.text(str(each))
    out.text(f"{len(differ)} of {len(seen[0])} flows differ")
    out.data(flows=len(seen[0]), differing=[each.document() for each in differ])
    ctx.exit(ExitCode.DIFFERENT if differ else ExitCode.DONE)


def _expected(configuration: Configuration, path: Path) -> tuple[Expectation, ...]:
    from edged.config.problem import InvalidConfiguration, Problem
    from edged.replay.expect_file import read_expectations
    from edged.replay.filter_values import site_names

    try:
        raw = path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), 1, 1, "", f"the file cannot be read: {error.strerror}")
        raise InvalidConfiguration((problem,)) from error
    return read_expectations(str(path), raw, site_names(configuration.site()))


def _text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
