"""One trial: the same shots through the simulator and through the real kernel, and where the two differ."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

from edged.enforce import enforce
from edged.packet.packet import FlowState
from edged.ruleset.evaluate import CannotJudge, Decision, Outcome, evaluate
from edged.ruleset.nodes import GenerationIs, Prohibit, QueueForm, ResetTcp
from edged.ruleset.plan import Desired
from edged.ruleset.queueing import queued
from edged.ruleset.render import render
from edged.ruleset.tree import Table
from tests.gateway import NOW
from tests.netns.differential.conntrack import Conntrack, key
from tests.netns.differential.draw import Trial, kinds
from tests.netns.differential.shots import AH, RST, TCP, UDP, Shot, Tcp, Unreachable, checksum, transport
from tests.netns.differential.world import Observed, Seen, World

_WITHOUT_CHECKSUM = (47, 50, AH, 132)  # GRE, ESP, AH, SCTP


@dataclass
class Score:
    """What a run of trials has compared."""

    pairs: int = 0
    trials: int = 0
    refused: int = 0  # pairs that the simulator would not judge
    marked: int = 0  # connections that the rules marked
    kept: int = 0  # pairs in which a verdict from before was taken
    answers: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = [f"{self.pairs} pairs (policy set, packet) agree in {self.trials} trials; {self.refused} not judged (fragments)"]
        parts.append(f"connections marked: {self.marked}; pairs by a verdict from before: {self.kept}")
        for name, counts in (
            ("outcomes", self.outcomes),
            ("answers", self.answers),
            ("states", self.states),
            ("packets", self.kinds),
        ):
            parts.append(f"{name}: " + ", ".join(f"{word} {count}" for word, count in counts.most_common()))
        return "\n  ".join(parts)


def run(world: World, trial: Trial, score: Score, *, by_nft: bool) -> None:
    """Fire the trial's shots and raise AssertionError with every difference. `by_nft` loads the rendered text by nft instead."""
    drawn = trial.drawn.table()
    # in the form that this kernel has; what nft loads has nft's own
    table = queued(drawn, None if by_nft and world.queue is not QueueForm.EXPRESSION else world.queue)
    conntrack = Conntrack()
    world.forget_connections()
    enforce(world.kernel, None, lambda: NOW)
    early = [shot for shot in trial.volley if shot.before_rules]
    differences = _unruled(early, world.fire(early, None), conntrack)
    if by_nft:
        world.nft(render(table, NOW))
    else:
        enforce(world.kernel, Desired(table, queue=world.queue), lambda: NOW)
    late = [shot for shot in trial.volley if not shot.before_rules]
    observed = world.fire(late, "edged")
    counted: Counter[str] = Counter()
    for shot in late:
        differences += _compare(table, shot, observed, conntrack, counted, score)
    packets = {name: value.packets for name, value in world.kernel.counters().items() if value.packets}
    if packets != counted:
        differences.append(f"named counters: the model says {dict(counted)}, the kernel {packets}")
    unjudged = {key(shot) for shot in late if shot.stays_fragment}  # where it has a connection, the rules may mark that
    marks = {opened: mark for opened, mark in world.marks().items() if opened not in unjudged}
    if conntrack.marks() != marks:
        differences.append(f"connections' marks: the model says {conntrack.marks()}, the kernel {marks}")
    score.marked += len(marks)
    score.trials += 1
    score.kinds.update(kinds(late))
    assert not differences, "\n".join([f"{trial.drawn}", *differences])


def _unruled(shots: list[Shot], observed: Observed, conntrack: Conntrack) -> list[str]:
    """Before the rules came everything passes; conntrack remembers it."""
    differences = []
    for shot in shots:
        state = conntrack.arrives(shot)
        conntrack.leaves(shot, state, state.mark, passed=True)
        seen = observed.shots[shot.number]
        differences += _state_differs(shot, state, seen)
        if seen.left_by != {shot.goes_out}:
            differences.append(f"{shot}: before the rules it left by {seen.left_by or 'nowhere'}")
    return differences


