"""The probe: SYNs to port 25 from a dynamic address while something happens to the rules, and what of them came through.

Beside them the same rate goes to port 587, of which every one must arrive: so a hole in the policy and a hole in the traffic
are both seen. The receiver is a packet socket in the outside namespace with the kernel's own timestamps; its buffer holds a
whole run, and a packet that it could not take fails the run.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from edged.addresses import Family
from edged.lab.topology import Topology

BLOCKED, PERMITTED = 25, 587
FAMILIES = tuple(Family)

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_ROOT = Path(__file__).parents[3]


@dataclass
class Arrivals:
    """What came through of one family: the numbers of the SYNs to either port, and when the permitted ones came."""

    blocked: list[int] = field(default_factory=list)
    permitted: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def longest_gap(self) -> float:
        """Milliseconds between two permitted SYNs, at most."""
        return max((after - before) * 1000 for before, after in pairwise(self.times))


@dataclass
class Result:
    """What a run came to."""

    sent: int  # a port and family
    latest: float  # ms that the sender was behind its schedule, at most
    arrived: dict[Family, Arrivals]

    def leaked(self, family: Family) -> list[int]:
        """The numbers of the SYNs to port 25 that came through."""
        return self.arrived[family].blocked

    def missing(self, family: Family) -> list[int]:
        """The numbers of the permitted SYNs that did not."""
        return sorted(set(range(self.sent)) - set(self.arrived[family].permitted))

    def __str__(self) -> str:
        return f"{self.sent} SYNs a port and family (sender at most {self.latest:.0f} ms late); " + "; ".join(
            f"{family.label}: {len(self.leaked(family))} leaked, {len(self.missing(family))} permitted ones missing, "
            f"longest gap {self.arrived[family].longest_gap:.1f} ms"
            for family in FAMILIES
        )


class Probe:
    """A run from entering the context on; `result` ends it, but not before `least` SYNs went out to each port."""

    def __init__(self, topology: Topology, least: int) -> None:
        self._topology = topology
        self._least = least

    def __enter__(self) -> Self:
        at = self._topology
        self._receiver = at.outside.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 128 << 20)
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._receiver.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        pairs = ";".join(f"{at.dynamic.address(family)},{at.foreign_mail.address(family)}" for family in FAMILIES)
        module = [sys.executable, "-m", "tests.netns.probe.sender", str(self._least), pairs, f"{BLOCKED},{PERMITTED}"]
        self._sender = subprocess.Popen(
            ["ip", "netns", "exec", at.dynamic.netns, *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        assert self._sender.stdout is not None
        assert self._sender.stdout.readline() == "begins\n"
        self._begin = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._sender.poll() is None:
            self._sender.kill()
            self._sender.communicate()
        self._receiver.close()

    @property
    def left(self) -> float:
        """Seconds until enough SYNs were sent, by the schedule."""
        return self._begin + self._least / 1000 - time.monotonic()

    def due(self, moment: float) -> int:
        """The number of the SYN that is due at that moment of the monotonic clock."""
        return round((moment - self._begin) * 1000)

    def result(self) -> Result:
        """What came through. Fails where the receiver lost something."""
        said, _ = self._sender.communicate("enough\n", timeout=60)
        sent, latest = said.split()
        time.sleep(0.1)  # the last ones are on their way
        result = Result(int(sent), float(latest), {family: Arrivals() for family in FAMILIES})
        self._receiver.setblocking(False)
        try:
            while True:
                frame, ancillary, _, _ = self._receiver.recvmsg(256, 64)
                _note(frame, _stamp(ancillary), result)
        except BlockingIOError:
            pass
        _, lost = struct.unpack("=II", self._receiver.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        assert lost == 0, f"the receiver lost {lost} packets: this run says nothing"
        return result


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    (_, _, data) = ancillary[0]
    seconds, nanoseconds = struct.unpack("=qq", data)
    return float(seconds + nanoseconds / 1e9)


def _note(frame: bytes, stamp: float, result: Result) -> None:
    """Put a SYN of the probe where it belongs; all else is not looked at."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800 and frame[23] == 6:
        family, segment = Family.IPV4, frame[14 + (frame[14] & 15) * 4 :]
    elif kind == 0x86DD and frame[20] == 6:
        family, segment = Family.IPV6, frame[54:]
    else:
        return
    port, number = struct.unpack_from("!HI", segment, 2)
    if port == BLOCKED:
        result.arrived[family].blocked.append(number)
    elif port == PERMITTED:
        result.arrived[family].permitted.append(number)
        result.arrived[family].times.append(stamp)
