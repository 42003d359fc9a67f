"""The real daemon in the lab's gateway, and its counters as the metrics page tells them."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edged.addresses import Family
from edged.control.client import ControlClient
from edged.errors import EdgedError, Unreachable
from edged.lab.caps import CappedBytes
from edged.lab.servers import last_words
from edged.lab.topology import Host
from edged.ruleset.nodes import Direction
from edged.ruleset.tree import Counter

if TYPE_CHECKING:
    from edged.loader import Configuration

_STARTING = 30.0
_FAMILIES = {family.label: family for family in Family}


class MetricsUnread(EdgedError):
    """The metrics page did not answer."""


class Gateway:
    """`edged run` as a process of the gateway's namespace; it ends with the topology."""

    def __init__(self, host: Host, configuration: Configuration, folder: Path) -> None:
        self.listen = configuration.edged.metrics.listen
        self._host = host
        self._log = folder / "edged.log"
        self._control = ControlClient(configuration.edged.control.path)
        self.process = host.popen([sys.executable, "-m", "edged", "run", "-c", configuration.path], self._log)

    def wait(self) -> None:
        """Returns when the kernel enforces the configuration; raises EdgedError, with the daemon's words, where it does not."""
        until = time.monotonic() + _STARTING
        while not self._in_sync():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > until:
                how = f"ended with status {ended}" if ended is not None else f"did not get in sync within {_STARTING:.0f} s"
                raise EdgedError(f"the lab's daemon {how}; it said: {last_words(self._log)}")
            time.sleep(0.05)

    def _in_sync(self) -> bool:
        try:
            return self._control.status()["in_sync"]
        except Unreachable:
            return False

    def counters(self) -> Mapping[Counter, int]:
        """How many packets each counter has counted; raises MetricsUnread."""
        counted = {}
        for labels, value in self._samples("edged_policy_packets_total"):
            direction, family = Direction(labels["direction"]), _FAMILIES[labels["family"]]
            counted[Counter(labels["policy"], direction, family, labels["verdict"])] = value
        return counted

    def capped(self) -> Mapping[CappedBytes, int]:
        """How many bytes of heavy flows were held, by class and direction; raises MetricsUnread."""
        samples = self._samples("edged_capped_bytes_total")
        return {CappedBytes(labels["class"], Direction(labels["direction"])): value for labels, value in samples}

    def _samples(self, name: str) -> Iterator[tuple[Mapping[str, str], int]]:
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

        for metric in text_string_to_metric_families(self._page()):
            for sample in metric.samples:
                if sample.name == name:
                    yield sample.labels, int(sample.value)

    def _page(self) -> str:
        listen = self.listen
        connection = http.client.HTTPConnection(listen.host, listen.port)
        inet = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        try:
            # the page is the gateway's: only a socket of its namespace gets there
            connection.sock = self._host.socket(inet, socket.SOCK_STREAM)
            connection.sock.settimeout(5)
            connection.sock.connect((listen.host, listen.port))
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise MetricsUnread(f"the metrics page answers with HTTP status {response.status}")
            return response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise MetricsUnread(f"the metrics page does not answer: {error}") from error
        finally:
            connection.close()
