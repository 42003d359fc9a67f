"""The files of the gateway that dies: two policies and two states of its list, all of which stop the probe's SYNs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.netns.faults.state import Lease

LIST = "bad"
STEADY, GUEST = 20, 21  # the subscribers: one moves much by p2p all the time, the other when it is asked to

_EDGED = """\
gateway: {name: gw1, access: [lan0], upstream: [wan0]}
pools:
  dynamic: [203.0.113.0/25, 2001:db8:d::/48]
  static: [203.0.113.64/28, 198.51.100.0/24, 2001:db8:5::/48]
metrics: {listen: "127.0.0.1:9825"}
control: control.sock
state: state
subscribers: subscribers.csv
"""
_POLICIES = (
    {
        "10-blocklist": "policy: blocklist\nlists: [{name: bad, path: lists/bad.txt, format: plain}]\n",
        "20-op25b": "policy: op25b\n",
        "30-ip53b": "policy: ip53b\n",
        "40-spoof": "policy: spoof\n",
        "50-caps": "policy: caps\nclasses: {p2p: {after: 20kB, down: 4mbit, up: 4mbit}}\npool: 24\n",
    },
    {
        "10-blocklist": "policy: blocklist\naction: reject\nlists: [{name: bad, path: lists/bad.txt, format: plain}]\n",
        "20-op25b": "policy: op25b\nscope: all\naction: drop\nexempt: {destinations: [192.0.2.25]}\n",
        "30-ip53b": 'policy: ip53b\nmode: "off"\n',
        "40-spoof": "policy: spoof\nmode: observe\n",
        "50-caps": "policy: caps\nclasses: {p2p: {after: 20kB, down: 2mbit, up: 2mbit}, bulk: {after: 500MB, "
        "sustained: 20mbit, for: 60s, down: 10mbit, up: 5mbit}}\npool: 16\n",
    },
)
_RATES = ("4Mbit", "2Mbit")
_ENTRIES = (range(120), range(40, 180))


@dataclass(frozen=True, slots=True)
class Files:
    """Which policy, and which state of the list: 0 or 1."""

    policy: int
    entries: int

    @property
    def rate(self) -> str:
        """What p2p is held to, as tc writes it."""
        return _RATES[self.policy]

    def write(self, folder: Path) -> None:
        """Put them into the folder, which has rules.d and lists."""
        (folder / "edged.yaml").write_text(_EDGED)
        for name, text in _POLICIES[self.policy].items():
            (folder / "rules.d" / f"{name}.yaml").write_text(text)
        self.write_list(folder)
        rows = (f"S-{number},{source(number)} {network(number)}/64," for number in (STEADY, GUEST))
        (folder / "subscribers.csv").write_text("\n".join(("id,prefixes,plan", *rows, "")))

    def write_list(self, folder: Path) -> None:
        """The list alone: addresses, and networks of two lengths, in both families."""
        lines = [
            line
            for each in _ENTRIES[self.entries]
            for line in (f"198.18.{each}.7", f"198.19.{each}.0/24", f"2001:db8:bad:{each:x}::/64")
        ]
        (folder / "lists" / "bad.txt").write_text("\n".join((*lines, "")))

    def telling(self) -> tuple[tuple[str, bool], ...]:
        """Addresses that only one state of the list has, and whether it is this one."""
        return ("198.18.1.7", self.entries == 0), ("198.18.170.7", self.entries == 1)

    def flipped(self) -> Files:
        """The other policy, with the other state of the list."""
        return Files(1 - self.policy, 1 - self.entries)


def source(number: int) -> str:
    """The IPv4 address of a subscriber."""
    return f"203.0.113.{number}"


def network(number: int) -> str:
    """The first address of a subscriber's IPv6 /64."""
    return f"2001:db8:d:{number:x}::"


def leases_of(files: Files, number: int) -> frozenset[Lease]:
    """How the subscriber is capped while its flows are heavy."""
    keys = ((4, source(number)), (6, network(number)))
    return frozenset(Lease(f"lease_{way}_p2p{digit}", key, files.rate) for way in ("up", "down") for digit, key in keys)
