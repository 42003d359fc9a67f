"""What long lists cost: a million entries loaded, changed, kept in memory and asked for, beside `nft -f` of the same sets.

    python -m bench.blocklist [ROUNDS]          (root)

Loading goes from a file that is written already to the policy in the kernel, as the daemon does it: read, judge, keep on disk,
merge, compile, observe, compare, commit, verify. All policies of the shipped example are in it. nft is given a file with the one
set, sorted, of the same size, and makes it in the same namespace; edged's file is in no order. They take turns; a ratio is taken
within each round and its median is printed. A round in which others on this machine listened to nftables' events, as tests and
daemons do, is done again (_namespaces.listeners says why). Afterwards a real daemon is started in the namespace, which watches
the file.

The promises, for a million entries where nothing else is said:

    loading                   0.8 of nft's time, the kernel's part of it 0.4; mixed prefixes 0.5; 500,000 of IPv6 0.8
    200 changed entries       1 s from the changed file to the policy in the kernel, of which 10 ms in the kernel
    memory of the daemon      350 MB, also at its peak and after reloads
    `edged blocklist test`    50 ms in the daemon

One that is not kept is exit code 1. What a packet pays is in lookup.py.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import patch

import numpy as np

from bench._lists import addresses, peak_of, prefix_texts, prefixes, texts, write_list, write_nft
from bench._namespaces import alone, ip, namespace, watched
from bench._table import Table
from edged.addresses import Family
from edged.clock import SystemClock
from edged.enforce import enforce
from edged.kernel.attrs import nest, text
from edged.kernel.batch import Batch
from edged.kernel.elements import encode_keys
from edged.kernel.events import NftEvents
from edged.kernel.linux import LinuxKernel
from edged.kernel.namespace import inside
from edged.kernel.nftsocket import NftSocket
from edged.kernel.uapi import ElemAttr, Msg
from edged.lab.topology import GATEWAY_LAN, Host
from edged.lists.book import ListBook
from edged.lists.protected import protected
from edged.lists.store import ListStore
from edged.loader import Configuration, load
from edged.packed import Keys
from edged.ruleset.plan import Desired
from edged.ruleset.sets import PrefixSet
from tests.netns.daemon_process import Daemon, eventually

MILLION = 1_000_000
CHANGED = 100  # entries that go, and as many that come
RELOADS = 3
ATTEMPTS = 5
LISTENED = 100_000  # for a million, the kernel takes 7 GB while somebody listens
EXAMPLE = Path(__file__).parents[1] / "rules"
POLICY = "rules.d/10-blocklist.yaml"
BLOCKLIST = "policy: blocklist\nlists: [{{name: long, path: {path}}}]\n"


@dataclass
class Clock:
    """The seconds in all that was done, and those in the kernel's commits alone."""

    whole: list[float] = field(default_factory=list)
    kernel: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time what is done meanwhile, as one figure."""
        spent = 0.0
        commit = NftSocket.commit

        def timed(opened: NftSocket, batch: Batch) -> None:
            nonlocal spent
            began = time.perf_counter()
            commit(opened, batch)
            spent += (time.perf_counter() - began) if batch.messages else 0.0

        with patch.object(NftSocket, "commit", timed):
            began = time.perf_counter()
            yield
            self.whole.append(time.perf_counter() - began)
        self.kernel.append(spent)


class Gateway:
    """The shipped policies with one long list, in one namespace, as the daemon would hold them."""

    def __init__(self, netns: str, kernel: LinuxKernel, folder: Path) -> None:
        self.netns = netns
        self.list = folder / "long.txt"
        self._kernel = kernel
        self._capabilities = kernel.capabilities()
        subprocess.run(["cp", "-r", f"{EXAMPLE}/.", folder], check=True)
        (folder / POLICY).write_text(BLOCKLIST.format(path=self.list))
        self._files = load(folder / "edged.yaml", now=datetime.now(UTC))
        self._folder = folder
        self._books = 0
        self.forget()

    def forget(self) -> None:
        """As on the first day: no list was ever accepted, and nothing is in the kernel."""
        enforce(self._kernel, None, time.time)
        self._books += 1
        store = ListStore(self._folder / f"state{self._books}")
        self._book = ListBook(store, SystemClock(), lambda each: inside(self.netns, lambda: tuple(protected(each, ()))))
        rest()

    def take(self) -> Configuration:
        """Bring the list, as it stands in its file, into the kernel."""
        configuration = self._book.refreshed(self._files)
        if self._book.refused:
            raise RuntimeError(f"edged refuses the list: {self._book.refused}")
        able = self._capabilities
        enforce(self._kernel, Desired(configuration.table(int(time.time())), able.lock, able.queue), time.time)
        return configuration

    def nft(self, path: Path) -> float:
        """The seconds in which nft makes a set; it is removed afterwards."""
        command = ["ip", "netns", "exec", self.netns, "nft"]
        began = time.perf_counter()
        subprocess.run([*command, "-f", path], check=True)
        taken = time.perf_counter() - began
        subprocess.run([*command, "delete", "table", "inet", "plain"], check=True)
        rest()
        return taken


def rest() -> None:
    """The kernel frees what was removed after the commit, for which the next one would wait."""
    time.sleep(0.5)


@dataclass(frozen=True)
class Load:
    """A list to be loaded, and how long that may take beside nft."""

    title: str
    family: Family
    listed: list[str]  # in edged's file
    ordered: list[str]  # in nft's
    kind: str
    whole: float
    kernel: float | None = None


def loads(random: np.random.Generator) -> Iterator[Load]:
    """The lists of the promises; each is made when it is asked for."""
    for family, count, most, in_kernel in ((Family.IPV4, MILLION, 0.8, 0.4), (Family.IPV6, MILLION // 2, 0.8, None)):
        single = addresses(family, count, random)
        keys = Keys(family, family.bits, np.sort(single))
        size = f"size {PrefixSet('listed', keys).size}"
        title = f"{count:,} addresses, {'IPv4' if family is Family.IPV4 else 'IPv6'}"
        yield Load(title, family, texts(family, single), texts(family, keys.addresses), size, most, in_kernel)
    mixed = prefix_texts(prefixes(MILLION, random))
    yield Load(
        f"{MILLION:,} prefixes /16 to /32, IPv4", Family.IPV4, list(random.permutation(mixed)), mixed, "flags interval", 0.5
    )


def measure_loads(table: Table, gateway: Gateway, folder: Path, rounds: int, random: np.random.Generator) -> None:
    """From the file to the kernel, beside nft."""
    for each in loads(random):
        write_list(gateway.list, each.listed)
        write_nft(folder / "listed.nft", each.family, each.ordered, each.kind)
        clock = Clock()
        nft: list[float] = []
        disturbed = [measure_load(gateway, folder / "listed.nft", clock, nft) for _ in range(rounds + 1)][1:].count(False)
        table.head(each.title, "s", "nft -f")
        table.against("edged, from the file to the kernel", clock.whole[1:], nft[1:], each.whole)
        table.against("  in the kernel's commit alone", clock.kernel[1:], nft[1:], each.kernel)
        table.row("nft -f", nft[1:])
        if disturbed:
            table.say("others listened to nftables' events meanwhile in", f"{disturbed} of {rounds} rounds")


def measure_load(gateway: Gateway, listed: Path, clock: Clock, nft: list[float]) -> bool:
    """One round; whether it was free of others that listen to nftables' events."""

    def take() -> None:
        gateway.forget()
        with clock.running():
            gateway.take()
        gateway.forget()

    return all((_undisturbed(take, clock.whole, clock.kernel), _undisturbed(lambda: nft.append(gateway.nft(listed)), nft)))


