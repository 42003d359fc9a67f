"""`edged explain`: what becomes of a packet, and the line of the files that decides it."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edged.cli.addresses import AddressType
from edged.cli.files import load_configuration
from edged.cli.options import Output, config_option, json_option
from edged.cli.root import Command

if TYPE_CHECKING:
    from edged.packet.packet import FlowState

EXAMPLES = """\
Examples:
  edged explain --src 203.0.113.9 --dst 192.0.2.200 --proto tcp --dport 25
  edged explain --src 192.0.2.99 --dst 203.0.113.9 --proto udp --sport 53 --dport 53 --reply
  edged explain --src 10.9.9.9 --dst 192.0.2.1 --proto icmp --from access

It asks the compiled policy of the files, not the kernel: `edged plan` says whether the kernel holds the same.
"""

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "gre": 47, "esp": 50}
_WITH_PORTS = ("tcp", "udp")


class ProtocolType(click.ParamType[int]):
    """A protocol by name or number."""

    name = "protocol"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The IP protocol number, or a usage error."""
        text = str(value).lower()
        if text in PROTOCOLS:
            return PROTOCOLS[text]
        if not (text.isascii() and text.isdecimal() and int(text) < 256):
            self.fail(f"{value!r} is neither a number from 0 to 255 nor one of {', '.join(PROTOCOLS)}", param, ctx)
        return int(text)


PORT = click.IntRange(1, 65535)
STATES = ("new", "established", "related", "invalid", "untracked")


@click.command(cls=Command, epilog=EXAMPLES)
@config_option
@json_option
@click.option("--src", "source", type=AddressType(), required=True, metavar="ADDR", help="Source address.")
@click.option("--dst", "destination", type=AddressType(), required=True, metavar="ADDR", help="Destination address.")
@click.option("--proto", "protocol", type=ProtocolType(), required=True, metavar="tcp|udp|icmp|N", help="IP protocol.")
@click.option("--dport", "destination_port", type=PORT, metavar="N", help="Destination port, for tcp and udp.")
@click.option("--sport", "source_port", type=PORT, metavar="N", help="Source port; an arbitrary high one if not given.")
@click.option(
    "--from", "comes_from", type=click.Choice(["access", "upstream"]), help="The side it comes in from.  [default: by --src]"
)
@click.option("--state", type=click.Choice(STATES), help="What conntrack calls it.  [default: new, or established with --reply]")
@click.option("--reply", is_flag=True, help="It goes back to who opened the connection.")
@click.option("-v", "--verbose", is_flag=True, help="List every rule that matched.")
def command(
    path: Path,
    out: Output,
    source: IPv4Address | IPv6Address,
    destination: IPv4Address | IPv6Address,
    protocol: int,
    destination_port: int | None,
    source_port: int | None,
    comes_from: str | None,
    state: str | None,
    *,
    reply: bool,
    verbose: bool,
) -> None:
    """Say what becomes of a packet, and which line decides it."""
    if source.version != destination.version:
        raise click.UsageError(f"--src is IPv{source.version}, --dst IPv{destination.version}: a packet has one family")
    _check_ports(protocol, source_port, destination_port)
    flow = _flow(state, reply=reply)
    from edged.cli.verdict import as_json, as_text
    from edged.explain import Question, explain
    from edged.lists.offline import in_force, opaque_key

    question = Question(source, destination, protocol, source_port, destination_port, comes_from, flow)
    configuration = in_force(load_configuration(path))
    explanation = explain(configuration, question, int(time.time()), opaque_key(configuration))
    for line in as_text(configuration.site(), explanation, verbose=verbose):
        out.text(line)
    out.data(**as_json(explanation))


def _check_ports(protocol: int, source_port: int | None, destination_port: int | None) -> None:
    name = next((name for name in _WITH_PORTS if PROTOCOLS[name] == protocol), None)
    if name and destination_port is None:
        raise click.UsageError(f"--dport is missing: a {name} packet has a destination port")
    if not name and (source_port or destination_port):
        raise click.UsageError(f"--dport and --sport are for {' and '.join(_WITH_PORTS)}; protocol {protocol} has no ports here")


def _flow(state: str | None, *, reply: bool) -> FlowState:
    from edged.packet.packet import FlowState
    from edged.ruleset.nodes import ConntrackDirection, ConntrackState

    called = ConntrackState(state or ("established" if reply else "new"))
    if called in (ConntrackState.INVALID, ConntrackState.UNTRACKED):
        if reply:
            raise click.UsageError(f"--reply and --state {called.value} exclude each other: such a packet is of no connection")
        return FlowState(called, None)
    if reply and called is ConntrackState.NEW:
        raise click.UsageError("--reply and --state new exclude each other: an answer makes a connection established")
    return FlowState(called, ConntrackDirection.REPLY if reply else ConntrackDirection.ORIGINAL)
