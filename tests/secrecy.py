"""What subscribers communicate in tests, and the search for it in everything that edged wrote (promise 21).

Two kinds of needles. `FAR_ENDS` are those that the lab's subscribers talk to in tests of all kinds; whatever daemon ran in a test
is searched for them. A `Sentinel` is made for one scenario: an address, a name and a payload that are nowhere else.

`keep` takes a daemon's files as a test ends: it searches them at once and leaves a copy in the folder of the run, which
`tests/test_secrecy.py` searches as a whole when all other tests are done. The records that edged logs in the tests' own
processes go there too. Not searched is what is asked for by name: an address that `explain` is given, the files of `replay`.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from tempfile import mkdtemp

from edged.lab import topology

FOLDER = "EDGED_TEST_WRITINGS"  # the environment's name for the folder of the run; xdist's workers inherit it


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A far end that a test's subscribers really talk to, and what they ask of it."""

    ipv4: IPv4Address
    ipv6: IPv6Address
    name: str
    payload: bytes

    @property
    def needles(self) -> tuple[bytes, ...]:
        """The sentinel as it could stand in a text or a file, whatever it is of."""
        addresses = (self.ipv4, self.ipv6)
        texts = [str(each).encode() for each in addresses]
        packed = [form for each in addresses for form in (each.packed.hex().encode(), each.packed)]
        exploded = [self.ipv6.exploded.encode(), self.ipv4.reverse_pointer.encode(), str(int(self.ipv4)).encode()]
        return (*texts, *packed, *exploded, self.name.encode(), self.payload, self.payload.hex().encode())


FAR_ENDS = tuple(str(address).encode() for pair in (topology.FOREIGN_MAIL, topology.WEB, topology.STRANGER) for address in pair)


def found(text: bytes, needles: Iterable[bytes]) -> tuple[bytes, ...]:
    """Which of the needles the text holds in whatever case; an address only where it is not a part of a longer one."""
    text = text.lower()
    return tuple(needle for needle in needles if (small := needle.lower()) in text and _stands_alone(small, text))


def _stands_alone(needle: bytes, text: bytes) -> bool:
    return re.search(rb"(?<![0-9a-f.:])" + re.escape(needle) + rb"(?![0-9a-f])", text) is not None


def begin() -> None:
    """Make the folder of the run, where this process is its first, and note there what edged logs in this process."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = mkdtemp(prefix="edged-writings-")
    handler = logging.FileHandler(_folder() / f"records-{os.getpid()}", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    logging.getLogger("edged").addHandler(handler)


def end() -> None:
    """Remove the folder of the run, of which this process was the first."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def keep(daemon: Path, lifelines: Iterable[bytes] = ()) -> None:
    """Search what a daemon wrote into its folder, and leave a copy for the end of the run. Raises AssertionError.

    `lifelines` are addresses that the gateway itself lives by in this test, as its operator's: those are told of, and not copied.
    """
    written = {path: path.read_bytes() for path in _written(daemon)}
    into = Path(mkdtemp(prefix="daemon-", dir=_folder()))
    told = {}
    known = tuple(lifelines)
    for number, (path, all_of_it) in enumerate(written.items()):
        text = functools.reduce(lambda left, each: left.replace(each, b"(a lifeline)"), known, all_of_it)
        (into / f"{number}-{path.name}").write_bytes(text)
        if seen := found(text, FAR_ENDS):
            told[path.name] = seen
    assert not told, f"a far end of the tests' subscribers is in what a daemon wrote: {told}"


def kept() -> Iterator[Path]:
    """All that the run has kept so far."""
    return (path for path in sorted(_folder().rglob("*")) if path.is_file())


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _written(daemon: Path) -> Iterator[Path]:
    """The daemon's logs and state; the lists of `state` hold what an authority or an operator gave, no subscriber's doing."""
    yield from daemon.glob("log*")
    yield from (path for path in (daemon / "state").rglob("*") if path.is_file() and path.parent.name != "lists")
