"""The machines that the contract is tried on: a fake host, and a network namespace of its own with the real kernel."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_address
from typing import Protocol

from edged.addresses import Address
from edged.kernel import Kernel
from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.fakesets import FakeLiveSet, FakePrefixSet
from edged.kernel.linux import LinuxKernel
from edged.lab import netns
from edged.packed import Keys
from tests.contract.tables import NOW
from tests.netns.differential.netfilter import NETLINK_NETFILTER, connections

_numbers = itertools.count()


class Machine(Protocol):
    """A ruleset, sockets to it, and what befalls it from outside."""

    def connect(self) -> Kernel:
        """A new socket."""

    def inherit(self, kernel: Kernel) -> Kernel:
        """The same socket in a later process, the former one being dead."""

    def flush_ruleset(self) -> None:
        """A stranger's `nft flush ruleset`."""

    def commit_elsewhere(self) -> None:
        """A stranger's change to another table."""

    def rewrite(self, chain: str, position: int, body: str) -> bool:
        """A stranger rewrites a rule in place, comment kept; whether the kernel let it."""

    def addresses(self, name: str) -> list[Address]:
        """What a set of prefixes really holds, in order."""

    def swap(self, name: str, gone: Sequence[Address], new: Sequence[Address]) -> None:
        """A stranger takes addresses out of a set and puts others in."""

    def grant(self, name: str, address: Address, minor: int) -> None:
        """The lease book gives an address the tc class 1:<minor>, by the map of that name."""

    def granted(self, name: str) -> dict[Address, int]:
        """Who has which class by that map."""

    def connect_marked(self, marks: Sequence[int]) -> None:
        """Connections that carry these marks, of both families in turn."""

    def marks(self) -> Counter[int]:
        """How many connections carry each mark, those of no mark left out."""

    def count(self, counter: str) -> None:
        """One packet (UDP to port 9, from the machine to itself) through a rule with this counter."""

    def wait(self, seconds: float) -> None:
        """Time passes."""

    def remove(self) -> None:
        """The machine is gone."""


class FakeMachine:
    def __init__(self) -> None:
        self.host = FakeHost(now=1000.0)

    def connect(self) -> Kernel:
        return FakeKernel(self.host)

    def inherit(self, kernel: Kernel) -> Kernel:
        assert isinstance(kernel, FakeKernel)
        return FakeKernel(self.host, kernel.port)

    def flush_ruleset(self) -> None:
        self.host.flush_ruleset()

    def commit_elsewhere(self) -> None:
        self.host.commit_elsewhere()

    def rewrite(self, chain: str, position: int, body: str) -> bool:
        try:
            self.host.tamper(chain, position)
        except PermissionError:
            return False
        return True

    def addresses(self, name: str) -> list[Address]:
        keys = self._prefixes(name).keys
        return [keys.family.address(network) for network in keys.networks()]

    def swap(self, name: str, gone: Sequence[Address], new: Sequence[Address]) -> None:
        held = self._prefixes(name)
        without = held.keys.minus(Keys.of(held.keys.family, held.keys.length, map(int, gone)))
        changed = without.plus(Keys.of(held.keys.family, held.keys.length, map(int, new)))
        assert self.host.table is not None
        self.host.table.sets[name] = replace(held, keys=changed)
        self.host.commit_elsewhere()

    def _prefixes(self, name: str) -> FakePrefixSet:
        assert self.host.table is not None
        held = self.host.table.sets[name]
        assert isinstance(held, FakePrefixSet)
        return held

    def grant(self, name: str, address: Address, minor: int) -> None:
        self._live(name).elements[int(address)] = minor
        self.host.commit_elsewhere()

    def granted(self, name: str) -> dict[Address, int]:
        held = self._live(name)
        return {held.made.family.address(key): int(str(minor)) for key, minor in held.elements.items()}

    def _live(self, name: str) -> FakeLiveSet:
        assert self.host.table is not None
        held = self.host.table.sets[name]
        assert isinstance(held, FakeLiveSet)
        return held

    def connect_marked(self, marks: Sequence[int]) -> None:
        self.host.marks += marks

    def marks(self) -> Counter[int]:
        return Counter(mark for mark in self.host.marks if mark)

    def count(self, counter: str) -> None:
        self.host.count(counter)

    def wait(self, seconds: float) -> None:
        self.host.now += seconds

    def remove(self) -> None:
        pass


