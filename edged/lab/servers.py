"""The real servers of the lab: mail, DNS, web and BitTorrent outside, and a name server open to all in the dynamic pool."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.addresses import Family
from edged.errors import EdgedError
from edged.lab.packets import INET
from edged.lab.topology import Host, Process, Topology
from edged.lab.torrent import PORT, Torrent

DOWNLOAD = "download.bin"
DOWNLOAD_BYTES = 1 << 20
LONG_DOWNLOAD = "long.bin"
LONG_DOWNLOAD_BYTES = 1 << 36  # more than any machine moves while the lab looks on
NAME = "www.edged.example"  # RFC 6761 section 6.5: nobody's

_STARTING = 15.0
_LAST_WORDS = 12  # lines


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was started, what it writes, and the addresses and ports where it shall listen."""

    name: str
    process: Process
    log: Path
    hosts: tuple[Host, ...]
    ports: tuple[int, ...]


def start_servers(at: Topology, folder: Path) -> Torrent:
    """Starts every server and returns when all of them take connections; what they write goes to `folder`.

    It gives the torrent that the web server's host seeds. Raises EdgedError with the end of its log where one does not come up.
    """
    certificate = _make_certificate(folder)
    site = folder / "www"
    site.mkdir()
    (site / DOWNLOAD).write_bytes(bytes(DOWNLOAD_BYTES))
    with (site / LONG_DOWNLOAD).open("wb") as file:
        file.truncate(LONG_DOWNLOAD_BYTES)
    torrent = Torrent(folder / "torrent", at.web)
    torrent.write(site)
    mail = [sys.executable, "-m", "edged.lab.mailserver", certificate]
    web = [sys.executable, "-m", "http.server", "80", "--bind", "::", "--directory", site]
    servers = (
        _start("mail server", mail, folder, (at.own_mail, at.foreign_mail), (25, 465, 587)),
        _start("web server", web, folder, (at.web,), (80,)),
        _start("resolver", _dnsmasq(at.resolver, at.web), folder, (at.resolver,), (53,)),
        _start("open resolver", _dnsmasq(at.open_resolver, at.web), folder, (at.open_resolver,), (53,)),
        _start("BitTorrent peer", torrent.seeding(), folder, (at.web,), (PORT,)),
    )
    until = time.monotonic() + _STARTING
    for server in servers:
        _await(server, until)
    return torrent


def _start(name: str, argv: Sequence[object], folder: Path, hosts: tuple[Host, ...], ports: tuple[int, ...]) -> Server:
    log = folder / f"{name.replace(' ', '-')}.log"
    return Server(name, hosts[0].popen(argv, log), log, hosts, ports)


def _dnsmasq(host: Host, web: Host) -> list[object]:
    # it listens on these addresses alone: a client of the same host can use port 53 of another one
    return [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--log-facility=-"),
        *("--no-resolv", "--no-hosts", "--bind-interfaces"),
        *(f"--listen-address={host.ipv4}", f"--listen-address={host.ipv6}", f"--host-record={NAME},{web.ipv4},{web.ipv6}"),
    ]


def _make_certificate(folder: Path) -> Path:
    """A key and a certificate that nobody has reason to trust, in one file."""
    path = folder / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=mail.edged.example", "-keyout", str(path), "-out", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    if done.returncode != 0:
        raise EdgedError(f"no certificate could be made for the lab's mail server: {done.stderr.strip()}")
    with path.open("a") as file:
        file.write(done.stdout)
    return path


def _await(server: Server, until: float) -> None:
    """Returns when the server takes connections at every address and port."""
    for host in server.hosts:
        for family in Family:
            for port in server.ports:
                while not _listens(host, family, port):
                    ended = server.process.poll()
                    if ended is not None or time.monotonic() > until:
                        how = f"ended with status {ended}" if ended is not None else f"does not listen on port {port}"
                        raise EdgedError(f"the lab's {server.name} {how}; it said: {last_words(server.log)}")
                    time.sleep(0.02)


def last_words(log: Path) -> str:
    """The end of what a process wrote."""
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-_LAST_WORDS:]) or "nothing"


def _listens(host: Host, family: Family, port: int) -> bool:
    with host.socket(INET[family], socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((str(host.address(family)), port)) == 0
