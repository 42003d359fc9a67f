"""What the daemon's tests share: a clock that stands still, a configuration on disk, and the daemon's parts over a fake host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from edged.daemon.changes import Changes
from edged.daemon.drift import Suspects
from edged.daemon.keeper import Keeper
from edged.daemon.totals import Totals
from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.faketable import FakeTable
from edged.lists.book import ListBook
from edged.lists.store import ListStore
from edged.loader import Configuration, load
from edged.lockout.guard import Guard, unguarded
from edged.ruleset.nodes import QueueForm
from edged.ruleset.plan import Lock
from edged.state import StateFolder

Answer = TypeVar("Answer")

NOW = 1_800_000_000.0  # 2027-01-15

EDGED = """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools: {dynamic: [203.0.113.0/25], static: [198.51.100.0/24]}
state: state
control: control.sock
"""
OP25B = """\
policy: op25b
mode: enforce
pools: [dynamic]
action: reject
"""


@dataclass
class FakeClock:
    """Time that passes only when a test says so; wall and boot time go together unless the wall clock is set."""

    host: FakeHost
    wall: float = NOW
    boot: float = 1000.0

    def __post_init__(self) -> None:
        self.host.now = self.boot

    def now(self) -> float:
        return self.wall

    def boottime(self) -> float:
        return self.boot

    def boot_id(self) -> str:
        return "this-boot"

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds
        self.host.now += seconds


def write_files(folder: Path, op25b: str = OP25B) -> Path:
    """A configuration on disk; the path of its edged.yaml."""
    (folder / "rules.d").mkdir(exist_ok=True)
    (folder / "edged.yaml").write_text(EDGED)
    (folder / "rules.d" / "20-op25b.yaml").write_text(op25b)
    return folder / "edged.yaml"


def exempt(until: float) -> str:
    """op25b with one exempt subscriber."""
    end = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'{OP25B}exempt:\n  subscribers:\n    - {{prefix: 203.0.113.7, until: "{end}", owner: noc, reason: ticket}}\n'


@dataclass
class Rig:
    """A host, and a daemon's parts on it as `main` puts them together; `restart` is another process on the same host."""

    folder: Path
    lock: Lock = Lock.OWNER_PERSIST
    host: FakeHost = field(default_factory=FakeHost)
    guard: Guard = unguarded

    def __post_init__(self) -> None:
        self.clock = FakeClock(self.host)
        self.path = self.folder / "edged.yaml"
        self.state = StateFolder(self.folder / "state", self.clock)
        self.restart()

    def restart(self) -> None:
        self.kernel = FakeKernel(self.host)
        self.suspects = Suspects()
        self.totals = Totals(FakeKernel(self.host).counters)
        self.keeper = Keeper(self.kernel, self.lock, QueueForm.EXPRESSION, self.clock, self.totals, self.suspects)

    def load(self) -> Configuration:
        return load(self.path, now=datetime.fromtimestamp(self.clock.now(), UTC))

    def changes(self, first: Configuration | None = None) -> Changes:
        lists = ListBook(ListStore(self.state.path), self.clock, lambda _: ())
        return Changes(self.keeper, self.state, self.clock, self.load, inline, first or self.load(), lists, self.guard)

    @property
    def table(self) -> FakeTable:
        """Our table, which is in the kernel."""
        assert self.host.table is not None
        return self.host.table

    @property
    def tables(self) -> set[str]:
        """The chains that are in the kernel."""
        return set(self.host.table.chains) if self.host.table else set()


async def inline(call: Callable[[], Answer], /) -> Answer:
    """The writer thread of tests: the test's own."""
    return call()
