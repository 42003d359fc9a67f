"""`edged doctor`: what this kernel and machine can do, and what edged does where something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli import machine as around
from edged.cli.files import control_client, load_configuration, named_state
from edged.cli.kernel import open_kernel, open_traffic_control
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Command
from edged.errors import EdgedError, ExitCode, KernelError
from edged.interfaces import fits

if TYPE_CHECKING:
    from edged.doctor.finding import Finding
    from edged.loader import Configuration

EXAMPLES = """\
Examples:
  sudo edged doctor
  sudo edged doctor --json | jq '.findings[] | select(.grade != "ok")'

It changes nothing; the kernel's features are found out by dry runs. Exit codes: 0 nothing is missing, 8 something is, and the
last column says what edged does instead.
"""

_STYLES = {"ok": "green", "warn": "yellow", "missing": "bold red"}


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.pass_context
def command(ctx: click.Context, path: Path, socket: Path | None, out: Output) -> None:
    """Say what this kernel and machine can do, and what edged does where something is missing."""
    from edged.doctor.finding import Grade

    findings = list(_examine(path, socket))
    worst = next((grade for grade in (Grade.MISSING, Grade.WARN) if any(each.grade is grade for each in findings)), Grade.OK)
    _print(findings, out)
    out.data(result=worst.value, findings=[{**asdict(each), "grade": each.grade.value} for each in findings])
    if worst is Grade.MISSING:
        ctx.exit(ExitCode.DEGRADED)


def _examine(path: Path, socket: Path | None) -> Iterator[Finding]:
    from edged.doctor import machine
    from edged.doctor.finding import Finding, Grade

    configuration = None
    try:
        configuration = load_configuration(path)
    except EdgedError as error:
        found = f"{len(error.problems)} problems" if error.problems else str(error)
        instead = (
            "interfaces, and what bypasses the rules on them, are not compared with the files; edged check lists what is wrong"
        )
        yield Finding("files", str(path), Grade.WARN, found, "what is asked for", instead)
    yield machine.capability()
    yield from _kernel()
    yield from _strangers(configuration)
    yield from _queueing(configuration)
    yield from _network(configuration)
    try:
        yield machine.state_folder(named_state(path))
        yield machine.daemon(control_client(path, socket))
    except EdgedError:
        pass  # said above: there is no such file
    yield machine.systemd()
    yield machine.nft_command()
    yield from machine.packages()


def _kernel() -> Iterator[Finding]:
    from edged.doctor.features import features
    from edged.doctor.finding import Finding, Grade

    try:
        with open_kernel() as kernel:
            yield from features(kernel.capabilities())
    except KernelError as error:
        yield Finding("kernel", "nftables", Grade.MISSING, "cannot be used", "enforcing the policies", str(error))


def _strangers(configuration: Configuration | None) -> Iterator[Finding]:
    from edged.daemon.capper import caps_in_force
    from edged.doctor import strangers
    from edged.doctor.finding import Finding, Grade
    from edged.kernel.ethtool import active_features

    try:
        flowtables, rules = around.foreign_flowtables(), around.foreign_rules()
        found = around.bypasses(configuration.site()) if configuration else ()
    except KernelError as error:
        yield Finding("kernel", "bypasses", Grade.MISSING, "cannot be looked for", "seeing every packet", str(error))
        return
    if configuration is not None:
        yield from strangers.bypassed(found)
        caps = caps_in_force(configuration)
        yield from strangers.rules(rules, configuration.edged.marks.mask, caps.queues if caps else 0)
        for name in sorted(around.present_interfaces()):
            if any(fits(name, wanted) for wanted in (*configuration.site().access, *configuration.site().upstream)):
                yield from strangers.cards(name, active_features(name))
    yield from strangers.elsewhere(flowtables, found)


def _queueing(configuration: Configuration | None) -> Iterator[Finding]:
    from edged.daemon.capper import caps_in_force
    from edged.doctor.finding import Finding, Grade
    from edged.doctor.queueing import qdiscs, roots

    caps = caps_in_force(configuration)
    try:
        with open_traffic_control() as traffic:
            able, observed = traffic.capabilities(), traffic.observe()
    except KernelError as error:
        yield Finding(
            "queueing", "tc", Grade.MISSING if caps else Grade.WARN, "cannot be used", "shaping heavy flows", str(error)
        )
        return
    yield from qdiscs(able, caps)
    if configuration is not None:
        gateway = configuration.edged.gateway
        yield from roots((*gateway.access, *gateway.upstream), observed, caps)


def _network(configuration: Configuration | None) -> Iterator[Finding]:
    from edged.daemon.capper import caps_of
    from edged.doctor import machine
    from edged.doctor.sysctls import COUNTING, EXPECTATIONS, sysctls

    if configuration is None:
        yield from sysctls(())
        return
    site = configuration.site()
    wanted, absent = (*site.access, *site.upstream), around.absent_interfaces(site)
    yield from machine.interfaces(absent, wanted)
    present = tuple(name for name in wanted if name not in absent and not name.endswith("*"))
    expectations = (*EXPECTATIONS, COUNTING) if caps_of(configuration) else EXPECTATIONS
    yield from sysctls(present, expectations=expectations, subscribers=len(configuration.subscribers))


def _print(findings: list[Finding], out: Output) -> None:
    from rich.table import Table
    from rich.text import Text

    from edged.doctor.finding import Grade
    from edged.doctor.promises import told

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("what", "found", "what for, or what edged does instead"):
        table.add_column(name, overflow="fold")
    for each in findings:
        meaning = each.instead if each.instead and each.grade is not Grade.OK else each.purpose
        meaning = "; ".join(part for part in (meaning, told(each.weakens)) if part)
        table.add_row(Text(each.grade.value, style=_STYLES[each.grade.value]), Text(each.name), Text(each.found), Text(meaning))
    out.console.print(table)
