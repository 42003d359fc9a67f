"""A daemon's parts over the real kernel of one namespace, as `daemon.main` puts them together; the clock is a test's own."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from edged.addresses import Family
from edged.daemon.bulk import BulkWatch
from edged.daemon.capper import Capper
from edged.daemon.drift import Suspects
from edged.daemon.keeper import Keeper
from edged.daemon.surroundings import Surroundings
from edged.daemon.totals import Totals
from edged.kernel.events import LinkEvents
from edged.kernel.fake import FakeHost
from edged.kernel.flows import LinuxFlows
from edged.kernel.linux import LinuxKernel
from edged.kernel.tc import LinuxTrafficControl
from edged.lists.book import ListBook
from edged.lists.store import ListStore
from edged.loader import Configuration, load
from edged.queueing.leases import CapSets
from edged.queueing.tree import Rate
from edged.ruleset.diff import diff
from edged.ruleset.nodes import Direction
from edged.ruleset.plan import Desired, Lock
from tests.contract.machines import LinuxMachine
from tests.unit.daemon.daemons import NOW, FakeClock, exempt, write_files

BLOCKLIST = "policy: blocklist\nlists: [{name: feed, path: feed}]\n"
CAPS = """\
policy: caps
pool: 2
classes:
  p2p: {after: 1MB, down: 2mbit, up: 1mbit}
  bulk: {after: 1MB, sustained: 1mbit, for: 60s, down: 1mbit, up: 1mbit}
"""
HEAVY = "203.0.113.1"
_SETS = CapSets(Direction.DOWN, "p2p", Family.IPV4)
IP53B = "policy: ip53b\nmode: enforce\npools: [dynamic]\n"


class _Closable(Protocol):
    def close(self) -> None: ...


Closable = TypeVar("Closable", bound=_Closable)


class Parts:
    """The parts over a machine of their own, and two configurations that they may be given."""

    def __init__(self, machine: LinuxMachine, one: Configuration, other: Configuration) -> None:
        self.machine = machine
        self.one, self.other = one, other
        self.clock = FakeClock(FakeHost())
        self._opened = ExitStack()
        self._opened.callback(machine.remove)
        for device in ("lan0", "wan0"):
            machine.run("ip", "link", "add", device, "type", "veth", "peer", "name", f"{device}-far")
            machine.run("ip", "link", "set", device, "up")
        self.kernel = self._open(LinuxKernel(machine.name, clock=self.clock.now))
        self.totals = Totals(self._open(LinuxKernel(machine.name)).counters)
        self._bystander = self._open(LinuxKernel(machine.name, clock=self.clock.now))
        self._queue = self.kernel.capabilities().queue
        self.suspects = Suspects()
        # without an owner: strangers can do anything, so that there is something to repair
        self.keeper = Keeper(self.kernel, Lock.NONE, self._queue, self.clock, self.totals, self.suspects)
        traffic = self._open(LinuxTrafficControl(machine.name))
        self.capper = Capper(self.kernel.leases(), traffic, self.clock, lambda _: Rate(1_000_000_000))
        self.bulk = BulkWatch(LinuxFlows(machine.name), self.clock)
        events = self._open(LinkEvents(machine.name))
        self.surroundings = Surroundings(self._open(LinuxKernel(machine.name)), events, lambda: self.one)

    def _open(self, made: Closable) -> Closable:
        return self._opened.enter_context(closing(made))

    def in_force(self) -> Configuration | None:
        """Which of the two the kernel holds whole, as a bystander reads it; None where there is no table."""
        observed = self._bystander.observe()
        if observed.table is None:
            return None
        for each in (self.one, self.other):
            if not diff(Desired(each.table(int(self.clock.now())), Lock.NONE, self._queue), observed):
                return each
        raise AssertionError("the kernel holds neither policy, but something between them")

    def retry(self) -> None:
        """Time passes until the next try is due, and it is made."""
        self.clock.advance(self.keeper.retry_in or 0.0)
        self.keeper.look()

    def tick_while_heavy(self, ticks: int) -> None:
        """The capper's moments, a tenth of a second each, while a subscriber has heavy flows."""
        self.machine.run("nft", f"add element inet edged {_SETS.heavy} {{ {HEAVY} }}")
        self.tick(self.one, ticks)

    def tick(self, configuration: Configuration, ticks: int) -> None:
        """The capper's moments under that configuration."""
        for _ in range(ticks):
            self.clock.advance(0.1)
            self.capper.tick(configuration)

    def pool(self) -> list[str]:
        """The classes of the tree of an access device, as tc writes them."""
        return self.machine.run("tc", "class", "show", "dev", "lan0").stdout.splitlines()

    def held(self) -> set[str]:
        """Who has a class of the pool, or a limit."""
        maps = (_SETS.lease, _SETS.police)
        listed = "".join(self.machine.run("nft", "list", "map", "inet", "edged", name).stdout for name in maps)
        return set(re.findall(r"((?:[0-9]+[.]){3}[0-9]+)[^:{},]* : ", listed))

    def reset(self) -> None:
        """Nothing is in force any more, and nothing is known of what was."""
        self.capper.release()
        self.keeper.release()

    def close(self) -> None:
        self._opened.close()


def configurations(folder: Path) -> tuple[Configuration, Configuration]:
    """Two that differ in every kind of thing that a table holds."""
    clock = FakeClock(FakeHost())
    lists = ListBook(ListStore(folder / "state"), clock, lambda _: ())

    def loaded() -> Configuration:
        return lists.refreshed(load(path, now=datetime.fromtimestamp(clock.now(), UTC)))

    path = write_files(folder, exempt(NOW + 3600))
    (folder / "feed").write_text("192.0.2.1\n192.0.2.128/25\n")
    (folder / "rules.d/10-blocklist.yaml").write_text(BLOCKLIST)
    (folder / "rules.d/50-caps.yaml").write_text(CAPS)
    one = loaded()
    (folder / "rules.d/50-caps.yaml").write_text(CAPS.replace("pool: 2", "pool: 1"))
    (folder / "rules.d/20-op25b.yaml").unlink()
    (folder / "rules.d/30-ip53b.yaml").write_text(IP53B)
    path.write_text(path.read_text().replace("203.0.113.0/25", "203.0.113.0/26"))
    (folder / "feed").write_text("192.0.2.1\n192.0.2.2\n198.18.0.0/25\n")
    return one, loaded()
