"""The sysctls that decide whether packets come by edged's rules at all, and how conntrack sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edged.doctor.finding import Finding, Grade

PROC = Path("/proc/sys")

_AREA = "sysctl"
_NEARLY_FULL = 0.8
_LEAST_CONNECTIONS = 10  # a subscriber: one web page opens more, though not everybody reads one at a time


@dataclass(frozen=True, slots=True)
class Expectation:
    """A sysctl, what it is good for, and what its other values mean."""

    name: str
    purpose: str
    is_good: Callable[[str], bool]
    otherwise: str
    absent: str = ""  # what it means where the kernel has no such sysctl; empty: that is a fault


EXPECTATIONS = (
    Expectation(
        "net.ipv4.ip_forward",
        "IPv4 passes this machine",
        lambda value: value == "1",
        "no IPv4 is forwarded: sysctl -w net.ipv4.ip_forward=1",
    ),
    Expectation(
        "net.ipv6.conf.all.forwarding",
        "IPv6 passes this machine",
        lambda value: value == "1",
        "no IPv6 is forwarded: sysctl -w net.ipv6.conf.all.forwarding=1",
        "this kernel has no IPv6",
    ),
    Expectation(
        "net.netfilter.nf_conntrack_tcp_loose",
        "connections from before the rules are taken up by conntrack",
        lambda value: value != "0",
        "connections from before the rules count as INVALID; every policy stops those too",
        "conntrack is loaded with the first rules",
    ),
    Expectation(
        "net.bridge.bridge-nf-call-iptables",
        "bridged packets do not meet the rules",
        lambda value: value == "0",
        "packets that are only bridged meet the policies as well (br_netfilter)",
        "br_netfilter is not loaded, so bridged packets do not meet the rules",
    ),
)

# of policy caps: the kernel switches it on with the first rule that asks for a count (nft_ct_get_init, net/netfilter/nft_ct.c)
COUNTING = Expectation(
    "net.netfilter.nf_conntrack_acct",
    "the bytes of connections are counted, which policy caps goes by",
    lambda value: value == "1",
    "no flow counts as heavy, and none is capped; the rules of caps switch it on, for connections that begin after them",
    "conntrack is loaded with the first rules",
)


def sysctls(
    interfaces: tuple[str, ...], proc: Path = PROC, expectations: tuple[Expectation, ...] = EXPECTATIONS, subscribers: int = 0
) -> Iterator[Finding]:
    """The findings, in a fixed order; `interfaces` are those of the configuration that are there, `subscribers` its rows."""
    for expected in expectations:
        yield _finding(expected, _read(proc, expected.name))
    yield _conntrack_table(proc, subscribers)
    for interface in interfaces:
        yield _reverse_path(proc, interface)


def _finding(expected: Expectation, value: str | None) -> Finding:
    if value is None:
        grade = Grade.OK if expected.absent else Grade.WARN
        return Finding(_AREA, expected.name, grade, "absent", expected.purpose, expected.absent or expected.otherwise)
    if expected.is_good(value):
        return Finding(_AREA, expected.name, Grade.OK, value, expected.purpose)
    return Finding(_AREA, expected.name, Grade.WARN, value, expected.purpose, expected.otherwise)


def _conntrack_table(proc: Path, subscribers: int) -> Finding:
    """A full table makes conntrack drop new connections, and the policies get the blame."""
    name, purpose = "net.netfilter.nf_conntrack_max", "room for every subscriber's connections"
    limit, count = _read(proc, name), _read(proc, "net.netfilter.nf_conntrack_count")
    if limit is None or count is None:
        return Finding(_AREA, name, Grade.OK, "absent", purpose, "conntrack is loaded with the first rules")
    found, size = f"{count} of {limit} used", int(limit)
    if size and int(count) > _NEARLY_FULL * size:
        instead = "the table is nearly full; conntrack then drops new connections, whatever the policies say: raise it"
        return Finding(_AREA, name, Grade.WARN, found, purpose, instead)
    if 0 < size < _LEAST_CONNECTIONS * subscribers:
        instead = (
            f"that is less than {_LEAST_CONNECTIONS} for each of {subscribers} subscribers; a full table drops new connections: "
            f"sysctl -w {name}={_LEAST_CONNECTIONS * subscribers}, and nf_conntrack_buckets with it"
        )
        return Finding(_AREA, name, Grade.WARN, found, purpose, instead)
    return Finding(_AREA, name, Grade.OK, found, purpose)


def _reverse_path(proc: Path, interface: str) -> Finding:
    """rp_filter is the larger of `all` and the interface's own (ip-sysctl.rst); strict mode drops before any rule is met."""
    values = [_read(proc, f"net/ipv4/conf/{each}/rp_filter") for each in ("all", interface)]
    mode = max((int(value) for value in values if value is not None), default=0)
    words = {0: "0 (off)", 1: "1 (strict)", 2: "2 (loose)"}
    instead = "asymmetric routes are dropped ahead of edged, uncounted; the policy spoof does this job" if mode == 1 else ""
    purpose = "only edged's policies decide about sources"
    grade = Grade.WARN if mode == 1 else Grade.OK
    return Finding(_AREA, f"net.ipv4.conf.{interface}.rp_filter", grade, words.get(mode, str(mode)), purpose, instead)


def _read(proc: Path, name: str) -> str | None:
    """The sysctl's value; a name with slashes is a path, since an interface's name may have dots (lan0.100)."""
    path = proc / (name if "/" in name else name.replace(".", "/"))
    try:
        return path.read_text().strip()
    except OSError:
        return None