def _undisturbed(work: Callable[[], object], *figures: list[float]) -> bool:
    """Do it, and again where others listened meanwhile, without the figures of the former time; whether nobody did at last."""
    for attempt in range(ATTEMPTS):
        if attempt:
            for each in figures:
                each.pop()
        alone(20)
        with watched() as seen:
            work()
        if not any(seen):
            return True
    return False


def measure_listened(table: Table, gateway: Gateway, folder: Path, rounds: int, random: np.random.Generator) -> None:
    """The same while somebody in another namespace hears of changes to nftables, for which the kernel writes all that down."""
    single = addresses(Family.IPV4, LISTENED, random)
    write_list(gateway.list, texts(Family.IPV4, single))
    keys = Keys(Family.IPV4, 32, np.sort(single))
    write_nft(folder / "listed.nft", Family.IPV4, texts(Family.IPV4, keys.addresses), f"size {PrefixSet('listed', keys).size}")
    quiet, heard, nft = Clock(), Clock(), []
    for _ in range(rounds):
        alone(20)
        gateway.forget()
        with quiet.running():
            gateway.take()
        with namespace("elsewhere") as elsewhere, closing(NftEvents(elsewhere)):
            gateway.forget()
            with heard.running():
                gateway.take()
            gateway.forget()
            nft.append(gateway.nft(folder / "listed.nft"))
    table.head(f"{LISTENED:,} addresses, IPv4, while another namespace listens", "s", "nft -f")
    table.against("edged, from the file to the kernel", heard.whole, nft)
    table.against("  in the kernel's commit alone", heard.kernel, nft)
    table.against("  the same while nobody listens", quiet.kernel, nft)
    table.row("nft -f", nft)


