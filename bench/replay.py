"""What replay costs: packets a second on one core, memory on ten million packets, the first result of a small capture.

    python -m bench.replay [ROUNDS [MILLIONS]]

The capture is the corpus as one file of raw IP, or, where there is none (EDGED_CORPUS names its folder), one that is made here.
`edged` is the model engine with the shipped policy in a process that has loaded it, without classes and with those that its caps
make `edged replay` tell; the peers are `tshark -q` and `ndpiReader`, which judge nothing, on the same file in the same rounds.
All by their CPU time, less that of an empty capture. The memory is the most that the process ever held (VmHWM), with classes:
Python and the policy are some 45 MB of it, and what the inspector remembers of flows 30.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench._table import Table
from edged.cli.files import load_configuration
from edged.inspect.engine import Inspector
from edged.lists.offline import in_force
from edged.packet.decode import RAW, decode
from edged.packet.layers import Decoded
from edged.replay.classes import Classifier
from edged.replay.model import Model
from edged.replay.readers import open_capture
from edged.replay.report import Summary
from edged.replay.run import Replay
from edged.replay.sides import Sides
from edged.sources.hosts import Hosts

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "rules/edged.yaml"
CORPUS = Path(os.environ.get("EDGED_CORPUS", ROOT.parent / "shared/corpus")) / "dev/pcap"
SMALL = ROOT / "pcaps/op25b_triangular_spam/input.pcap"
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, RAW)
RATE, FIRST, MEMORY = 200_000, 0.4, 150  # the promises: packets a second, seconds, MB
REPEATED = 4  # the corpus has some 37,000 packets: so many times, for a run that is long enough to be timed

RECORD = {"seconds": "<u4", "micros": "<u4", "captured": "<u4", "on_wire": "<u4"}
IPV4 = {
    "version": "u1",
    "tos": "u1",
    "length": ">u2",
    "id": ">u2",
    "cut": ">u2",
    "ttl": "u1",
    "protocol": "u1",
    "checksum": ">u2",
}
ENDS = {"source": ">u4", "destination": ">u4", "sport": ">u2", "dport": ">u2", "udp_length": ">u2", "udp_checksum": ">u2"}
PACKET = np.dtype(list((RECORD | IPV4 | ENDS).items()))
IP_LENGTH = PACKET.itemsize - 16


def corpus(file: Path) -> int:
    """Write the corpus' packets, a millisecond apart; how many there are."""
    packets = list(corpus_packets())
    with file.open("wb") as out:
        out.write(HEADER)
        for number, packet in enumerate(packets * REPEATED):
            out.write(struct.pack("<IIII", number // 1000, number % 1000 * 1000, len(packet), len(packet)) + packet)
    return len(packets) * REPEATED


def corpus_packets() -> Iterator[bytes]:
    """The outermost IP packets of all captures, one after the other."""
    for path in sorted(CORPUS.glob("*.pcap*")):
        with open_capture(path) as capture:
            for record in capture:
                packet = decode(record.data, record.link, record.original_length)
                if isinstance(packet, Decoded):
                    yield record.data[packet.network : packet.network + packet.length]


def made(file: Path, packets: int, flows: int) -> None:
    """Write UDP packets of subscribers, fifty thousand a second: of so many flows in turn, or each of its own (0)."""
    with file.open("wb") as out:
        out.write(HEADER)
        for first in range(0, packets, 500_000):
            number = np.arange(first, min(packets, first + 500_000), dtype=np.int64)
            flow = number * 7919 % flows if flows else number
            rows = np.zeros(len(number), PACKET)
            rows["seconds"], rows["micros"] = np.divmod(number * 20, 1_000_000)
            rows["captured"] = rows["on_wire"] = rows["length"] = IP_LENGTH
            rows["version"], rows["ttl"], rows["protocol"], rows["udp_length"] = 0x45, 60, 17, 8
            rows["source"] = 0x64400000 + flow * 2654435761 % (1 << 22)  # 100.64.0.0/10
            rows["destination"] = 0x08000000 + flow * 40503 % (1 << 24)
            rows["sport"], rows["dport"] = 1024 + flow % 60000, np.where(flow % 7, 443, 53)
            words = [rows[name].astype(np.int64) for name in ("source", "destination")]
            total = 0x4500 + IP_LENGTH + (60 << 8 | 17) + sum(word // 65536 + word % 65536 for word in words)
            total = total % 65536 + total // 65536
            rows["checksum"] = 65535 - (total % 65536 + total // 65536)  # RFC 1071
            out.write(rows.tobytes())


def by_edged(replay: Replay, file: Path, hosts: Hosts | None) -> float:
    """CPU seconds of this process; with `hosts` it tells classes too."""
    began = time.process_time()
    replay.run(file, Summary("model", [str(file)]), classifier=None if hosts is None else Classifier(Inspector(hosts)))
    return time.process_time() - began


def seconds_of(*command: str) -> tuple[float, float]:
    """CPU seconds and wall seconds of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return used.ru_utime + used.ru_stime, wall


def main() -> int:
    """Measure; 1 where a promise is not kept."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    millions = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    table = Table()
    with tempfile.TemporaryDirectory(prefix="edged-bench-") as folder:
        file, empty, large = (Path(folder) / name for name in ("capture.pcap", "empty.pcap", "large.pcap"))
        empty.write_bytes(HEADER)
        packets = corpus(file) if CORPUS.is_dir() else 0
        if not packets:
            print(f"no corpus in {CORPUS}: a capture is made instead")
            made(file, packets := 200_000, 2000)
        print(f"{packets} packets, {file.stat().st_size / 1e6:.1f} MB; {rounds} rounds")
        speeds(table, file, empty, packets, rounds)
        small(table, rounds)
        for title, flows in (("of 50,000 flows", 50_000), ("each a flow of its own", 0)):
            made(large, millions * 1_000_000, flows)
            memory(table, large, f"{millions} million packets, {title}")
    return 0 if table.held else 1


def speeds(table: Table, file: Path, empty: Path, packets: int, rounds: int) -> None:
    """Packets a second, beside the peers that are there."""
    configuration = in_force(load_configuration(EXAMPLE))
    site = configuration.site()
    peers = {
        "tshark -q": ("tshark", "-q", "-n", "-r"),  # reads, and looks into nothing
        "tshark -q -z io,phs": ("tshark", "-q", "-n", "-z", "io,phs", "-r"),  # looks into every packet
        "ndpiReader": ("ndpiReader", "-q", "-i"),
    }
    asked = {"edged, as shipped": configuration.streaming_hosts, "edged, without classes": None}
    found: dict[str, list[float]] = {name: [] for name in asked}
    for name, command in peers.items():
        if shutil.which(command[0]):
            found[name] = []
        else:
            print(f"{command[0]} is not installed: not compared (Debian: apt-get install tshark libndpi-bin)")
    for _ in range(rounds):
        for name, hosts in asked.items():
            replay = Replay(Model(configuration.table(0), site), Sides(site).of_sender)
            found[name].append(packets / by_edged(replay, file, hosts))
        for name in found.keys() & peers.keys():
            took = seconds_of(*peers[name], str(file))[0] - seconds_of(*peers[name], str(empty))[0]
            found[name].append(packets / max(took, 1e-3))
    table.head("one core, CPU time, start aside", "thousand packets/s", "edged")
    own = found.pop("edged, as shipped")
    table.row("edged, as shipped", [rate / 1000 for rate in own])
    for name, rates in found.items():
        table.against(name, [rate / 1000 for rate in rates], [rate / 1000 for rate in own])
    rate = statistics.median(own)
    table.say(f"as shipped: at least {RATE:,} packets/s", f"{rate:,.0f}", held=rate >= RATE)


def small(table: Table, rounds: int) -> None:
    """A small capture, from start to end of the command."""
    command = (sys.executable, "-m", "edged", "replay", "-c", str(EXAMPLE), str(SMALL))
    seconds_of(*command)
    table.head(f"edged replay {SMALL.parent.name}", "seconds")
    table.row("from start to end", [seconds_of(*command)[1] for _ in range(max(rounds, 5))], FIRST, "s")


def memory(table: Table, large: Path, title: str) -> None:
    """The most memory that the command holds."""
    command = (sys.executable, "-m", "edged", "replay", "-c", str(EXAMPLE), "--json", str(large))
    began, most = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        # not ru_maxrss, which counts what this process held when it started that one
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            most = int(found[1]) // 1024 if found else most
            time.sleep(0.1)
    table.say(title, f"{most} MB, {time.perf_counter() - began:.0f} s", held=process.returncode == 0 and most <= MEMORY)


if __name__ == "__main__":
    raise SystemExit(main())
