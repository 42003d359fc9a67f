"""What the daemon tells of caps: who is held and how, the queues, who uses most, and what is less than the files ask for.

Pure: everything it tells of comes in as a CapsView.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from edged.caps.book import Method, Policed, Shaped
from edged.caps.shapers import devices
from edged.config.gateway import Gateway
from edged.control.messages import CappedStatus, CapsStatus, Degraded, DirectionStatus, QueueStatus, Top, TopUse
from edged.daemon.capper import caps_of
from edged.daemon.capstate import CapState, Use
from edged.daemon.strangers import DEAF_SECONDS, StrangersState
from edged.inspect.sight import TrafficClass
from edged.inspectors.post import QueueFigures, State
from edged.interfaces import is_wildcard
from edged.loader import Configuration
from edged.marks import FlowClass
from edged.policies.base import Mode
from edged.policies.capping import BY_CONTENT, CAPPED
from edged.policies.caps import Caps
from edged.queueing.observed import TrafficCapabilities
from edged.queueing.tree import Leaf
from edged.ruleset.nodes import Direction

METHODS: Final[Mapping[type[Method], str]] = {Shaped: "shape", Policed: "police"}

_INSPECTED = (State.INSPECTING, State.BEGINNING)


@dataclass(frozen=True, slots=True)
class CapsView:
    """All that there is to tell of caps, as of one moment; `queues` are all that there have been."""

    state: CapState = field(default_factory=CapState)
    queues: tuple[QueueFigures, ...] = ()
    uninspected: int = 0  # packets that were to go to one of them, and passed
    has_queues: bool = True  # the kernel hands packets to programs
    no_inspection: str = ""  # why no flow is inspected though it could be
    no_bulk: str = ""  # why no bulk transfer is found
    bulk_found: int = 0  # flows
    strangers: StrangersState = field(default_factory=StrangersState)


def held(caps: Caps) -> tuple[FlowClass, ...]:
    """The classes that are capped."""
    return tuple(each for each in CAPPED if caps.cap(each) is not None)


def class_word(found: TrafficClass | None) -> str:
    """What a flow was found to be, as users see it."""
    return "other" if found is None else found.value


def queueing_features(able: TrafficCapabilities | None) -> Mapping[str, bool]:
    """What this kernel has for queueing, by name; nothing where nobody asked it, as without caps."""
    if able is None:
        return {}
    return {"htb": able.htb, **{leaf.value: leaf in able.leaves for leaf in (Leaf.CAKE, Leaf.FQ_CODEL)}}


def caps_status(configuration: Configuration, view: CapsView) -> CapsStatus | None:
    """The part of the status about caps; None where there are none."""
    caps = caps_of(configuration)
    if caps is None:
        return None
    capped = view.state.capped
    return {
        "capped": [_capped(flow_class, capped) for flow_class in held(caps)],
        "directions": [_direction(direction, view.state) for direction in Direction] if caps.mode is Mode.ENFORCE else [],
        "bulk_found": view.bulk_found,
        "queues": [_queue(each) for each in _queues(caps, view)],
        "uninspected": view.uninspected,
    }


def caps_degraded(configuration: Configuration, view: CapsView) -> Iterator[Degraded]:
    """What of the caps the files ask for is not given, and what edged does instead."""
    caps = caps_of(configuration)
    if caps is None:
        return
    if view.state.trouble:
        instead = "nobody's flows are slowed until the next try succeeds"
        yield Degraded(what="caps", why=view.state.trouble, instead=instead)
    if caps.mode is Mode.ENFORCE:
        yield from _shaping(caps, configuration.edged.gateway, view.state)
        yield from _strangers(view.strangers)
    if any(caps.cap(each) for each in BY_CONTENT):
        yield from _inspection(caps, view)
    if view.no_bulk:
        yield Degraded(what="bulk transfers", why=view.no_bulk, instead="no further one is found; what is capped stays so")


def top(view: CapsView, limit: int) -> Top:
    """The leases whose flows move most, the fastest first; behind them those that nobody counts."""
    uses = sorted(view.state.uses, key=_rank)
    return {"schema": "edged/v1/top", "leases": len(uses), "uses": [_use(each) for each in uses[:limit]]}


def _shaping(caps: Caps, gateway: Gateway, state: CapState) -> Iterator[Degraded]:
    """Directions that are policed although the files ask for shaping: a pool, on devices that have names."""
    for direction, names in devices(gateway).items():
        why = state.policed.get(direction)
        if why and caps.pool and not any(map(is_wildcard, names)):
            instead = "heavy flows are policed: what is beyond a cap is dropped, not queued"
            yield Degraded(what=f"shaping {direction.value}", why=why, instead=instead)


def _strangers(state: StrangersState) -> Iterator[Degraded]:
    if state.contention:
        instead = (
            "until then flows may go by their caps; end what changes it: edged and another program cannot both have these qdiscs"
        )
        yield Degraded(what="queueing", why=state.contention, instead=instead)
    if state.deafness:
        instead = f"the devices' queueing is looked at each {DEAF_SECONDS:.0f} s"
        yield Degraded(what="events of tc", why=state.deafness, instead=instead)


def _inspection(caps: Caps, view: CapsView) -> Iterator[Degraded]:
    by_content = " and ".join(each.label for each in BY_CONTENT if caps.cap(each))
    unless = ", unless they become bulk" if caps.cap(FlowClass.BULK) else ""
    instead = f"new {by_content} flows pass uncapped{unless}"
    if not view.has_queues:
        yield Degraded(what="inspection", why="this kernel hands no packets to programs (nfnetlink_queue)", instead=instead)
    elif view.no_inspection:
        yield Degraded(what="inspection", why=view.no_inspection, instead=instead)
    else:
        for each in _queues(caps, view):
            if each.state not in _INSPECTED:
                yield Degraded(what=f"queue {each.queue}", why=each.state.value, instead=f"meanwhile {instead}")


def _queues(caps: Caps, view: CapsView) -> Iterable[QueueFigures]:
    """Those that the files ask for; others have been before a reload."""
    wanted = caps.queues if any(caps.cap(each) for each in BY_CONTENT) else 0
    return (each for each in view.queues if each.queue < wanted)


def _capped(flow_class: FlowClass, capped: Mapping[tuple[FlowClass, type[Method]], int]) -> CappedStatus:
    shaped, policed = (capped.get((flow_class, method), 0) for method in METHODS)
    return {"class": flow_class.label, "shaped": shaped, "policed": policed}


def _direction(direction: Direction, state: CapState) -> DirectionStatus:
    return {
        "direction": direction.value,
        "pool": state.pools.get(direction, 0),
        "leased": state.leased.get(direction, 0),
        "policed": state.policed.get(direction, ""),
    }


def _queue(figures: QueueFigures) -> QueueStatus:
    return {
        "queue": figures.queue,
        "state": figures.state.name.lower(),
        "meaning": figures.state.value,
        "packets": dict(figures.packets),
        "flows": {class_word(each): count for each, count in figures.flows.items()},
        "restarts": figures.restarts,
        "lags": figures.lags,
    }


def _rank(use: Use) -> tuple[bool, float, str, str, str]:
    fastest = use.cap if use.rate is None else use.rate
    return use.rate is None, -fastest, use.subscriber, use.flow_class.label, use.direction.value


def _use(use: Use) -> TopUse:
    return {
        "subscriber": use.subscriber,
        "plan": use.plan,
        "class": use.flow_class.label,
        "direction": use.direction.value,
        "method": METHODS[use.method],
        "cap": use.cap,
        "rate": use.rate,
        "dropped": use.dropped,
    }
