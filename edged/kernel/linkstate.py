"""What the kernel does with a link's packets ahead of the rules: XDP, what the link is a port of, what it lies upon."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edged.interfaces import fits
from edged.kernel import plain
from edged.kernel.attrs import parse, string

_NETLINK_ROUTE = 0  # linux/netlink.h
_RTM_GETLINK = 18  # linux/rtnetlink.h
_HEAD = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_U32 = struct.Struct("=I")


class _Attr:
    """IFLA_*, IFLA_INFO_*, IFLA_XDP_* (linux/if_link.h)."""

    IFNAME: Final = 3
    LINK: Final = 5
    MASTER: Final = 10
    LINKINFO: Final = 18
    LINK_NETNSID: Final = 37
    XDP: Final = 43
    INFO_KIND: Final = 1
    INFO_SLAVE_KIND: Final = 4
    XDP_ATTACHED: Final = 2
    XDP_PROG_ID: Final = 4


XDP_MODES: Final = {1: "driver", 2: "generic", 3: "hardware", 4: "several"}
_UPON: Final = ("vlan", "macvlan", "ipvlan", "macsec")  # whose packets come in by another link first
_BUNDLES: Final = ("bridge", "bond", "team")  # by whose name the rules see what came in by a port of it

_VRF: Final = "vrf"


@dataclass(frozen=True, slots=True)
class Link:
    """A link; `master` and `lower` are indexes, 0 where there is none in this namespace."""

    index: int
    name: str
    kind: str = ""
    master: int = 0
    port_of: str = ""  # what kind of link `master` is
    lower: int = 0
    xdp_mode: int = 0  # 0: no program
    xdp_program: int = 0


def read_links() -> tuple[Link, ...]:
    """Every link of the present namespace. Raises KernelError."""
    return tuple(map(decode, plain.dump(_NETLINK_ROUTE, _RTM_GETLINK, _HEAD.pack(socket.AF_UNSPEC, 0, 0, 0, 0), "links")))


def decode(body: bytes) -> Link:
    """One RTM_NEWLINK."""
    fields = parse(body[_HEAD.size :])
    info, xdp = parse(fields.get(_Attr.LINKINFO, b"")), parse(fields.get(_Attr.XDP, b""))
    kind = string(info.get(_Attr.INFO_KIND))
    lies_upon = kind in _UPON and _Attr.LINK_NETNSID not in fields  # else the index is one of another namespace
    return Link(
        index=_HEAD.unpack_from(body)[2],
        name=string(fields.get(_Attr.IFNAME)),
        kind=kind,
        master=_number(fields.get(_Attr.MASTER)),
        port_of=string(info.get(_Attr.INFO_SLAVE_KIND)),
        lower=_number(fields.get(_Attr.LINK)) if lies_upon else 0,
        xdp_mode=int.from_bytes(xdp.get(_Attr.XDP_ATTACHED, b""), "little"),
        xdp_program=_number(xdp.get(_Attr.XDP_PROG_ID)),
    )


def named(links: Iterable[Link], patterns: Sequence[str]) -> tuple[Link, ...]:
    """The links that a configuration's names stand for."""
    return tuple(link for link in links if any(fits(link.name, pattern) for pattern in patterns))


def beneath(links: Sequence[Link], ours: Iterable[Link]) -> tuple[Link, ...]:
    """These links and all that their packets come in by before: the links under them, and the ports of bundles."""
    by_index = {link.index: link for link in links}
    found: dict[int, Link] = {}
    waiting = list(ours)
    while waiting:
        link = waiting.pop()
        if link.index not in found:
            found[link.index] = link
            waiting += _next(link, links, by_index)
    return tuple(found.values())


def is_bundled(link: Link) -> bool:
    """Whether the rules see its packets come in by another name."""
    return link.master != 0 and link.port_of in _BUNDLES


def is_in_vrf(link: Link) -> bool:
    """Whether what it receives is forwarded in the name of a VRF (net/l3mdev.h); what leaves by it keeps its own."""
    return link.master != 0 and link.port_of == _VRF


def _next(link: Link, links: Sequence[Link], by_index: dict[int, Link]) -> Iterator[Link]:
    if link.lower in by_index:
        yield by_index[link.lower]
    yield from (port for port in links if port.master == link.index and port.port_of in _BUNDLES)


def _number(payload: bytes | None) -> int:
    return _U32.unpack_from(payload)[0] if payload is not None and len(payload) >= _U32.size else 0