class Changing:
    """A list of single IPv4 addresses, a few of which change each time it is written."""

    def __init__(self, path: Path, random: np.random.Generator) -> None:
        self.path = path
        self._random = random
        self.listed: list[str] = []

    def renew(self) -> None:
        """A million others."""
        self.listed = texts(Family.IPV4, addresses(Family.IPV4, MILLION, self._random))
        write_list(self.path, self.listed)

    def prepare(self) -> tuple[str, Callable[[], float]]:
        """The next content, and what puts it in place: some lines are others. An address that is new, and when it was there."""
        among = set(self.listed)
        new = [each for each in texts(Family.IPV4, addresses(Family.IPV4, 2 * CHANGED, self._random)) if each not in among]
        for place, each in zip(self._random.permutation(MILLION)[:CHANGED], new[:CHANGED], strict=True):
            self.listed[place] = each
        prepared = self.path.with_name("prepared.txt")
        write_list(prepared, self.listed)

        def put() -> float:
            prepared.rename(self.path)
            return time.perf_counter()

        return new[0], put


def measure_changes(table: Table, gateway: Gateway, rounds: int, random: np.random.Generator) -> None:
    """A list that is in force and changes, a little and altogether; in this process."""
    changing = Changing(gateway.list, random)
    little, altogether = Clock(), Clock()
    gateway.forget()
    changing.renew()
    gateway.take()
    for _ in range(rounds):
        _, put = changing.prepare()
        put()
        with little.running():
            gateway.take()
    for _ in range(rounds):
        changing.renew()
        with altogether.running():
            gateway.take()
        rest()
    table.head(f"{MILLION:,} addresses, +{CHANGED} -{CHANGED}, in process", "ms")
    table.row("edged, from the changed file to the kernel", _ms(little.whole), 1000, "ms")
    table.row("  in the kernel's commit alone", _ms(little.kernel), 10, "ms")
    table.head(f"{MILLION:,} addresses, all of them others, in process", "ms")
    table.row("edged, from the changed file to the kernel", _ms(altogether.whole))
    table.row("  in the kernel's commit alone", _ms(altogether.kernel))


def measure_daemon(table: Table, netns: str, folder: Path, rounds: int, random: np.random.Generator) -> None:
    """A daemon with a million entries: how soon a changed file is in force, its memory, its answers, its restart."""
    ip(netns, "link set lo up")
    with closing(Daemon(Host(netns, *GATEWAY_LAN))) as daemon, closing(LinuxKernel(netns)) as kernel:
        changing = Changing(daemon.folder / "long.txt", random)
        changing.renew()
        (daemon.folder / POLICY).write_text(BLOCKLIST.format(path=changing.path))
        daemon.start()
        memory = {"after the first load": _memory(daemon)}
        soon = []
        for number in range(1, max(rounds, RELOADS) + 1):
            soon.append(_seconds_until_in_force(daemon, kernel, changing))
            if number == RELOADS:
                memory[f"after {RELOADS} changes of +{CHANGED} -{CHANGED}"] = _memory(daemon)
        _answers(table, daemon, changing, rounds)
        table.head(f"{MILLION:,} addresses, +{CHANGED} -{CHANGED}, watched by a daemon", "ms")
        table.row("from the file's rename to the address in the kernel", _ms(soon), 1000, "ms")
        changing.renew()
        before = kernel.generation()
        eventually(lambda: kernel.generation() != before, 60)
        eventually(lambda: _holds(netns, changing.listed[0]), 60)
        time.sleep(2)
        memory["after a change to a million others"] = _memory(daemon)
        _show_memory(table, memory, netns, folder, changing)
        _restart(table, daemon, kernel, rounds)


def _seconds_until_in_force(daemon: Daemon, kernel: LinuxKernel, changing: Changing) -> float:
    new, put = changing.prepare()
    time.sleep(1)  # the look at the former change has come to its end
    before = kernel.generation()
    began = put()
    eventually(lambda: kernel.generation() != before, 60)
    seconds = time.perf_counter() - began
    if not _holds(daemon.host.netns, new):
        raise RuntimeError(f"the generation rose, and {new} is not in the kernel: {daemon.log()}")
    return seconds


