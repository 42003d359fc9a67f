"""`edged subscriber`: who has an address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.addresses import Family
from edged.cli.addresses import AddressType
from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.config.gateway import PoolName
    from edged.loader import Configuration
    from edged.subscribers import Row, Subscriber

EXAMPLES = """\
Examples:
  edged subscriber find 203.0.113.9
  edged subscriber find --json 2001:db8:d:9::1 | jq -r .id
  edged subscriber find -c new/edged.yaml 203.0.113.9     before the file is put in place

It reads the files as they are now; `edged reload` has the daemon take them. An address that no row of the file of subscribers has
is a subscriber of its own. Exit codes: 0, also where nobody has the address; 3 for invalid files.
"""


@click.group(cls=Group, epilog=EXAMPLES)
def command() -> None:
    """Ask who has an address."""


@command.command(epilog=EXAMPLES)
@config_option
@json_option
@click.argument("address", type=AddressType())
def find(path: Path, out: Output, address: IPv4Address | IPv6Address) -> None:
    """Say which subscriber has an address: id, plan, prefixes, and the row's place."""
    configuration = load_configuration(path)
    family = Family.of(address)
    pool = _pool(configuration, address)
    subscriber = configuration.subscribers.of(family, int(address))
    row = configuration.subscribers.row_of(family, int(address))
    file = _file(configuration)
    for line in _told(address, pool, subscriber, row, file):
        out.text(line)
    prefixes = row.prefixes if row is not None else (subscriber.key,)
    out.document(
        {
            "schema": "edged/v1/subscriber-find",
            "address": str(address),
            "pool": pool,
            "id": subscriber.id,
            "plan": subscriber.plan,
            "key": str(subscriber.key),
            "prefixes": [str(prefix) for prefix in prefixes],
            "place": f"{file}:{row.line}" if row is not None else None,
        }
    )


def _pool(configuration: Configuration, address: IPv4Address | IPv6Address) -> PoolName | None:
    from edged.config.gateway import PoolName

    site, family = configuration.site(), Family.of(address)
    holding = (name for name in PoolName if any(int(address) in extent for extent in site.addresses((name,), family)))
    return next(holding, None)


def _file(configuration: Configuration) -> str | None:
    """The file of subscribers as problems name it."""
    from edged.config.files import shown_path

    path = configuration.edged.subscribers
    return None if path is None else shown_path(path, configuration.path.parent)


def _told(
    address: IPv4Address | IPv6Address, pool: PoolName | None, subscriber: Subscriber, row: Row | None, file: str | None
) -> Iterator[str]:
    if row is not None:
        plan = f"plan {row.plan}" if row.plan is not None else "no plan"
        yield f"{address} is subscriber {row.id}, {plan}; {file}:{row.line}"
        yield f"  prefixes: {' '.join(map(str, row.prefixes))}"
    elif pool is not None:
        missing = "no file of subscribers is named" if file is None else f"it is in no row of {file}"
        yield f"{address} is a subscriber of its own, {subscriber.key}: {missing}"
    if pool is not None:
        yield f"  pool: {pool}"
    else:
        yield f"{address} is in no pool: no policy takes it for a subscriber's"
