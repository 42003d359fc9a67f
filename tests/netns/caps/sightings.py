"""Which class the packets of a flow have, packet by packet, as a table beside edged's sees it.

The table looks after edged's chain `shape` has taken the inspector's answer over: the packet that decides a flow is the first
with its class. So a flow that is recognised with its 8th packet of payload shows 7 of no class.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from edged.lab.topology import Host
from edged.marks import FlowClass, MarkFields, in_field
from edged.ruleset.nodes import Transport

_FIELDS = MarkFields()
_TABLE = "inet sightings"
_SEEN = (FlowClass.NONE, FlowClass.P2P, FlowClass.STREAMING)
_IPV4, _IPV6 = 20, 40  # bytes of a header without options
_WORDS = range(5, 16)  # how long a TCP header may be


class Sightings:
    """Packets with payload of one server port, by class, since the context began."""

    def __init__(self, gateway: Host) -> None:
        self._gateway = gateway

    def read(self) -> Mapping[FlowClass, int]:
        """How many packets had each class."""
        listed = self._gateway.run(["nft", "-j", "list", "counters", "table", *_TABLE.split()], check=True).stdout
        found = [each["counter"] for each in json.loads(listed)["nftables"] if "counter" in each]
        by_name = {each["name"]: int(each["packets"]) for each in found}
        return {each: by_name[each.label] for each in _SEEN}

    def decided_with(self) -> int:
        """The number of the packet with payload, from 1, that was the first to have a class."""
        seen = self.read()
        assert seen[FlowClass.P2P] or seen[FlowClass.STREAMING], f"the flow was not recognised: {seen}"
        return seen[FlowClass.NONE] + 1


@contextmanager
def sightings(gateway: Host, transport: Transport, port: int) -> Iterator[Sightings]:
    """Count what the gateway forwards from and to that port."""
    counters = "".join(f"counter {each.label} {{ }}\n" for each in _SEEN)
    script = (
        f"table {_TABLE} {{\n{counters}"
        f"chain look {{ type filter hook postrouting priority -140\n"
        f"{transport.label} sport {port} jump sized\n{transport.label} dport {port} jump sized\n }}\n"
        f"chain sized {{\n{_with_payload(transport)} }}\n"
        f"chain count_one {{\n{_by_class()} }}\n}}\n"
    )
    gateway.run(["nft", "-f", "-"], stdin=script, check=True)
    try:
        yield Sightings(gateway)
    finally:
        gateway.run(["nft", "delete", "table", *_TABLE.split()], check=True)


def _with_payload(transport: Transport) -> str:
    if transport is Transport.UDP:
        return "goto count_one\n"
    rules = [
        f"meta nfproto {family} tcp doff {words} meta length > {header + 4 * words} goto count_one"
        for family, header in (("ipv4", _IPV4), ("ipv6", _IPV6))
        for words in _WORDS
    ]
    return "\n".join(rules) + "\n"


def _by_class() -> str:
    mask = _FIELDS.flow_class
    return "".join(f"ct mark & {mask:#x} == {in_field(mask, each):#x} counter name {each.label}\n" for each in _SEEN)
