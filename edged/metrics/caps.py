"""Caps: who is held and how much of what, how flows get their classes, and how many subscribers there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edged.daemon.capsreport import METHODS, class_word
from edged.marks import FlowClass
from edged.metrics.figures import Figures
from edged.policies.capping import CAPPED
from edged.ruleset.nodes import Direction


def capped(figures: Figures) -> Iterator[Metric]:
    """Who is held, and what was shaped; what limits dropped stands with the policies."""
    subscribers = GaugeMetricFamily(
        "edged_capped_subscribers",
        "Subscribers whose heavy flows are held, shaped by a tc class or policed for want of one.",
        labels=["class", "method"],
    )
    for flow_class in figures.held:
        for method, word in METHODS.items():
            subscribers.add_metric([flow_class.label, word], figures.caps.state.capped.get((flow_class, method), 0))
    octets = CounterMetricFamily(
        "edged_capped_bytes", "Bytes of heavy flows that their subscriber's tc class sent.", labels=["class", "direction"]
    )
    for flow_class in CAPPED:
        for direction in Direction:
            shaped = figures.caps.state.shaped.get((flow_class, direction))
            if shaped is not None or flow_class in figures.held:
                octets.add_metric([flow_class.label, direction.value], shaped or 0)
    if figures.held:
        yield subscribers
    if octets.samples:
        yield octets


def inspected(figures: Figures) -> Iterator[Metric]:
    """How flows got their classes."""
    flows: Counter[str] = Counter()
    packets = CounterMetricFamily(
        "edged_queue_packets", "Packets handed to inspectors, by what became of them; all pass.", labels=["queue", "result"]
    )
    for each in figures.caps.queues:
        for traffic_class, count in each.flows.items():
            flows[class_word(traffic_class)] += count
        for result, count in each.packets.items():
            packets.add_metric([str(each.queue), result], count)
    if FlowClass.BULK in figures.held or figures.caps.bulk_found:
        flows[FlowClass.BULK.label] = figures.caps.bulk_found
    classified = CounterMetricFamily(
        "edged_flows_classified", "Flows by the class they were found to have; other: of none.", labels=["class"]
    )
    for word, count in flows.items():
        classified.add_metric([word], count)
    if flows:
        yield classified
    if figures.caps.queues:
        packets.add_metric(["", "uninspected"], figures.caps.uninspected)  # the rule does not tell which queue it would have been
        yield packets


def subscribers(figures: Figures) -> Iterator[Metric]:
    """The rows of the file of subscribers."""
    found = GaugeMetricFamily(
        "edged_subscribers", "Subscribers in the file of subscribers, by plan; an empty one: without a plan.", labels=["plan"]
    )
    for plan, count in figures.subscribers.items():
        found.add_metric([plan or ""], count)
    yield found
