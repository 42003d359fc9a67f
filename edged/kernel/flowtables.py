"""Flowtables: other programs' offloads, which policies cannot see past."""

from __future__ import annotations

from dataclasses import dataclass

from edged.kernel import uapi
from edged.kernel.attrs import each, number, parse, string
from edged.kernel.nftsocket import NftSocket
from edged.kernel.uapi import FlowtableAttr, Msg


@dataclass(frozen=True, slots=True)
class Flowtable:
    """A flowtable of another program: the flows in it pass every hook and qdisc unseen (semantics G-5)."""

    family: str
    table: str
    name: str
    devices: tuple[str, ...]
    hardware: bool = False  # its flows are handed to the network cards

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.name} ({', '.join(self.devices) or 'no devices'})"


_FAMILIES = {0: "unspec", 1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def read_flowtables(nft: NftSocket) -> tuple[Flowtable, ...]:
    """All flowtables; edged makes none. Raises DumpTornError, KernelError."""
    found = []
    for reply in nft.dump(Msg.GETFLOWTABLE, family=uapi.NFPROTO_UNSPEC):
        fields = reply.attributes
        hook = parse(fields.get(FlowtableAttr.HOOK, b""))
        devices = tuple(sorted(string(name) for _, name in each(hook.get(FlowtableAttr.HOOK_DEVS, b""))))
        family = _FAMILIES.get(reply.family, str(reply.family))
        hardware = bool(number(fields.get(FlowtableAttr.FLAGS)) & uapi.FLOWTABLE_HARDWARE)
        table, name = string(fields.get(FlowtableAttr.TABLE)), string(fields.get(FlowtableAttr.NAME))
        found.append(Flowtable(family, table, name, devices, hardware))
    return tuple(found)
