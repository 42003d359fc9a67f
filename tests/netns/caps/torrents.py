"""Real BitTorrent: one libtorrent session that has a file, and one that fetches it, each in its host's namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edged.addresses import Family
from edged.kernel.namespace import inside
from edged.lab.topology import Host
from edged.ruleset.nodes import Transport
from tests.tiers import require

SEED_PORT, LEECH_PORT = 6881, 6882
_QUIET = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": 0,
    # in the clear: pe_settings.enc_policy of libtorrent, 2 is pe_disabled
    "out_enc_policy": 2,
    "in_enc_policy": 2,
}


def libtorrent() -> Any:
    """The package, which has no types."""
    try:
        import libtorrent as package
    except ImportError as missing:
        require("netns", f"{missing}: `./bootstrap test` installs it")
    return package


@dataclass(frozen=True, slots=True)
class Download:
    """A transfer under way."""

    handle: Any

    @property
    def received(self) -> int:
        """Bytes of the file that have come."""
        return int(self.handle.status().total_payload_download)

    @property
    def is_whole(self) -> bool:
        return bool(self.handle.status().is_seeding)


@contextmanager
def downloading(seeder: Host, leecher: Host, family: Family, transport: Transport, size: int) -> Iterator[Download]:
    """`leecher` fetches `size` random bytes from `seeder` while the context lasts; it opens the one connection, to SEED_PORT."""
    lt = libtorrent()
    with TemporaryDirectory(prefix="edged-torrent-") as folder:
        (Path(folder) / "seed").mkdir()
        (Path(folder) / "leech").mkdir()
        (Path(folder) / "seed" / "file").write_bytes(os.urandom(size))
        torrent = _torrent(lt, Path(folder) / "seed/file")
        seed = _session(lt, seeder, family, transport, SEED_PORT)
        leech = _session(lt, leecher, family, transport, LEECH_PORT)
        try:
            seed.add_torrent(_task(lt, torrent, Path(folder) / "seed", lt.torrent_flags.seed_mode))
            handle = leech.add_torrent(_task(lt, torrent, Path(folder) / "leech", 0))
            handle.connect_peer((str(seeder.address(family)), SEED_PORT))
            yield Download(handle)
        finally:
            for session in (leech, seed):
                session.pause()
            del leech, seed


def _torrent(lt: Any, file: Path) -> bytes:
    made = lt.create_torrent(lt.list_files(str(file)), 64 << 10)
    lt.set_piece_hashes(made, str(file.parent))
    return bytes(lt.bencode(made.generate()))


def _task(lt: Any, torrent: bytes, folder: Path, flags: int) -> Any:
    task = lt.load_torrent_buffer(torrent)
    task.save_path, task.flags = str(folder), flags
    return task


def _session(lt: Any, host: Host, family: Family, transport: Transport, port: int) -> Any:
    address = str(host.address(family))
    bound = f"[{address}]:{port}" if family is Family.IPV6 else f"{address}:{port}"
    ways = {
        f"enable_{direction}_{protocol}": (protocol == "tcp") is (transport is Transport.TCP)
        for direction in ("incoming", "outgoing")
        for protocol in ("tcp", "utp")
    }
    # the threads of the session stay in the namespace of the one that makes it
    return inside(host.netns, lambda: lt.session({**_QUIET, **ways, "listen_interfaces": bound, "outgoing_interfaces": address}))
