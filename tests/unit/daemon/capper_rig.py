"""A gateway in memory with a capper, for tests that are about leases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.daemon.capper import Capper
from edged.errors import KernelError
from edged.kernel.fake import FakeHost
from edged.kernel.leasesfake import FakeLeases
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.loader import Configuration, load
from edged.policies.capping import CAPPED
from edged.queueing.leases import CapSets, LeaseStep
from edged.queueing.tree import ClassId, Rate
from edged.ruleset.nodes import Direction
from tests.unit.daemon.daemons import NOW, FakeClock, write_files

ALL = [CapSets(direction, each.label, family) for direction in Direction for each in CAPPED for family in Family]
DOWN4 = CapSets(Direction.DOWN, "p2p", Family.IPV4)
DOWN6 = CapSets(Direction.DOWN, "p2p", Family.IPV6)
UP4 = CapSets(Direction.UP, "p2p", Family.IPV4)
CAPS = """\
policy: caps
pool: 4
classes:
  p2p: {after: 1MB, down: 2mbit, up: 1mbit}
plans:
  gold: {p2p: {down: 8mbit}}
  free: {p2p: off}
"""
SUBSCRIBERS = """\
id,prefixes,plan
c1,203.0.113.1/32 203.0.113.2/32 2001:db8:d:1::/64,
c2,203.0.113.3/32,gold
c3,203.0.113.4/32,free
"""
LINE = Rate(1_000_000_000)
Apply = Callable[[tuple[LeaseStep, ...]], None]


def number(address: str) -> int:
    return int(ip_address(address))


class Rig:
    """A gateway with a capper; `tick` is one of its moments."""

    def __init__(self, folder: Path) -> None:
        self.path = write_files(folder)
        edged = self.path.read_text().replace("dynamic: [203.0.113.0/25]", "dynamic: [203.0.113.0/25, 2001:db8:d::/48]")
        self.path.write_text(f"{edged}subscribers: subscribers.csv\n")
        (folder / "rules.d" / "50-caps.yaml").write_text(CAPS)
        (folder / "subscribers.csv").write_text(SUBSCRIBERS)
        self.folder = folder
        self.leases = FakeLeases(ALL)
        self.traffic = FakeTrafficControl({"lan0": FakeDevice(), "wan0": FakeDevice()})
        self.clock = FakeClock(FakeHost())
        self.capper = Capper(self.leases, self.traffic, self.clock, lambda _: LINE)
        self.configuration: Configuration | None = self.load()

    def load(self) -> Configuration:
        return load(self.path, now=datetime.fromtimestamp(NOW, UTC))

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.configuration = self.load()

    def tick(self, seconds: float = 0.1) -> None:
        self.clock.advance(seconds)
        self.capper.tick(self.configuration)

    def settle(self) -> None:
        for _ in range(5):
            self.tick()

    def heavy(self, sets: CapSets, *addresses: str) -> None:
        for address in addresses:
            self.leases.mark_heavy(sets, sets.key(number(address)))
        self.tick()
        self.leases.forget_heavy()

    def rate(self, device: str, classid: ClassId) -> Rate:
        classes = self.traffic.devices[device].classes
        assert classes is not None
        return classes[classid].rate

    def rate_of(self, sets: CapSets, address: str) -> Rate:
        [classid] = [each.classid for each in self.leases.leased(sets) if each.key == sets.key(number(address))]
        return self.rate("lan0" if sets.direction is Direction.DOWN else "wan0", classid)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.settle()
    return made


def fails_once(apply: Apply, monkeypatch: pytest.MonkeyPatch, rig: Rig) -> Apply:
    """Refuses, and leaves the true one in its place."""

    def refused(steps: tuple[LeaseStep, ...]) -> None:
        monkeypatch.setattr(rig.leases, "apply", apply)
        raise KernelError("no room")

    return refused
