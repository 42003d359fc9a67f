"""What the classes of leases do from one look at them to the next: who is in use, how fast, and how much was shaped in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from edged.caps.book import Grant, Shaped
from edged.daemon.capstate import Use
from edged.daemon.trees import Work
from edged.marks import FlowClass
from edged.queueing.tree import ClassId
from edged.ruleset.nodes import Direction

Works = Mapping[Direction, Mapping[ClassId, Work]]

_NOTHING: Mapping[ClassId, Work] = {}


class Usage:
    """For one thread; `shaped` are the bytes that leased classes have sent since it began."""

    def __init__(self) -> None:
        self.shaped: Counter[tuple[FlowClass, Direction]] = Counter()
        self._before: Mapping[
            Direction, Mapping[ClassId, tuple[float, Work]]
        ] = {}  # when each was last seen, and what it had done

    def look(self, now: float, works: Works, grants: Iterable[Grant]) -> list[tuple[Grant, Use]]:
        """The leases and what they did since the last look; one whose class sent anything was used just now.

        What a class sent before it was first looked at is nobody's.
        """
        before = self._before
        # classes that are just being made anew are not among the works, and are to be compared with what they had done before
        self._before = {
            direction: {**before.get(direction, {}), **{classid: (now, work) for classid, work in each.items()}}
            for direction, each in works.items()
        }
        found = []
        for grant in grants:
            rate = dropped = None
            account, method = grant.account, grant.method
            if isinstance(method, Shaped):
                present = works.get(account.direction, _NOTHING).get(method.classid)
                earlier = before.get(account.direction, {}).get(method.classid)
                if present is not None and earlier is not None:
                    at, work = earlier
                    seconds, done = now - at, _since(work, present)
                    if done.octets:
                        grant.used = now
                        self.shaped[account.flow_class, account.direction] += done.octets
                    rate, dropped = done.octets * 8 / seconds, done.drops / seconds
            holder = grant.holder
            name = holder.id or str(holder.key)
            what = account.flow_class, account.direction, type(method), grant.rate.bits
            found.append((grant, Use(name, holder.plan, *what, rate, dropped)))
        return found


def _since(earlier: Work, present: Work) -> Work:
    """What was done between; a class that was made anew meanwhile began from nothing, and what it did before is not known."""
    if present.octets < earlier.octets or present.drops < earlier.drops:
        return present
    return Work(present.octets - earlier.octets, present.drops - earlier.drops)
