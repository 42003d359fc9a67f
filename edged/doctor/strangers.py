"""Who else has a hand in what the gateway forwards: what bypasses the rules, and other rules that get in the way of edged's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from edged.doctor.finding import Finding, Grade
from edged.doctor.promises import BYPASSED
from edged.kernel.bypasses import Bypass
from edged.kernel.flowtables import Flowtable
from edged.kernel.foreignrules import ForeignRules

_AREA = "kernel"
_NO_BYPASS = "no packet of the gateway's interfaces passes the rules by (semantics G-5)"
_ALONE = "edged's rules see packets as they count on"
# what a card may do before the kernel's rules, by ethtool's names; the first three matter once somebody uses them
_CARDS = {
    "hw-tc-offload": "the card can carry out other programs' tc filters and flowtables; what it does is told by itself",
    "rx-ntuple-filter": "its receive filters can steer packets past this kernel: ethtool -n {name}",
    "rx-lro": "packets are merged as no gateway may send them on (ethtool(8)); ethtool -K {name} lro off",
}


def bypassed(found: Iterable[Bypass]) -> Iterator[Finding]:
    """What takes packets past the rules, or one finding that nothing does."""
    listed = tuple(found)
    if not listed:
        yield Finding(_AREA, "bypasses", Grade.OK, "none", _NO_BYPASS)
    for each in listed:
        yield Finding(_AREA, each.what, Grade.MISSING, each.why, _NO_BYPASS, each.remedy, BYPASSED)


def elsewhere(flowtables: Iterable[Flowtable], found: Iterable[Bypass]) -> Iterator[Finding]:
    """Flowtables that are on none of the gateway's interfaces: those of `found` are told as bypasses."""
    told = {each.what for each in found}
    for each in flowtables:
        if (name := f"flowtable {each}") not in told:
            yield Finding(
                _AREA, name, Grade.WARN, "there", _NO_BYPASS, "on none of the gateway's interfaces, as far as the files say"
            )


def rules(found: Iterable[ForeignRules], mask: int, queues: int) -> Iterator[Finding]:
    """Other programs' rules that meet edged's marks (the bits of `mask`) or its queues (from 0 up), or untrack packets."""
    for each in found:
        table = f"table {each.table}"
        if overlap := each.writes & mask:
            instead = (
                "edged keeps there which flows the lists let by and which are capped: a listed flow may pass, any be capped; "
                "give edged, by `marks` of edged.yaml, or that program other bits"
            )
            what = f"writes bits {overlap:#010x} of marks, which are edged's"
            yield Finding(_AREA, table, Grade.MISSING, what, _ALONE, instead, (20,))
        if each.untracks:
            instead = (
                "every policy stops untracked packets as well; but ip53b lets no answer to a subscriber's own port 53 pass, "
                "and caps see nothing of such flows"
            )
            yield Finding(_AREA, table, Grade.WARN, "keeps packets from being tracked (notrack)", _ALONE, instead)
        if taken := each.queues & set(range(queues)):
            numbers = ", ".join(map(str, sorted(taken)))
            instead = "edged's inspectors read what that program queues; give it other numbers"
            yield Finding(_AREA, table, Grade.WARN, f"queues packets to {numbers}, which caps use", _ALONE, instead)


def cards(interface: str, active: Collection[str]) -> Iterator[Finding]:
    """What the interface's card does, or may be told to do, ahead of the kernel."""
    for feature, instead in _CARDS.items():
        if feature in active:
            found = Finding(_AREA, f"{feature} of {interface}", Grade.WARN, "on", _NO_BYPASS, instead.format(name=interface))
            yield found
