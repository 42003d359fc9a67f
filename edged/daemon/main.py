"""The daemon's life: start, serve, stop. The only module of it that opens things.

    the files -> the control socket (is another daemon there?) -> the owning socket -> the policy, verified
              -> metrics, control -> READY -> watch until a signal -> leave the policy in force

What enforcement does not need is imported after the policy is in force.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

from edged import __version__
from edged.clock import Clock, SystemClock
from edged.control.listener import listening
from edged.control.messages import Degraded
from edged.daemon import logs
from edged.daemon.boot import choose, state_folder
from edged.daemon.bulk import BulkWatch
from edged.daemon.capper import Capper, shaped_devices
from edged.daemon.caps import CapsWatch
from edged.daemon.change import Answer
from edged.daemon.changes import Changes
from edged.daemon.drift import Suspects
from edged.daemon.heart import Heart
from edged.daemon.keeper import Keeper
from edged.daemon.lists import ListWatch
from edged.daemon.owner import open_owner
from edged.daemon.report import View
from edged.daemon.surroundings import Surroundings
from edged.daemon.systemd import Systemd
from edged.daemon.totals import Totals
from edged.daemon.treewatch import TreeWatch
from edged.daemon.uninspected import Uninspected
from edged.daemon.watch import RulesetWatch
from edged.errors import EdgedError
from edged.kernel import Capabilities
from edged.kernel.events import LinkEvents, NftEvents
from edged.kernel.flows import LinuxFlows
from edged.kernel.linerate import line_rate
from edged.kernel.linux import LinuxKernel
from edged.kernel.probe import FEATURES
from edged.kernel.tc import LinuxTrafficControl
from edged.kernel.treeevents import TreeEvents
from edged.lists.book import ListBook
from edged.lists.protected import protected
from edged.lists.store import ListStore
from edged.loader import Configuration, load
from edged.lockout.gather import Lifelines
from edged.ruleset.observed import CounterValue
from edged.ruleset.plan import Lock
from edged.ruleset.tree import Counter
from edged.sources.guards import Protected
from edged.state import StateFolder

_log = logging.getLogger(__name__)


def run(path: Path) -> None:
    """Be the daemon of that configuration until SIGTERM or SIGINT. Raises EdgedError where it cannot start."""
    logs.set_up(os.environ)
    with (
        closing(Systemd(os.environ, os.getpid())) as systemd,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer") as writer,
    ):
        asyncio.run(_Daemon(path.absolute(), systemd, SystemClock(), writer).live())


class _Daemon:
    """One life of the daemon; its parts are there from the moment `live` has made them."""

    keeper: Keeper
    totals: Totals
    capabilities: Capabilities
    changes: Changes
    lifelines: Lifelines
    list_store: ListStore
    lists: ListBook
    sources: ListWatch
    surroundings: Surroundings
    watch: RulesetWatch
    trees: TreeWatch
    capper: Capper
    caps: CapsWatch

    def __init__(self, path: Path, systemd: Systemd, clock: Clock, writer: ThreadPoolExecutor) -> None:
        self.path = path
        self.systemd = systemd
        self.clock = clock
        self.writer = writer
        self.metrics_degraded: Callable[[], Degraded | None] = lambda: None  # until the page is served

    async def live(self) -> None:
        """Start, serve until asked to stop, and leave the policy in force. Raises EdgedError."""
        stop_asked, reload_asked = _signals()
        state = StateFolder(state_folder(self.path), self.clock)
        choice = choose(self.load, state)
        async with AsyncExitStack() as opened:
            control = opened.enter_context(listening(choice.named.edged.control.path))
            await self._open_kernel(opened)
            self.list_store = ListStore(state.path)
            self.lifelines = Lifelines(self.clock)
            self.lists = ListBook(self.list_store, self.clock, self.protected)
            self.changes = Changes(
                self.keeper, state, self.clock, self.load, self.in_writer, choice.named, self.lists, self.lifelines.guard
            )
            self.sources = ListWatch(self.lists, self.changes, self.clock)
            bulk, has_queues = BulkWatch(LinuxFlows(), self.clock), self.capabilities.queue is not None
            self.caps = CapsWatch(
                self.capper,
                bulk,
                self.in_writer,
                self.in_force,
                self.trees.awake,
                Uninspected(self.totals),
                has_queues=has_queues,
            )
            opened.push_async_callback(self.changes.stop)
            await self.caps.prepare(choice.named)
            await self.changes.start(choice)
            self.surroundings = Surroundings(
                opened.enter_context(closing(LinuxKernel())),
                opened.enter_context(closing(LinkEvents())),
                lambda: self.changes.record.configuration,
            )
            self.surroundings.refresh()
            self.watch.on_bypass = self.surroundings.look
            answering = await self._serve(opened, control, choice.named)
            # all there is now stays for long: a collection that goes over it keeps a repair waiting for tens of milliseconds
            gc.freeze()
            heart = Heart(self.systemd, self.clock, lambda: self.view({}))
            heart.ready()
            _log.info("edged %s is ready: %s", __version__, heart.line)
            watching = (self.watch.run(), self.trees.run(), self.caps.run(), self.surroundings.run(), self.sources.run())
            await _until(stop_asked, *watching, heart.run(), answering, self._reload_at(reload_asked))
            holds = "the policy stays in force" if self.keeper.state.enforcing else "no policy is in force"
            self.systemd.stopping(f"Stopping; {holds}")
            _log.info("stopping; %s", holds)

    def load(self) -> Configuration:
        """The files as they are now. Raises InvalidConfiguration."""
        return load(self.path, now=datetime.fromtimestamp(self.clock.now(), UTC))

    def protected(self, configuration: Configuration) -> tuple[Protected, ...]:
        """What no list may name now."""
        return tuple(protected(configuration, self.lifelines.ends(configuration)))

    def in_force(self) -> Configuration | None:
        """What is enforced; None where nothing is."""
        record = self.changes.record
        return None if record.idle else record.configuration

    async def in_writer(self, call: Callable[[], Answer], /) -> Answer:
        """Run a call in the one thread that writes to the kernel."""
        return await asyncio.get_running_loop().run_in_executor(self.writer, call)

    def view(self, totals: Mapping[Counter, CounterValue]) -> View:
        """All that there is to tell now."""
        lock = self.capabilities.lock
        return View(
            record=self.changes.record,
            kept=self.keeper.state,
            lock=lock,
            totals=totals,
            present=self.surroundings.present,
            bypasses=self.surroundings.bypasses,
            seconds_left=self.changes.seconds_left,
            restart_needed=self.changes.restart_needed,
            warnings=_lock_warnings(lock, self.systemd),
            metrics=str(self.changes.first.edged.metrics.listen),
            metrics_degraded=self.metrics_degraded(),
            lists=self.lists.health,
            list_trouble=self.sources.trouble or self.lists.trouble,
            unread=self.totals.trouble,
            unseen=self.surroundings.trouble,
            caps=self.caps.view(totals),
        )

    async def _open_kernel(self, opened: AsyncExitStack) -> None:
        """The keeper over the owning socket; it leaves the policy in force whenever it is closed."""
        events = opened.enter_context(closing(NftEvents()))  # before the first change, so that none after it is missed
        kernel = open_owner(self.systemd, events.hushed)
        self.totals = Totals(opened.enter_context(closing(LinuxKernel())).counters)
        suspects = Suspects()
        try:
            self.capabilities = await self.in_writer(kernel.capabilities)
        except EdgedError:
            kernel.close()
            raise
        self.keeper = Keeper(kernel, self.capabilities.lock, self.capabilities.queue, self.clock, self.totals, suspects)
        opened.push_async_callback(self.in_writer, self.keeper.leave)
        traffic = opened.enter_context(closing(LinuxTrafficControl()))
        self.capper = Capper(kernel.leases(), traffic, self.clock, line_rate)
        opened.push_async_callback(self.in_writer, self.capper.end)
        touches = opened.enter_context(closing(TreeEvents(traffic.port)))
        self.trees = TreeWatch(touches, self.capper.strangers, lambda: shaped_devices(self.in_force()), self.clock)
        self.watch = RulesetWatch(self.keeper, suspects, self.clock, self.in_writer, events)
        for warning in _lock_warnings(self.capabilities.lock, self.systemd):
            _log.warning("%s", warning)

    async def _serve(self, opened: AsyncExitStack, control: socket.socket, first: Configuration) -> Coroutine[None, None, None]:
        """Metrics, for as long as the stack is open, and what takes in connections to the control socket.

        Raises EdgedError where the metrics' address cannot be used.
        """
        from edged.daemon.service import ControlService, figures  # noqa: PLC0415  0.3 s that the policy does not wait for
        from edged.daemon.serving import served  # noqa: PLC0415

        def view() -> View:
            return self.view(self.totals.read())

        serving = await opened.enter_async_context(
            served(
                control,
                ControlService(self.changes, view, self.list_store.key, self.sources, self.caps, self.lifelines),
                lambda: figures(view(), self.capabilities, self.totals.errors),
                first,
                lambda: self.changes.record.configuration,
            )
        )
        self.metrics_degraded = lambda: serving.metrics.degraded
        return serving.answering

    async def _reload_at(self, asked: asyncio.Event) -> None:
        """Reload at each SIGHUP; nobody waits for the answer but the log."""
        while True:
            await asked.wait()
            asked.clear()
            try:
                change = await self.changes.reload()
            except EdgedError as error:
                _log.error("reload failed, the policy in force stays: %s", error)
            except Exception:  # noqa: BLE001  edged's own fault must not end the daemon
                _log.exception("reload failed, the policy in force stays")
            else:
                _log.info("reload done, %d steps", len(change.steps))


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """The events of being asked to stop and to reload."""
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, reload)):
        loop.add_signal_handler(number, event.set)
    return stop, reload


async def _until(asked: asyncio.Event, *tasks: Coroutine[None, None, None]) -> None:
    """Run the tasks until asked to stop. Raises what any of them raises: a daemon with a part missing does not go on."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(task) for task in tasks]
        await asked.wait()
        for task in running:
            task.cancel()


def _lock_warnings(lock: Lock, systemd: Systemd) -> tuple[str, ...]:
    if lock is Lock.NONE:
        return (f"this kernel has no owner flag for tables: {FEATURES['table_owner'].otherwise}",)
    if lock is Lock.OWNER and not systemd.present:
        return ("the table goes with this process if it is killed: this kernel has no persist, and no systemd keeps the socket",)
    return ()
