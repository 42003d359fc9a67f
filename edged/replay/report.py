"""What a replay counts, and the object of `--json` made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field

from edged.inspect.sight import TrafficClass
from edged.replay.verdict import Judged, Judgement, Verdict

OBSERVE = "observe"
POLICY_WORDS = (Verdict.DROP.value, Verdict.REJECT.value, OBSERVE)


@dataclass(slots=True)
class ClassCounts:
    """What was seen of a class of traffic; bytes are those of the IP packets."""

    flows: int = 0
    packets: int = 0
    octets: int = 0


@dataclass(slots=True)
class Summary:
    """The counts of a replay.

    `captures` are the names as they were given. `in_force` names the policies that are told of even where they stopped nothing.
    - `verdicts`: packets by capture and verdict
    - `unparsed_by`: packets in which no IP packet was found, by capture and reason
    - `policies`: by policy, packets by what it did: drop, reject, observe
    - `classes`: the classes that were looked for: their flows, and the packets from the one on that told what the flow is
    """

    engine: str
    captures: Sequence[str]
    in_force: InitVar[Iterable[str]] = ()
    verdicts: Counter[tuple[str, Verdict]] = field(default_factory=Counter)
    unparsed_by: Counter[tuple[str, str]] = field(default_factory=Counter)
    policies: dict[str, Counter[str]] = field(default_factory=dict)
    classes: dict[TrafficClass, ClassCounts] = field(default_factory=dict)

    def __post_init__(self, in_force: Iterable[str]) -> None:
        self.policies.update((name, Counter()) for name in in_force)

    def add(self, judged: Judged) -> None:
        """Count a packet that was judged."""
        arrival, judgement = judged
        self.add_alike(arrival.capture, judgement, arrival.class_, 1, arrival.decoded.length)

    def add_alike(self, capture: str, judgement: Judgement, class_: TrafficClass | None, packets: int, octets: int) -> None:
        """Count packets that met the same: their number, and the bytes of all of them."""
        verdict, policy, _, observed = judgement
        self.verdicts[capture, verdict] += packets
        if policy is not None:
            self._policy(policy)[verdict] += packets
        for name in observed:
            self._policy(name)[OBSERVE] += packets
        if class_ is not None:
            seen = self._class(class_)
            seen.packets += packets
            seen.octets += octets

    def include(self, other: Summary) -> None:
        """Count what another summary counted, of other captures or of the same."""
        self.verdicts.update(other.verdicts)
        self.unparsed_by.update(other.unparsed_by)
        for policy, counts in other.policies.items():
            self._policy(policy).update(counts)
        for name, counted in other.classes.items():
            seen = self._class(name)
            seen.flows += counted.flows
            seen.packets += counted.packets
            seen.octets += counted.octets

    def add_unparsed(self, capture: str, reason: str, packets: int = 1) -> None:
        """Count packets that were not judged, as no IP packet was found in them."""
        self.unparsed_by[capture, reason] += packets

    def add_flows(self, class_: TrafficClass, flows: int) -> None:
        """Count flows of a class, none too: it was looked for."""
        self._class(class_).flows += flows

    @property
    def unparsed(self) -> int:
        """The packets that were not judged."""
        return self.unparsed_by.total()

    @property
    def packets(self) -> int:
        """All packets of all captures, those that were not judged among them."""
        return self.verdicts.total() + self.unparsed

    def count(self, verdict: Verdict) -> int:
        """The packets of all captures that met that verdict."""
        return sum(packets for (_, met), packets in self.verdicts.items() if met is verdict)

    def document(self, seconds: float | None = None) -> dict[str, object]:
        """The object that --json prints; without `seconds` the same captures give the same object every time.

        `classes` is empty where none was looked for, rather than that all are said to be absent.
        """
        document: dict[str, object] = {
            "schema": "edged/v1/replay",
            "engine": self.engine,
            "captures": list(self.captures),
            "packets": self.packets,
            "unparsed": self.unparsed,
            "verdicts": {verdict.value: self.count(verdict) for verdict in Verdict},
            "policies": {name: {word: counts[word] for word in POLICY_WORDS} for name, counts in self.policies.items()},
            "classes": {
                name: {"flows": seen.flows, "packets": seen.packets, "bytes": seen.octets}
                for name, seen in sorted(self.classes.items())
            },
        }
        return document if seconds is None else {**document, "seconds": round(seconds, 3)}

    def _policy(self, name: str) -> Counter[str]:
        return self.policies.setdefault(name, Counter())

    def _class(self, name: TrafficClass) -> ClassCounts:
        return self.classes.setdefault(name, ClassCounts())
