"""The guard itself: a compiled policy against every packet that far ends live by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edged.configuration import Configuration
from edged.errors import Refused
from edged.explain import protocol_name
from edged.lockout.farend import FarEnd
from edged.lockout.talks import Step, steps
from edged.ruleset.evaluate import Outcome, evaluate
from edged.ruleset.tree import FORWARDING, Rule

Guard = Callable[[Configuration], None]

# what lets a far end through, by the policy that would stop it
_REMEDIES = {
    "spoof": "a source belongs into a pool of edged.yaml where it comes in from the access side, and where it comes in from "
    "upstream it belongs into none, or under `multihomed` of spoof",
    "blocklist": "take it out of the list, or put it under `allow` of blocklist or `never_block` of edged.yaml",
    "op25b": "put it under `exempt` of op25b",
    "ip53b": "put it under `exempt` of ip53b, or into a pool that its `pools` does not name",
}
_OVERRIDE = "nothing changed. Where that is what you want: edged apply --despite-guards"


@dataclass(frozen=True, slots=True)
class Cut:
    """A far end that a policy would cut off: the first packet that would be stopped, and the rule that would."""

    end: FarEnd
    step: Step
    rule: Rule

    def __str__(self) -> str:
        packet = self.step.packet
        way = f"{protocol_name(packet.protocol)} from {packet.source} to {packet.destination}"
        ports = f"port {packet.source_port} to port {packet.destination_port}"
        through = ", through this gateway" if self.step.hooks == FORWARDING else ""
        remedy = _REMEDIES.get(self.rule.policy or "", "put it under `never_block` of edged.yaml")
        return (
            f"{self.rule.origin}: policy {self.rule.policy} would cut off {self.end.address} ({self.end.told}): "
            f"it would stop {way}, {ports}{through}; {remedy}"
        )


def cuts(configuration: Configuration, ends: Sequence[FarEnd], now: int) -> Iterator[Cut]:
    """The far ends that the configuration would cut off, by each policy once; `now` is in seconds since the epoch."""
    if not ends:
        return
    site, table = configuration.site(), configuration.table(now)
    told: set[tuple[FarEnd, str | None]] = set()
    for end in ends:
        for step in steps(site, end, ends):
            decision = evaluate(table, step.packet, step.flow, now, step.hooks)
            if decision.outcome is Outcome.ACCEPT or decision.rule is None:
                continue
            if (end, decision.rule.policy) not in told:
                told.add((end, decision.rule.policy))
                yield Cut(end, step, decision.rule)


def refuse_cuts(configuration: Configuration, ends: Sequence[FarEnd], now: int) -> None:
    """Let the configuration through, or raise Refused with every far end that it would cut off, a line each."""
    if found := [str(each) for each in cuts(configuration, ends, now)]:
        raise Refused("\n".join((*found, _OVERRIDE)))


def unguarded(configuration: Configuration) -> None:
    """Let every configuration through: whoever asked for it said so."""