def _compare(
    table: Table, shot: Shot, observed: Observed, conntrack: Conntrack, counted: Counter[str], score: Score
) -> list[str]:
    seen = observed.shots[shot.number]
    if shot.stays_fragment:
        return _refused(table, shot, seen, counted, score)
    state = conntrack.arrives(shot)
    decision = evaluate(table, shot.packet(), state, NOW)
    counted.update(rule.count.name for rule in decision.counted if rule.count is not None)
    score.pairs += 1
    score.states[f"{state.state.value}{' ' + state.direction.value if state.direction else ''}"] += 1
    score.outcomes[decision.outcome.value] += 1
    conntrack.leaves(shot, state, decision.mark, passed=decision.outcome is Outcome.ACCEPT)
    score.kept += any(isinstance(match, GenerationIs) for rule in decision.matched for match in rule.when)
    score.answers["a reset"] += _reset_of(shot) in observed.resets
    score.answers["an ICMP error"] += shot.number in observed.prohibited
    return [*_state_differs(shot, state, seen), *_verdict_differs(shot, decision, len(table.way), seen, observed)]


def _refused(table: Table, shot: Shot, seen: Seen, counted: Counter[str], score: Score) -> list[str]:
    """A lone first fragment: the simulator has to refuse it. What the kernel counted of it is taken as it is."""
    score.refused += 1
    by_name = {rule.name: rule for rule in table.rules()}
    counted.update(rule.count.name for name in seen.rules if (rule := by_name[name]).count is not None)
    try:
        decision = evaluate(table, shot.packet(), FlowState(), NOW)
    except CannotJudge:
        return []
    return [f"{shot}: the simulator judged a fragment ({decision.outcome.value})"]


def _state_differs(shot: Shot, state: FlowState, seen: Seen) -> list[str]:
    predicted = [word.value for word in (state.state, state.direction) if word is not None]
    actual = [word for word in seen.foreign if word]
    return [] if predicted == actual else [f"{shot}: predicted to be {predicted}, conntrack says {actual}"]


def _verdict_differs(shot: Shot, decision: Decision, base_chains: int, seen: Seen, observed: Observed) -> list[str]:
    differences = []
    rules = [rule.name for rule in decision.matched]
    met = base_chains if decision.outcome is Outcome.ACCEPT else 1  # all that stops a packet stands in the first one
    if seen.traced != met:
        differences.append(f"came to {seen.traced} base chains, not to {met}")
    if rules != seen.rules:
        differences.append(f"rules that matched: the model says {rules}, the kernel {seen.rules}")
    left_by = {shot.goes_out} if decision.outcome is Outcome.ACCEPT else set()
    if left_by != seen.left_by and not (shot.ends_within_headers and not seen.left_by):
        differences.append(f"the model says {decision.outcome.value}, in the kernel it left by {seen.left_by or 'nowhere'}")
    answers = {
        "a reset": (_reset_of(shot) in observed.resets, _answers_with_reset(decision) and _can_be_reset(shot)),
        "an ICMP error": (shot.number in observed.prohibited, _answers_with_icmp(decision) and _can_be_told(shot)),
    }
    for answer, (came, expected) in answers.items():
        if came is not expected:
            differences.append(f"the model says {decision.outcome.value}, and {answer} came: {came}")
    return [f"{shot}: {difference}" for difference in differences]


def _answers_with_reset(decision: Decision) -> bool:
    return decision.rule is not None and isinstance(decision.rule.then, ResetTcp)


def _answers_with_icmp(decision: Decision) -> bool:
    return decision.rule is not None and isinstance(decision.rule.then, Prohibit)


def _reset_of(shot: Shot) -> tuple[bytes, bytes, int, int] | None:
    """The ends of the reset that would answer the shot."""
    if not isinstance(shot.form, Tcp):
        return None
    return shot.destination.packed, shot.source.packed, shot.form.dport, shot.form.sport


def _can_be_reset(shot: Shot) -> bool:
    """No reset answers a reset, a header that is not all there, or a wrong checksum (net/ipv4/netfilter/nf_reject_ipv4.c)."""
    form = shot.form
    return isinstance(form, Tcp) and not form.flags & RST and form.length >= 20 and form.good_checksum


def _can_be_told(shot: Shot) -> bool:
    """No ICMP error answers another one, or what has a wrong checksum.

    Protocols that Linux does not know are taken to have one over all they carry (nf_reject_verify_csum,
    include/net/netfilter/nf_reject.h).
    """
    if isinstance(shot.form, Unreachable):
        return False
    if shot.protocol in _WITHOUT_CHECKSUM:
        return True
    carried = transport(shot.form, shot.source, shot.destination)
    has_pseudo_header = shot.source.version == 6 or shot.protocol in (TCP, UDP)
    pseudo = shot.source.packed + shot.destination.packed + struct.pack("!II", len(carried), shot.protocol)
    return checksum(pseudo + carried if has_pseudo_header else carried) == 0
