"""The page: a scrape asks for the figures of that moment and renders them; nothing is counted here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from edged.daemon.totals import over_classes
from edged.lists.book import Health
from edged.metrics.caps import capped, inspected, subscribers
from edged.metrics.figures import Figures
from edged.ruleset.tree import QUEUED
from edged.sources.parsed import Reason

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_POLICY_LABELS = ("policy", "direction", "family", "verdict")


class EdgedCollector(Collector):
    """Renders figures as metrics; `figures` is called once a scrape, from the scrape's thread."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> list[Metric]:
        """Nothing: what is registered is known without a look at the kernel."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        figures = self._figures()
        build = GaugeMetricFamily("edged_build_info", "The version of edged that runs.", labels=["version"])
        build.add_metric([figures.version], 1)
        yield build
        yield from _configuration(figures)
        yield from _enforcement(figures)
        yield from _policies(figures)
        yield from capped(figures)
        yield from inspected(figures)
        yield from subscribers(figures)
        yield from _lists(figures.lists)


def _configuration(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "edged_config_last_reload_successful",
        "Whether the files were taken the last time they were read; 0: the policy from before is in force.",
        value=float(figures.reload_successful),
    )
    yield GaugeMetricFamily(
        "edged_config_last_reload_success_timestamp_seconds",
        "When the files were last taken; 0: not since the daemon began.",
        value=figures.reload_success,
    )


def _enforcement(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "edged_enforcement_in_sync",
        "Whether the kernel was last seen to hold exactly the configured policy.",
        value=float(figures.in_sync),
    )
    repairs = CounterMetricFamily(
        "edged_drift_repairs", "Foreign changes to the table and the queueing that were put right.", labels=["reason"]
    )
    for reason, count in figures.repairs.items():
        repairs.add_metric([reason], count)
    yield repairs
    yield HistogramMetricFamily(
        "edged_apply_duration_seconds",
        "How long it took to bring the kernel to a changed policy, verification included.",
        buckets=figures.applied.cumulative(),
        sum_value=figures.applied.total,
    )
    capability = GaugeMetricFamily("edged_capability", "Whether this kernel has the feature.", labels=["feature"])
    for feature, works in figures.capabilities.items():
        capability.add_metric([feature], float(works))
    yield capability


def _lists(lists: tuple[Health, ...]) -> Iterator[Metric]:
    entries = GaugeMetricFamily("edged_blocklist_entries", "Entries of the list that is in force.", labels=["list"])
    success = GaugeMetricFamily(
        "edged_blocklist_last_success_timestamp_seconds",
        "When the list's source was last found good; 0: never. Its age is the time since then.",
        labels=["list"],
    )
    taken = GaugeMetricFamily(
        "edged_blocklist_last_load_successful",
        "Whether the list's source, as it is now, is in force; 0: the last good list is.",
        labels=["list"],
    )
    refusals = CounterMetricFamily(
        "edged_blocklist_refusals", "How often the list's source was not taken, by the gravest reason.", labels=["list", "reason"]
    )
    for each in lists:
        entries.add_metric([each.name], each.entries)
        success.add_metric([each.name], each.succeeded)
        taken.add_metric([each.name], float(not each.refused))
        for reason in Reason:
            refusals.add_metric([each.name, reason.value], (each.refusals or {}).get(reason, 0))
    if lists:
        yield from (entries, success, taken, refusals)


def _policies(figures: Figures) -> Iterator[Metric]:
    packets = CounterMetricFamily(
        "edged_policy_packets", "Packets a policy stopped or, observing, would have.", labels=_POLICY_LABELS
    )
    octets = CounterMetricFamily("edged_policy_bytes", "Their bytes, from the network header on.", labels=_POLICY_LABELS)
    for counter, value in over_classes(figures.policies).items():
        if counter.verdict == QUEUED:
            continue
        labels = counter.labels
        packets.add_metric(labels, value.packets)
        octets.add_metric(labels, value.bytes)
    yield packets
    yield octets
    yield CounterMetricFamily(
        "edged_kernel_read_errors", "Failed readings of the kernel's counters; the last values stood.", value=figures.read_errors
    )


def application(figures: Callable[[], Figures]) -> WSGIApplication:
    """The page as a WSGI application."""
    registry = CollectorRegistry()
    registry.register(EdgedCollector(figures))
    made: WSGIApplication = make_wsgi_app(registry)
    return made
