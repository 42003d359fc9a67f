"""Reload after reload, each with another policy: what the daemon holds afterwards, against what it held after the first ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from edged.kernel.linux import LinuxKernel
from edged.lab.topology import Topology
from tests.netns.daemon_process import Daemon
from tests.netns.resources.usage import usage
from tests.soak.soak import Report

_OP25B = "rules.d/20-op25b.yaml"
_FLAT = 5.0  # MiB within a quarter of the reloads: of many it shows what each leaves behind
_MODES = ("mode: enforce", "mode: observe", "mode: off")


def reloads(count: int, tell: Callable[[str], None]) -> Report:
    """So many reloads, and the judgement; a sample is after each, in place of seconds its number."""
    report = Report()
    with ExitStack() as opened:
        daemon = Daemon(opened.enter_context(Topology()).gateway)
        opened.callback(daemon.close)
        daemon.start(MALLOC_ARENA_MAX="2")  # as the unit does
        bystander = opened.enter_context(closing(LinuxKernel(daemon.host.netns)))
        for number in range(1, count + 1):
            old, new = _MODES[(number - 1) % 3], _MODES[number % 3]
            daemon.write(_OP25B, old, new)
            changed = daemon.client.reload()["changed"]
            assert changed, f"reload {number} changed nothing"
            report.changes += 1
            report.samples.append((number, usage(daemon.process.pid)))
            if new == _MODES[0]:
                table = bystander.observe().table
                assert table is not None
                report.objects.append(sum(map(len, (table.chains, table.sets, table.counters))))
            if number % 1000 == 0:
                tell(f"{number} reloads: {report.samples[-1][1]}")
        assert daemon.client.status()["in_sync"]
    report.judge(_FLAT)
    return report
