"""The throw-away gateway's network: two namespaces, and a veth pair between them for each interface of the policy.

    far  lan0 ---- lan0  gateway      what is sent into a far end comes in by that interface
         wan0 ---- wan0

The way out is by destination: in a pool, the first access interface, else the first upstream one. The next hop's address is
known and nobody's, so nobody asks for it and nobody answers. The gateway has no address that a capture could hold, and passes
on whatever a router may: no source is checked but by edged's rules.

The namespaces have names while they are built. Then only sockets hold them, and they go when those are closed, however the
process ends.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.errors import EdgedError
from edged.kernel.namespace import NAMESPACES, inside
from edged.policies import Site
from edged.replay.kernel.wire import LONGEST, OWN_HOPS

_ROLES = ("gateway", "far")
_NEXT_HOP = "02:00:00:00:ff:ff"
_VIA = {4: "192.0.0.8", 6: "fe80::8"}
# What stays on a link (RFC 4291 sections 2.5.2 and 2.5.6) is for its neighbours. Linux forwards it to no other link, but would
# turn back to the link what the capture of one shows (ip6_forward); there it went by no router.
_KEPT_ON_LINK = ("from fe80::/10", "to fe80::/10", "from ::/128")
_OWN = "100::ed6e:d"  # for its ICMPv6 errors: of the discard prefix (RFC 6666); for IPv4 Linux has 192.0.0.8 (RFC 7600)
_LINKS_UP = 10.0
_INDEX = 1001  # not that of the other end: a link whose index is its peer's is brought up once a second (linkwatch_urgent_event)
_SIOCGIFFLAGS, _IFF_RUNNING = 0x8913, 0x40  # linux/sockios.h, linux/if.h

_OFF = ("rp_filter", "send_redirects", "log_martians")
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/all/forwarding": "1",
    **{f"net/ipv4/conf/{which}/{name}": "0" for which in ("all", "default") for name in _OFF},
    **{f"net/ipv6/conf/default/{name}": "0" for name in ("accept_dad", "accept_ra", "router_solicitations")},
    "net/ipv6/conf/default/addr_gen_mode": "1",  # no link-local addresses
    # an answer carries the mark of what it answers, and is told from what was forwarded by its hop limit
    "net/ipv4/fwmark_reflect": "1",
    "net/ipv6/fwmark_reflect": "1",
    "net/ipv4/ip_default_ttl": str(OWN_HOPS),
    "net/ipv6/conf/default/hop_limit": str(OWN_HOPS),
    # Linux limits its own ICMP errors by itself, and the replay is faster than life
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv4/icmp_ratemask": "0",
    "net/ipv6/icmp/ratelimit": "0",
    "net/ipv6/icmp/ratemask": "255",
    # pieces that wait for others do so by the wall clock, in which more of them arrive
    "net/ipv4/ipfrag_high_thresh": str(64 << 20),
}
_CONNTRACK = {"net/netfilter/nf_conntrack_frag6_high_thresh": str(64 << 20)}
_HELPERS = Path("net/netfilter/nf_conntrack_helper")  # went away with Linux 6.0

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Network:
    """The namespaces' names, and the interfaces with the addresses of their ends in the gateway."""

    gateway: str
    far: str
    interfaces: Mapping[str, bytes]
    access: str
    upstream: str


def some_name(interface: str) -> str:
    """An interface of that name, or one that fits the wildcard."""
    return f"{interface[:-1]}0" if interface.endswith("*") else interface


def build(site: Site) -> Network:
    """Make the namespaces and what is in them. Raises EdgedError; `remove` then takes away what was made."""
    name = f"edged-replay-{os.getpid()}.{next(_serial)}"
    names = dict.fromkeys(some_name(pattern) for pattern in (*site.access, *site.upstream))
    interfaces = {each: bytes((2, 0, 0, 1, *divmod(place, 256))) for place, each in enumerate(names)}
    network = Network(f"{name}-gateway", f"{name}-far", interfaces, some_name(site.access[0]), some_name(site.upstream[0]))
    try:
        _fill(network, site)
    except BaseException:
        remove(network)
        raise
    return network


