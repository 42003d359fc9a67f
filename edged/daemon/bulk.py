"""Finds the flows that last: those that moved enough for `bulk`, and have kept its rate for as long as it asks for."""

from __future__ import annotations

import logging

from edged.addresses import Family
from edged.caps.lasting import Lasting
from edged.caps.terms import BulkTerms
from edged.clock import Clock
from edged.configuration import Configuration
from edged.daemon.capper import caps_in_force
from edged.errors import KernelError
from edged.kernel.flows import Flows
from edged.marks import FlowClass, MarkFields, in_field

_log = logging.getLogger(__name__)


class BulkWatch:
    """Measures the flows that the rules noted as large; for one thread.

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
        if configuration is not self._configuration:
            self._configuration, self._terms = configuration, _terms(configuration)
        if configuration is None or self._terms is None:
            self._lasting = Lasting()
            return
        try:
            self._sample(configuration.site().marks, self._terms)
        except (KernelError, OSError) as error:
            if str(error) != self.trouble:
                _log.error("bulk transfers are not found: %s", error)
            self.trouble = str(error)
        else:
            self.trouble = ""

    def _sample(self, marks: MarkFields, terms: BulkTerms) -> None:
        large = self._flows.marked(marks.flow_class, in_field(marks.flow_class, FlowClass.LARGE))
        found = self._lasting.sample(self._clock.boottime(), large, terms.wanted)
        if found:
            self._flows.mark(found, marks.flow_class, in_field(marks.flow_class, FlowClass.BULK))
            self.found += len(found)


def _terms(configuration: Configuration | None) -> BulkTerms | None:
    caps = caps_in_force(configuration)
    if configuration is None or caps is None or caps.cap(FlowClass.BULK) is None:
        return None
    site = configuration.site()
    covered = {family: site.addresses(caps.pools, family) for family in Family}
    return BulkTerms(caps, configuration.subscribers, covered)