class LinuxMachine:
    def __init__(self) -> None:
        self.name = f"edgedct{os.getpid()}n{next(_numbers)}"
        self._run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self._opened: list[LinuxKernel] = []

    @staticmethod
    def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        return self._run("ip", "netns", "exec", self.name, *command, check=check)

    def nft(self, script: str) -> str:
        """A script of nft's inside; what it prints."""
        return self.run("nft", "-a", script).stdout

    def load(self, text: str) -> None:
        """A file of nft's inside."""
        command = ("ip", "netns", "exec", self.name, "nft", "-f", "-")
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"nft -f: {done.stderr}")

    def connect(self) -> LinuxKernel:
        self._opened.append(LinuxKernel(netns=self.name, clock=lambda: NOW))
        return self._opened[-1]

    def inherit(self, kernel: Kernel) -> LinuxKernel:
        assert isinstance(kernel, LinuxKernel)
        self._opened.append(LinuxKernel(self.name, os.dup(kernel.fileno()), clock=lambda: NOW))
        kernel.close()
        return self._opened[-1]

    def flush_ruleset(self) -> None:
        self.nft("flush ruleset")

    def commit_elsewhere(self) -> None:
        self.nft(f"add table ip elsewhere{next(_numbers)}")

    def handle(self, chain: str, position: int) -> tuple[str, str]:
        """A rule's handle and its comment."""
        lines = [line for line in self.nft(f"list chain inet edged {chain}").splitlines() if 'comment "' in line]
        line = lines[position]
        return line.rsplit("# handle ", 1)[1], line.split('comment "', 1)[1].split('"', 1)[0]

    def rewrite(self, chain: str, position: int, body: str) -> bool:
        handle, comment = self.handle(chain, position)
        script = f'replace rule inet edged {chain} handle {handle} {body} comment "{comment}"'
        return self.run("nft", script, check=False).returncode == 0

    def addresses(self, name: str) -> list[Address]:
        listed = json.loads(self.run("nft", "-j", "list", "set", "inet", "edged", name).stdout)
        found = next(each["set"] for each in listed["nftables"] if "set" in each).get("elem", [])
        return sorted(map(ip_address, found))

    def swap(self, name: str, gone: Sequence[Address], new: Sequence[Address]) -> None:
        for word, some in (("delete", gone), ("add", new)):
            if some:
                self.nft(f"{word} element inet edged {name} {{ {', '.join(map(str, some))} }}")

    def grant(self, name: str, address: Address, minor: int) -> None:
        self.nft(f"add element inet edged {name} {{ {address} : 1:{minor:x} }}")

    def granted(self, name: str) -> dict[Address, int]:
        listed = self.run("nft", "list", "map", "inet", "edged", name).stdout
        return {ip_address(key): int(minor, 16) for key, minor in re.findall(r"([0-9a-f.:]+) : 1:([0-9a-f]+)", listed)}

    def connect_marked(self, marks: Sequence[int]) -> None:
        chain = "type filter hook output priority 0\n meta mark != 0 ct mark set meta mark\n"
        self.load(f"table inet marking {{\n chain sent {{\n {chain} }}\n }}\n")
        with ExitStack() as opened:
            ways = [
                (opened.enter_context(netns.open_socket(self.name, family, socket.SOCK_DGRAM)), here)
                for family, here in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
            ]
            for number, mark in enumerate(marks):
                sender, here = ways[number % 2]
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("=I", mark))
                sender.sendto(b"", (here, 1024 + number))
        self.nft("delete table inet marking")

    def marks(self) -> Counter[int]:
        with netns.open_socket(self.name, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as asked:
            return Counter(mark for mark in connections(asked).values() if mark)

    def count(self, counter: str) -> None:
        self.run("bash", "-c", "echo > /dev/udp/127.0.0.1/9")

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def remove(self) -> None:
        for kernel in self._opened:
            kernel.close()
        self._run("ip", "netns", "delete", self.name)