def _fill(network: Network, site: Site) -> None:
    _ip([], [f"netns add {network.gateway}", f"netns add {network.far}"])
    _set_sysctls(network.gateway, _SYSCTLS)
    _set_sysctls(network.far, {f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")})
    _ip(["-n", network.gateway], _links(network))
    _ip(["-n", network.far], (f"link set {name} up" for name in network.interfaces))
    _ip(["-n", network.gateway], _routes(network, site))
    _ip(["-n", network.gateway, "-6"], (f"rule add {which} blackhole" for which in _KEPT_ON_LINK))
    for netns in (network.gateway, network.far):
        _await_links(netns, network.interfaces)


def program_conntrack(network: Network) -> None:
    """What conntrack has settings for once rules have brought it into the namespace."""
    _set_sysctls(network.gateway, _CONNTRACK)
    if Path("/proc/sys", _HELPERS).exists():
        _set_sysctls(network.gateway, {str(_HELPERS): "0"})


def remove(network: Network) -> None:
    """Take the names away; the namespaces go with the last socket in them."""
    for name in (network.gateway, network.far):
        _remove(name)


def remove_leftovers() -> None:
    """Take away the names that processes which are gone left behind."""
    for path in sorted(NAMESPACES.glob("edged-replay-*")):
        owner = re.fullmatch(rf"edged-replay-(\d+)\.\d+-({'|'.join(_ROLES)})", path.name)
        if owner and not Path("/proc", owner[1]).exists():
            _remove(path.name)


def _remove(name: str) -> None:
    if (NAMESPACES / name).exists():
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=30)  # noqa: S603, S607


def _links(network: Network) -> Iterator[str]:
    yield "link set lo up"  # without a table of local addresses Linux takes no next hop (__inet_dev_addr_type)
    for index, (name, address) in enumerate(network.interfaces.items(), start=_INDEX):
        peer = f"peer name {name} mtu {LONGEST} netns {network.far}"
        yield f"link add {name} index {index} address {address.hex(':')} mtu {LONGEST} type veth {peer}"
        yield f"link set {name} up"
        for via in _VIA.values():
            yield f"neigh replace {via} lladdr {_NEXT_HOP} dev {name} nud permanent"
    yield f"address add {_OWN}/128 dev {network.upstream} nodad"


def _routes(network: Network, site: Site) -> Iterator[str]:
    """`replace`: a prefix may be in two pools."""
    prefixes = {prefix for pool in site.pools.values() for prefix in pool}
    for version, everything in ((4, "0.0.0.0/0"), (6, "::/0")):
        ways = {everything: network.upstream}
        ways |= {str(prefix): network.access for prefix in sorted(map(str, prefixes)) if (":" in prefix) == (version == 6)}
        for prefix, name in ways.items():
            yield f"route replace {prefix} via {_VIA[version]} dev {name} onlink"


def _await_links(netns: str, interfaces: Iterable[str]) -> None:
    """The kernel brings links up in its own time (net/core/link_watch.c); what is sent before is lost."""
    until = time.monotonic() + _LINKS_UP
    with inside(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asked:
        while down := [name for name in interfaces if not _carries(asked, name)]:
            if time.monotonic() > until:
                raise EdgedError(f"the replay's links do not come up: {', '.join(down)}; all of it is removed again")
            time.sleep(0.002)


def _carries(asked: socket.socket, interface: str) -> bool:
    answer = fcntl.ioctl(asked, _SIOCGIFFLAGS, struct.pack("16sH22x", interface.encode(), 0))
    return bool(struct.unpack("16xH22x", answer)[0] & _IFF_RUNNING)


def _set_sysctls(netns: str, values: Mapping[str, str]) -> None:
    def write() -> None:
        for path, value in values.items():
            Path("/proc/sys", path).write_text(value)

    try:
        inside(netns, write)
    except OSError as failed:
        raise EdgedError(f"the replay's gateway cannot be set up: {failed}; all of it is removed again") from failed


def _ip(options: list[str], commands: Iterable[str]) -> None:
    """Runs commands of ip(8) in one process; raises EdgedError with the first that failed."""
    argv, given = ["ip", *options, "-batch", "-"], "\n".join(commands) + "\n"
    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    except FileNotFoundError as missing:
        raise EdgedError("the kernel engine needs the command ip (Debian: apt install iproute2)") from missing
    if done.returncode != 0:
        raise EdgedError(f"the replay's gateway could not be built: {done.stderr.strip()}; what was built is removed again")
