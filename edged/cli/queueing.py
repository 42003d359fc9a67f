"""The queueing that a configuration asks for, as commands compare and show it; it is the daemon that makes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.interfaces import is_wildcard

if TYPE_CHECKING:
    from edged.caps.shapers import Ways
    from edged.configuration import Configuration
    from edged.kernel.tc import TrafficControl
    from edged.queueing.observed import ObservedDevice, TrafficCapabilities
    from edged.queueing.plan import Step
    from edged.queueing.tree import Tree


@dataclass(frozen=True, slots=True)
class Compared:
    """What the daemon would do to the queueing, and what it would leave as it is, with the reason."""

    steps: tuple[Step, ...]
    stays: tuple[str, ...]


def compare(configuration: Configuration, traffic: TrafficControl) -> Compared:
    """What separates the kernel's queueing from what the files ask for; leases that a daemon has given are left out of it.

    Raises KernelError.
    """
    from edged.caps.shapers import replaced
    from edged.daemon.capper import caps_in_force
    from edged.queueing.diff import diff

    observed = traffic.observe()
    caps = caps_in_force(configuration)
    if caps is None:
        return Compared(diff((), observed).steps, ())
    held = asked_for(configuration, traffic.capabilities(), observed)
    standing = (tree for way in held.values() for tree in way.standing(observed))
    plan = diff(standing, observed, replaced(caps, observed))
    policed = ((direction, way.why_policed) for direction, way in held.items() if way.why_policed)
    stays = [f"{direction.value}: {why}; heavy flows are policed" for direction, why in policed]
    return Compared(plan.steps, (*stays, *_missing(configuration, observed)))


def trees(configuration: Configuration) -> tuple[Tree, ...]:
    """The trees on devices as the kernel sets them up, where it has every qdisc."""
    from edged.queueing.observed import KernelDefault, ObservedDevice, TrafficCapabilities
    from edged.queueing.tree import Leaf

    gateway = configuration.edged.gateway
    named = (name for name in (*gateway.access, *gateway.upstream) if not is_wildcard(name))
    untouched = [ObservedDevice(name, KernelDefault()) for name in named]
    everything = TrafficCapabilities(htb=True, leaves=frozenset(Leaf))
    return tuple(tree for way in asked_for(configuration, everything, untouched).values() for tree in way.trees(()))


def asked_for(configuration: Configuration, able: TrafficCapabilities, observed: Iterable[ObservedDevice]) -> Ways:
    """How each direction would be held with these qdiscs and devices; nothing where no caps are enforced."""
    from edged.caps.shapers import ways
    from edged.daemon.capper import caps_in_force
    from edged.kernel.linerate import line_rate

    caps = caps_in_force(configuration)
    return {} if caps is None else ways(caps, configuration.edged.gateway, able, observed, line_rate)


def _missing(configuration: Configuration, observed: Iterable[ObservedDevice]) -> Iterator[str]:
    from edged.queueing.plan import MissingDevice

    there = {device.name for device in observed}
    gateway = configuration.edged.gateway
    for name in (*gateway.access, *gateway.upstream):
        if name not in there and not is_wildcard(name):
            yield str(MissingDevice(name))
