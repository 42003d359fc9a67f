"""`edged blocklist`: where an address stands in the lists."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.addresses import AddressType
from edged.cli.files import control_client
from edged.cli.options import Output, config_option, json_option, socket_option
from edged.cli.root import Group
from edged.errors import EdgedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.control.messages import Listing, Standing

EXAMPLES = """\
Examples:
  edged blocklist test 192.0.2.66
  edged blocklist test --json 2001:db8:bad::1 | jq .listings
  edged blocklist update                  ask every `url` now; `edged status` says what came of it

The daemon is asked where one runs, else the lists are read here. Of a confidential list its name is shown and a number that
stands for the entry; the address you ask about is in no log.
"""


@click.group(cls=Group, epilog=EXAMPLES)
def command() -> None:
    """Ask the blocklists."""


@command.command(name="test", epilog=EXAMPLES)
@config_option
@socket_option
@json_option
@click.argument("address", type=AddressType())
def blocklist_test(path: Path, socket: Path | None, out: Output, address: IPv4Address | IPv6Address) -> None:
    """Say in which lists an address stands, on which line, and what allows it."""
    found = _standing(path, socket, address)
    now = time.time()
    for line in _told(found, now):
        out.text(line)
    out.document({"schema": "edged/v1/blocklist-test", **found})


@command.command(epilog=EXAMPLES)
@config_option
@socket_option
@json_option
def update(path: Path, socket: Path | None, out: Output) -> None:
    """Have the daemon ask the addresses of all lists that have a `url` now."""
    asked = control_client(path, socket).blocklist_update()["asked"]
    out.text(
        f"asked: {', '.join(asked)}; `edged status` says what came of it" if asked else "no list has a `url`; files are watched"
    )
    out.document({"schema": "edged/v1/blocklist-update", "asked": asked})


def _standing(path: Path, socket: Path | None, address: IPv4Address | IPv6Address) -> Standing:
    from edged.control.client import NoDaemon

    try:
        return control_client(path, socket).blocklist_test(str(address))
    except NoDaemon:
        return _standing_here(path, address)


def _standing_here(path: Path, address: IPv4Address | IPv6Address) -> Standing:
    from edged.cli.files import load_configuration
    from edged.lists.offline import in_force, opaque_key
    from edged.lists.provenance import standing, told

    configuration = in_force(load_configuration(path))
    found = standing(configuration, address, opaque_key(configuration))
    if found is None:
        raise EdgedError(f"no blocklist is configured in {configuration.edged.rules}; no address is blocked")
    return told(found, address)


def _told(found: Standing, now: float) -> Iterator[str]:
    address, listings = found["address"], found["listings"]
    if not listings:
        yield f"{address} is in no list"
        return
    yield f"{address} is {_verdict(found)}"
    for each in listings:
        yield f"  {_entry(each)}, in force since {_at(each['accepted'])} ({_age(now - each['accepted'])})"
    if found["allowed_by"] is not None:
        yield f"  allowed by {found['allowed_by']}, which wins over every list"
    if found["never_blocked_by"] is not None:
        yield f"  as far end of a packet never blocked, by {found['never_blocked_by']}"


def _verdict(found: Standing) -> str:
    count = len(found["listings"])
    where = f"in {count} list entries" if count > 1 else "in a list"
    if found["allowed_by"] is not None:
        return f"{where}, and allowed"
    return {
        "enforce": f"blocked: it is {where}",
        "observe": f"{where}; its packets are counted and pass (mode: observe)",
    }.get(found["mode"], f"{where}; the policy is off")


def _entry(each: Listing) -> str:
    if each["place"] is not None:
        return f"list {each['list']}, {each['place']}: {each['prefix']}"
    number = f"entry {each['entry']}" if each["entry"] is not None else "an entry"
    return f"list {each['list']}, {number} (confidential)"


def _at(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
