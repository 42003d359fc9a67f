"""What was seen of one packet on its way through the gateway, and the verdict that this is."""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.errors import KernelError
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival
from edged.replay.verdict import Judged, Judgement, Verdict
from edged.ruleset.nodes import Drop, Prohibit, ResetTcp
from edged.ruleset.tree import Rule


@dataclass(slots=True)
class Seen:
    """What became of one packet; `verdict` is None while that is not known."""

    arrival: Arrival
    rules: list[Rule] = field(default_factory=list)
    arrived: bool = False
    left: bool = False
    refused: bool = False
    length: int = 0  # of the packet that came out of the reassembly with its mark
    verdict: Verdict | None = None
    stopped_by: Rule | None = None
    observed: tuple[str, ...] = ()

    @property
    def packet(self) -> Decoded:
        """The packet's fields."""
        return self.arrival.decoded

    def decide(self, other: Seen | None) -> None:
        """What was seen of `other` is the verdict on this packet; None: nothing became of it. Raises KernelError."""
        self.verdict = Verdict.DROP
        if other is None:
            return
        stops = [rule for rule in other.rules if isinstance(rule.then, Drop | ResetTcp | Prohibit)]
        refuses = any(isinstance(rule.then, ResetTcp | Prohibit) for rule in stops)
        if (other.left and stops) or (other.refused and not refuses):
            arrival = other.arrival
            happened = "left" if other.left else "was refused"
            met = ", ".join(rule.name for rule in other.rules) or "none"
            raise KernelError(f"packet {arrival.number} of {arrival.capture} {happened}, but the rules that it met are: {met}")
        counted = (rule for rule in other.rules if rule.count is not None and rule.count.verdict == "observe")
        self.observed = tuple(dict.fromkeys(rule.policy for rule in counted if rule.policy))
        if other.left:
            self.verdict = Verdict.ACCEPT
        elif stops:
            self.stopped_by = stops[-1]
            self.verdict = Verdict.REJECT if refuses else Verdict.DROP

    def judged(self, verdict: Verdict) -> Judged:
        """The answer."""
        rule = self.stopped_by
        policy, origin = (rule.policy, str(rule.origin) if rule.origin else None) if rule else (None, None)
        return Judged(self.arrival, Judgement(verdict, policy, origin, self.observed))
