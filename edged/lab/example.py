"""The configuration of the lab: the shipped example as it stands, but for what only a machine of its own could have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from edged.addresses import Family
from edged.config.gateway import PoolName
from edged.errors import EdgedError, Refused
from edged.interfaces import fits
from edged.lab.topology import DYNAMIC, OPEN_RESOLVER, STATIC, STRANGER
from edged.lists.book import sources_of
from edged.loader import load
from edged.policies import Caps

if TYPE_CHECKING:
    from edged.loader import Configuration

_LIVES = {PoolName.DYNAMIC: (*DYNAMIC, *OPEN_RESOLVER), PoolName.STATIC: STATIC}


def shipped_example() -> Path:
    """The shipped edged.yaml: beside the package in a checkout, inside it where edged was installed from a wheel."""
    package = Path(str(files("edged")))
    for folder in (package / "share" / "rules", package.parent / "rules"):
        if (folder / "edged.yaml").is_file():
            return folder / "edged.yaml"
    raise EdgedError(f"the shipped example is missing beside {package}; install edged anew, or name a configuration with -c")


def write_configuration(source: Path, folder: Path) -> Configuration:
    """Writes an edged.yaml to `folder` with the policies of `source`, and its socket and state in `folder`.

    Raises InvalidConfiguration where the source is wrong, Refused where the lab's hosts do not live in its pools.
    """
    source = source.absolute()
    original = load(source, now=datetime.now(UTC))
    _suits(original)
    content = yaml.safe_load(source.read_bytes())
    content |= {"rules": str(original.edged.rules), "control": "control.sock", "state": "state"}
    if original.edged.subscribers is not None:
        content["subscribers"] = str(original.edged.subscribers)
    for name in dict.fromkeys(_beside(original)):
        (folder / name).symlink_to(source.parent / name)
    path = folder / "edged.yaml"
    path.write_text(f"# {source}, for the lab\n{yaml.safe_dump(content, sort_keys=False)}")
    return load(path, now=datetime.now(UTC))


def _beside(configuration: Configuration) -> Iterator[str]:
    """What lies beside edged.yaml and is, or holds, a list or the names of hosts, by its name there."""
    home = configuration.path.parent
    lists = [source.path for source in sources_of(configuration)]
    hosts = [each.settings.streaming_hosts for each in configuration.policies if isinstance(each.settings, Caps)]
    for path in (*lists, *hosts):
        if path is not None and path.is_relative_to(home):
            yield path.relative_to(home).parts[0]


def _suits(configuration: Configuration) -> None:
    """The lab's network is fixed: a configuration has to speak of it."""
    site = configuration.site()
    sides = (("access", site.access, "lan0"), ("upstream", site.upstream, "wan0"))
    wrong = [f"gateway.{side}: it has no {name}" for side, named, name in sides if not any(fits(name, each) for each in named)]
    for pool, addresses in _LIVES.items():
        for address in addresses:
            if not any(int(address) in extent for extent in site.addresses((pool,), Family.of(address))):
                wrong.append(f"pools.{pool}: {address} is not in it")
    for address in STRANGER:
        if any(int(address) in extent for extent in site.addresses(PoolName, Family.of(address))):
            wrong.append(f"pools: {address} is in one")
    if wrong:
        raise Refused(
            f"{configuration.path} does not suit the lab, whose network is that of the shipped example: {'; '.join(wrong)}. "
            "Start from the shipped example and change its policies only"
        )
