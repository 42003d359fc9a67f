"""The status screen: rich's tables from the daemon's status object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edged.cli.capsscreen import caps_screen
from edged.cli.tables import columns, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edged.control.messages import CounterStatus, LayoutStatus, PolicyStatus, Repair, Status

CounterKey = tuple[str, str, str, str]  # policy, direction, family, verdict
Rates = Mapping[CounterKey, tuple[float, float]]  # packets and bytes a second

_REPAIRS = 3  # that are shown


def screen(status: Status, rates: Rates, now: float) -> Iterator[RenderableType]:
    """The whole screen, part after part; `now` is in seconds since the epoch."""
    yield _headline(status)
    yield _facts(status, now)
    yield _policies(status, rates)
    if status["lists"]:
        yield _lists(status, now)
    if status["caps"] is not None:
        yield from caps_screen(status["caps"])
    for each in status["degraded"]:
        yield Text.assemble(("degraded: ", "yellow"), f"{each['what']}: {each['why']}; instead: {each['instead']}")
    for warning in status["warnings"]:
        yield Text.assemble(("warning: ", "yellow"), warning)


def rates(before: Status, after: Status, seconds: float) -> Rates:
    """Packets and bytes a second between two looks; counters of a daemon that began anew in between count from nothing."""
    earlier = dict(_counters(before)) if before["pid"] == after["pid"] else {}
    found: dict[CounterKey, tuple[float, float]] = {}
    for key, counter in _counters(after):
        start = earlier.get(key)
        packets, octets = (start["packets"], start["bytes"]) if start else (0, 0)
        found[key] = ((counter["packets"] - packets) / seconds, (counter["bytes"] - octets) / seconds)
    return found


def _counters(status: Status) -> Iterator[tuple[CounterKey, CounterStatus]]:
    for policy in status["policies"]:
        for counter in policy["counters"]:
            yield (policy["policy"], counter["direction"], counter["family"], counter["verdict"]), counter


def _headline(status: Status) -> Text:
    if not status["enforcing"]:
        state = ("NOT enforcing: no policy is in force", "bold red")
    elif status["in_sync"]:
        state = ("in sync: the kernel is as the files ask", "bold green")
    else:
        state = ("NOT in sync: the kernel is not as edged wants it", "bold red")
    if status["in_sync"] and status["enforcing"] and status["configuration"]["running"] != "files":
        state = ("in sync with the last good configuration, NOT with the files", "bold yellow")
    elif status["in_sync"] and status["enforcing"] and not status["configuration"]["last_reload_successful"]:
        state = ("in sync with the policy from before; the files as they are now were refused", "bold yellow")
    return Text.assemble((status["gateway"], "bold"), "  ", state)


def _facts(status: Status, now: float) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    configuration = status["configuration"]
    reloaded = (
        f"taken {_ago(now - configuration['last_reload_success'])} ago" if configuration["last_reload_success"] else "never taken"
    )
    changed = "" if configuration["last_reload_successful"] else "; as they are now they are NOT in force"
    facts.add_row("files", f"{configuration['path']}, {reloaded}{changed}")
    facts.add_row("daemon", f"edged {status['version']}, pid {status['pid']}, metrics at {status['metrics']}")
    facts.add_row(
        "table", f"inet edged, lock: {status['lock']}, generation {status['generation']}" if status["enforcing"] else "none"
    )
    facts.add_row("interfaces", _interfaces(status["interfaces"]))
    facts.add_row("drift", _drift(status))
    if status["confirm"] is not None:
        left = f"rolled back in {status['confirm']['seconds_left']:.0f} s unless you run: edged confirm"
        facts.add_row("confirm", Text(left, style="bold yellow"))
    return facts


def _interfaces(present: Mapping[str, bool]) -> Text:
    parts = [(name if there else f"{name} (absent)", "" if there else "yellow") for name, there in present.items()]
    return Text("  ").join(Text(name, style=style) for name, style in parts)


def _drift(status: Status) -> str:
    repairs = ", ".join(f"{count} {reason}" for reason, count in status["drift_repairs"].items() if count)
    return "\n".join([f"repaired: {repairs}", *map(_repair, status["recent_repairs"][:_REPAIRS])]) if repairs else "none seen"


def _repair(repair: Repair) -> str:
    at = datetime.fromtimestamp(repair["at"]).astimezone()
    pid = f" (pid {repair['pid']})" if repair["pid"] else ""
    return f"{at:%Y-%m-%d %H:%M:%S}  {repair['reason']} by {repair['process']}{pid}: {'; '.join(repair['what'])}"


def _policies(status: Status, rates: Rates) -> Table:
    numbers = ("packets", "bytes", *(("packets/s", "bit/s") if rates else ()))
    table = columns(("policy", "mode", "direction", "family", "verdict"), numbers)
    for policy in status["policies"]:
        _add_policy(table, policy, rates)
    return table


def _add_policy(table: Table, policy: PolicyStatus, rates: Rates) -> None:
    name, mode = policy["policy"], policy["mode"]
    if not policy["counters"]:
        table.add_row(name, _mode(mode))
    for counter in policy["counters"]:
        cells = [counter["direction"], counter["family"], counter["verdict"], f"{counter['packets']:,}", size(counter["bytes"])]
        rate = rates.get((policy["policy"], counter["direction"], counter["family"], counter["verdict"]))
        if rate is not None:
            cells += [f"{rate[0]:,.0f}", f"{rate[1] * 8:,.0f}"]
        table.add_row(name, _mode(mode), *cells)
        name = mode = ""


def _lists(status: Status, now: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("list", no_wrap=True)
    table.add_column("entries", justify="right", no_wrap=True)
    table.add_column("good", no_wrap=True)
    table.add_column("source", overflow="fold")
    for each in status["lists"]:
        good = f"{_ago(now - each['last_success'])} ago" if each["last_success"] else "never"
        state = Text(good, style="yellow" if each["refused"] else "")
        bad = f", {each['bad_lines']} bad lines left out" if each["bad_lines"] else ""
        table.add_row(each["list"], f"{each['entries']:,}", state, f"{each['source']}{bad}")
    for layout in status["layout"]:
        table.add_row("", f"{layout['entries']:,}", layout["family"], _layout(layout))
    return table


def _layout(layout: LayoutStatus) -> str:
    """In which sets a family's prefixes are looked up: `/32 and /24 hashed, 14 of /9 to /30 in ranges; 337 ns a lookup`."""
    hashed = " ".join(f"/{length}" for length in layout["hashed"])
    parts = [f"{hashed} hashed"] if hashed else []
    if layout["ranged"]:
        lengths = [int(length) for length in layout["ranged"]]
        parts.append(f"{sum(layout['ranged'].values()):,} of /{min(lengths)} to /{max(lengths)} as ranges")
    return f"{', '.join(parts)}; {layout['nanoseconds']} ns a lookup"


def _mode(mode: str) -> Text:
    return Text(mode, style={"enforce": "green", "observe": "yellow", "off": "dim"}.get(mode, ""))


def _ago(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