def _holds(netns: str, address: str) -> bool:
    """Whether the set that the rules ask has the address; a list that is far from the one before gets another set."""
    with closing(LinuxKernel(netns)) as kernel:
        table = kernel.observe().table
    notes = table.chains["blocklist_up"].notes if table is not None else {}
    names = [name for name in notes if name.startswith("blocklist4_32")]
    where = text(ElemAttr.LIST_TABLE, "edged") + text(ElemAttr.LIST_SET, names[0] if names else "")
    with closing(NftSocket(netns)) as opened:
        asked = nest(ElemAttr.LIST_ELEMENTS, *encode_keys(Family.IPV4, ip_address(address).packed))
        return opened.get(Msg.GETSETELEM, where + asked) is not None


def _memory(daemon: Daemon) -> tuple[float, float]:
    """VmRSS and VmHWM in MB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    now, peak = (int(fields[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))
    return now, peak


def _show_memory(table: Table, memory: dict[str, tuple[float, float]], netns: str, folder: Path, changing: Changing) -> None:
    table.head(f"memory with {MILLION:,} addresses", "MB")
    for when, (now, peak) in memory.items():
        table.row(f"daemon {when}, VmRSS", [now], 350, "MB")
        table.row(f"daemon {when}, VmHWM", [peak], 350, "MB")
    listed = folder / "listed.nft"
    write_nft(listed, Family.IPV4, changing.listed, "size 1572864")
    table.row("nft -f of the same set, at its peak", [peak_of(["ip", "netns", "exec", netns, "nft", "-f", str(listed)]) / 1e6])
    subprocess.run(["ip", "netns", "exec", netns, "nft", "delete", "table", "inet", "plain"], check=True)


def _answers(table: Table, daemon: Daemon, changing: Changing, rounds: int) -> None:
    """`edged blocklist test`: what the daemon takes, and the whole command."""
    command = [sys.executable, "-m", "edged", "blocklist", "test", "-c", str(daemon.config)]
    asked, whole = [], []
    for place in range(rounds * 5):
        address = changing.listed[place * 1000]
        began = time.perf_counter()
        found = daemon.client.blocklist_test(address)
        asked.append(time.perf_counter() - began)
        if not found["blocked"]:
            raise RuntimeError(f"{address} is in the list, and edged says otherwise: {found}")
        began = time.perf_counter()
        subprocess.run([*command, address], check=True, stdout=subprocess.DEVNULL)
        whole.append(time.perf_counter() - began)
    table.head(f"edged blocklist test, {MILLION:,} addresses", "ms")
    table.row("the daemon's answer, over its socket", _ms(asked), 50, "ms")
    table.row("the whole command, with the start of its process", _ms(whole))


def _restart(table: Table, daemon: Daemon, kernel: LinuxKernel, rounds: int) -> None:
    """What a restart takes, as systemd does it: it has kept the socket that owns the table."""
    rest()
    before = kernel.generation()
    ready = []
    for _ in range(rounds):
        daemon.stop()
        daemon.start(owner=daemon.systemd.kept.get("nft"))
        ready.append(daemon.seconds_to_ready)
    written = (kernel.generation() - before) / rounds
    table.head(f"restart with {MILLION:,} addresses", "s")
    table.row("from the start of the process to READY", ready)
    table.say("commits to the ruleset by a stop and a start", f"{written:g}")


def _ms(seconds: list[float]) -> list[float]:
    return [each * 1000 for each in seconds]


def main() -> int:
    """Measure and print; 1 where a promise is not kept."""
    rounds = max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 5
    random = np.random.default_rng(1)
    table = Table()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the daemon and the namespace go in any case
    print(f"{rounds} rounds")
    with tempfile.TemporaryDirectory() as made, namespace("blocklist") as netns:
        folder = Path(made)
        with closing(LinuxKernel(netns)) as kernel:
            gateway = Gateway(netns, kernel, folder)
            measure_loads(table, gateway, folder, rounds, random)
            measure_listened(table, gateway, folder, rounds, random)
            measure_changes(table, gateway, rounds, random)
            gateway.forget()
        measure_daemon(table, netns, folder, rounds, random)
    return int(not table.held)


if __name__ == "__main__":
    sys.exit(main())
