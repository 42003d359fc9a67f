"""What the daemon tells about itself: the status object, what of the configuration it cannot give, and a line for systemd.

Pure: everything it tells of comes in as a View.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edged import __version__
from edged.control.messages import CounterStatus, Degraded, LayoutStatus, ListStatus, PolicyStatus, Repair, Status
from edged.daemon.capsreport import CapsView, caps_degraded, caps_status
from edged.daemon.keeper import KeeperState
from edged.daemon.record import Record, Source
from edged.daemon.totals import over_classes
from edged.interfaces import presence
from edged.kernel.bypasses import Bypass
from edged.lists.book import Health
from edged.loader import Configuration, PlacedPolicy
from edged.policies import Blocklist
from edged.ruleset.observed import CounterValue
from edged.ruleset.plan import Lock
from edged.ruleset.tree import Counter


@dataclass(frozen=True, slots=True)
class View:
    """All that there is to tell, as of one moment."""

    record: Record
    kept: KeeperState
    lock: Lock
    totals: Mapping[Counter, CounterValue]
    present: frozenset[str]  # the interfaces that are there
    bypasses: tuple[Bypass, ...]  # what takes packets past the rules
    seconds_left: float | None  # until the change that waits is rolled back
    restart_needed: tuple[str, ...]
    warnings: tuple[str, ...]  # of this machine
    metrics: str
    metrics_degraded: Degraded | None = None
    lists: tuple[Health, ...] = ()
    list_trouble: str = ""  # an accepted list that could not be kept, or is not in force
    unread: str = ""  # why the counters are as of an earlier reading
    unseen: str = ""  # why the interfaces and flowtables are as of an earlier look
    caps: CapsView = field(default_factory=CapsView)


def interfaces(configuration: Configuration, present: frozenset[str]) -> dict[str, bool]:
    """Each interface of the configuration, and whether it is there."""
    gateway = configuration.edged.gateway
    return presence((*gateway.access, *gateway.upstream), present)


def repairs(view: View) -> dict[str, int]:
    """How often what others did was put right, in the table and in the queueing, by reason."""
    table = {reason.value: count for reason, count in view.kept.repairs.items()}
    return table | {reason.value: count for reason, count in view.caps.strangers.repairs.items()}


def degraded(view: View) -> Iterator[Degraded]:
    """What is less than the configuration asks for, and what edged does instead."""
    record = view.record
    if record.idle:
        yield Degraded(what="enforcement", why=record.idle, instead="nothing of edged is in the kernel")
        return
    if record.source is Source.LAST_GOOD:
        yield Degraded(what="configuration", why=record.why_not_files, instead="the last good configuration is enforced")
    elif not record.reload_successful:
        why = f"the last reload failed: {record.reload_error.partition(chr(10))[0]}"
        yield Degraded(what="configuration", why=why, instead="the policy from before stays in force")
    for name, there in interfaces(record.configuration, view.present).items():
        if not there:
            yield Degraded(what=f"interface {name}", why="it is not there", instead="its rules wait for it to appear")
    if view.unread:
        yield Degraded(what="counters", why=view.unread, instead="their last values are shown")
    if view.unseen:
        yield Degraded(what="interfaces", why=view.unseen, instead="they are told of as they were last seen")
    if record.state_trouble:
        yield Degraded(
            what="state folder", why=record.state_trouble, instead="the policy is enforced; a restart reads the files alone"
        )
    if view.metrics_degraded is not None:
        yield view.metrics_degraded
    yield from _lists(view)
    yield from caps_degraded(record.configuration, view.caps)
    for bypass in view.bypasses:
        instead = f"what passes by it meets no policy, all else does; {bypass.remedy}"
        yield Degraded(what=bypass.what, why=bypass.why, instead=instead)
    for each in view.restart_needed:
        yield Degraded(what=each.partition(":")[0], why=each, instead="the former setting is used")


def status(view: View) -> Status:
    """The answer to GET /v1/status."""
    record, kept = view.record, view.kept
    configuration = record.configuration
    return Status(
        schema="edged/v1/status",
        gateway=configuration.edged.gateway.name,
        version=__version__,
        pid=os.getpid(),
        in_sync=kept.in_sync,
        enforcing=kept.enforcing,
        generation=kept.generation,
        lock=view.lock.value,
        configuration={
            "path": os.fspath(configuration.path),
            "last_reload_successful": record.reload_successful,
            "last_reload_success": record.reload_success,
            "running": record.source.value,
        },
        confirm=None if view.seconds_left is None else {"seconds_left": view.seconds_left},
        drift_repairs=repairs(view),
        recent_repairs=_recent_repairs(view),
        interfaces=interfaces(configuration, view.present),
        policies=[_policy(each, view) for each in configuration.policies],
        lists=[_list(each) for each in view.lists],
        layout=_layout(configuration),
        caps=None if record.idle else caps_status(configuration, view.caps),
        degraded=list(degraded(view)),
        warnings=[*map(str, configuration.warnings), *view.warnings, *([kept.trouble] if kept.trouble else [])],
        metrics=view.metrics,
    )


def line(view: View) -> str:
    """One line for `systemctl status`."""
    record, kept = view.record, view.kept
    if record.idle:
        return f"Enforcing nothing: {record.idle}"
    if not kept.in_sync:
        return f"Not in sync: {kept.trouble}"
    parts = ["The files are in force" if record.source is Source.FILES else "The last good configuration is in force"]
    if record.source is Source.LAST_GOOD:
        parts.append(record.why_not_files)
    elif not record.reload_successful:
        parts.append("the last reload failed")
    if view.seconds_left is not None:
        parts.append("a change waits for its confirmation")
    if absent := [name for name, there in interfaces(record.configuration, view.present).items() if not there]:
        parts.append(f"absent: {', '.join(absent)}")
    if view.caps.state.trouble:
        parts.append("heavy flows are not capped")
    if repaired := sum(repairs(view).values()):
        parts.append(f"{repaired} foreign changes undone")
    return "; ".join(parts)


def _lists(view: View) -> Iterator[Degraded]:
    for each in view.lists:
        if each.refused:
            instead = "nothing of it is blocked"
            if each.accepted:
                at = datetime.fromtimestamp(each.accepted, UTC)
                instead = f"the last good list, of {at:%Y-%m-%dT%H:%M:%SZ} with {each.entries} entries, stays in force"
            yield Degraded(what=f"list {each.name}", why=each.refused, instead=instead)
    if view.list_trouble:
        yield Degraded(what="lists", why=view.list_trouble, instead="the lists that are in force stay so")


def _list(health: Health) -> ListStatus:
    return ListStatus(
        list=health.name,
        source=health.source,
        entries=health.entries,
        accepted=health.accepted,
        last_success=health.succeeded,
        bad_lines=health.bad_lines,
        refused=health.refused,
        reason=health.reason.value if health.reason else "",
    )


def _layout(configuration: Configuration) -> list[LayoutStatus]:
    site = configuration.site()
    return [
        LayoutStatus(
            family=family.label,
            entries=len(prefixes),
            hashed={str(length): len(prefixes.by_length[length]) for length in layout.hashed},
            ranged={str(length): len(prefixes.by_length[length]) for length in layout.ranged},
            nanoseconds=round(layout.nanoseconds),
        )
        for each in configuration.policies
        if isinstance(each.settings, Blocklist)
        for family, prefixes, layout in each.settings.layouts(site)
    ]


def _recent_repairs(view: View) -> list[Repair]:
    recent = sorted((*view.kept.recent, *view.caps.strangers.recent), key=lambda each: each.at, reverse=True)
    return [
        Repair(at=each.at, reason=each.reason, process=each.process.name, pid=each.process.pid, what=list(each.what))
        for each in recent
    ]


def _policy(placed: PlacedPolicy, view: View) -> PolicyStatus:
    name = placed.settings.policy
    return PolicyStatus(
        policy=name,
        mode=placed.settings.mode.value,
        file=str(placed.places.at("policy")),
        counters=[_counter(counter, value) for counter, value in over_classes(view.totals).items() if counter.policy == name],
    )


def _counter(counter: Counter, value: CounterValue) -> CounterStatus:
    _, direction, family, verdict = counter.labels
    return CounterStatus(
        direction=direction,
        family=family,
        verdict=verdict,
        packets=value.packets,
        bytes=value.bytes,
    )
