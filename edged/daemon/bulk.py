"""Looks after the marks of flows: finds those that last, and has the rules judge anew who is heavy under another configuration.

A flow lasts that moved enough for `bulk`, and has kept its rate for as long as it asks for.
"""

from __future__ import annotations

import logging

from edged.addresses import Family
from edged.caps.lasting import Lasting
from edged.caps.terms import BulkTerms
from edged.clock import Clock
from edged.configuration import Configuration
from edged.daemon.capper import caps_in_force, caps_of
from edged.errors import KernelError
from edged.kernel.flows import Flows
from edged.marks import FlowClass, MarkFields, in_field
from edged.policies.capping import CAPPED

_log = logging.getLogger(__name__)


class BulkWatch:
    """Measures the flows of no class that the rules noted as heavy; for one thread.

    `trouble` says why it cannot; `found` is how many have become bulk.
    """

    def __init__(self, flows: Flows, clock: Clock) -> None:
        self.trouble = ""
        self.found = 0
        self._flows = flows
        self._clock = clock
        self._lasting = Lasting()
        self._configuration: Configuration | None = None
        self._terms: BulkTerms | None = None

    def sample(self, configuration: Configuration | None) -> None:
        """Measure once, and mark what has become bulk. Raises nothing: what is not found is not slowed."""
        try:
            if configuration is not self._configuration:
                self._take(configuration)
            if configuration is None or self._terms is None:
                self._lasting = Lasting()
            else:
                self._sample(configuration.site().marks, self._terms)
        except (KernelError, OSError) as error:
            if str(error) != self.trouble:
                _log.error("the marks of flows are not looked after, and bulk transfers not found: %s", error)
            self.trouble = str(error)
        else:
            self.trouble = ""

    def _take(self, configuration: Configuration | None) -> None:
        """Another configuration is in force: that a flow of a class is heavy was said by the former one's volumes and guards."""
        self._terms = _terms(configuration)
        if configuration is not None and caps_of(configuration) is not None:
            marks = configuration.site().marks
            for each in CAPPED:
                heavy = marks.heavy | in_field(marks.flow_class, each)
                self._flows.mark(self._flows.marked(marks.class_and_weight, heavy), marks.heavy, 0)
        self._configuration = configuration

    def _sample(self, marks: MarkFields, terms: BulkTerms) -> None:
        large = self._flows.marked(marks.class_and_weight, marks.heavy)
        found = self._lasting.sample(self._clock.boottime(), large, terms.wanted)
        if found:
            # the rules ask anew what makes it heavy: of its subscriber's plan, and whether its far end may be slowed
            self._flows.mark(found, marks.class_and_weight, in_field(marks.flow_class, FlowClass.BULK))
            self.found += len(found)


def _terms(configuration: Configuration | None) -> BulkTerms | None:
    caps = caps_in_force(configuration)
    if configuration is None or caps is None or caps.cap(FlowClass.BULK) is None:
        return None
    site = configuration.site()
    covered = {family: site.addresses(caps.pools, family) for family in Family}
    return BulkTerms(caps, configuration.subscribers, covered)
