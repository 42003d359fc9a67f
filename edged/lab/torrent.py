"""BitTorrent in the lab: a file that one peer has, a peer that wants it, and the tracker that brings them together.

The tracker is a file of the lab's web server, which answers every announce alike: it names the peer that has the file. The
peers look for nobody else: no DHT, no local discovery, no exchange of peers, no proxy.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edged.addresses import Family
from edged.lab.topology import Host, Process

PORT = 6881
CONTENT = "lab.bin"
CONTENT_BYTES = 256 << 20
_PIECE_BYTES = 1 << 20
_ARIA2 = (
    *("aria2c", "--no-conf", "--no-netrc", "--all-proxy=", "--http-proxy=", "--show-console-readout=false"),
    *("--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false"),
    *("--file-allocation=none", f"--listen-port={PORT}"),
)
_RECEIVED = re.compile(r"\brcvmss:(\d+)\b.*?\bdata_segs_in:(\d+)")

Bencoded = bytes | int | Mapping[bytes, "Bencoded"]


def bencode(value: Bencoded) -> bytes:
    """The value in the encoding of BEP 3, whose dictionaries are sorted by their keys."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d%se" % b"".join(bencode(key) + bencode(value[key]) for key in sorted(value))


@dataclass(frozen=True, slots=True)
class Leecher:
    """A peer while it fetches the file; what it writes is in `log`."""

    host: Host
    process: Process
    log: Path
    began: float

    def received(self) -> int:
        """The bytes that have come from the peer that has the file, on the connections that are open.

        By segments: TCP's own count of bytes stands still while one is missing, and jumps by a queueful when it has come.
        """
        told = self.host.run(["ss", "--tcp", "--info", "--no-header", "--numeric", "state", "established", f"dport = :{PORT}"])
        return sum(int(size) * int(segments) for size, segments in _RECEIVED.findall(told.stdout))


@dataclass(frozen=True, slots=True)
class Torrent:
    """The file, in a folder of its own, and who has it; its tracker is at `web`, which is the same host."""

    folder: Path
    web: Host

    def write(self, site: Path) -> None:
        """Writes the file, the metainfo for either end, and to the web server's folder what the tracker answers."""
        self._content.mkdir(parents=True)
        with (self._content / CONTENT).open("wb") as content:
            content.truncate(CONTENT_BYTES)  # it has no blocks: its zeros take no room
        pieces = hashlib.sha1(bytes(_PIECE_BYTES)).digest() * (CONTENT_BYTES // _PIECE_BYTES)  # noqa: S324  BEP 3
        info: Bencoded = {b"length": CONTENT_BYTES, b"name": CONTENT.encode(), b"piece length": _PIECE_BYTES, b"pieces": pieces}
        # who has the file asks no tracker: it would be told of itself
        self._metainfo("seeder").write_bytes(bencode({b"info": info}))
        for family in Family:
            address = self.web.address(family)
            tracker = f"http://{address if family is Family.IPV4 else f'[{address}]'}/announce-{family.label}"
            self._metainfo(family.label).write_bytes(bencode({b"announce": tracker.encode(), b"info": info}))
            (site / f"announce-{family.label}").write_bytes(bencode(self._announced(family)))

    def _announced(self, family: Family) -> Bencoded:
        """The tracker's answer: one peer, in the compact form of BEP 23, or of BEP 7 for IPv6."""
        peer = self.web.address(family).packed + PORT.to_bytes(2, "big")
        return {b"interval": 1800, b"peers" if family is Family.IPV4 else b"peers6": peer}

    def seeding(self) -> list[object]:
        """The command of the peer that has the file."""
        options = ("--seed-ratio=0", "--bt-seed-unverified=true", f"--dir={self._content}")
        return [*_ARIA2, *options, self._metainfo("seeder")]

    @contextmanager
    def leech(self, host: Host, family: Family) -> Iterator[Leecher]:
        """A peer on `host` that fetches the file in one family, and ends when it has it; its copy is removed with it."""
        copy, log = self.folder / f"copy-{family.label}", self.folder / f"leecher-{family.label}.log"
        command = [*_ARIA2, "--seed-time=0", f"--dir={copy}", self._metainfo(family.label)]
        process = host.popen(command, log)
        try:
            yield Leecher(host, process, log, time.monotonic())
        finally:
            host.end(process)
            shutil.rmtree(copy, ignore_errors=True)

    @property
    def _content(self) -> Path:
        return self.folder / "content"

    def _metainfo(self, name: str) -> Path:
        return self.folder / f"{name}.torrent"
