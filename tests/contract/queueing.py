"""The machines that the queueing's contract is tried on: devices in memory, and veth pairs in a network namespace."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from typing import Protocol

from edged.kernel.tc import LinuxTrafficControl, TrafficControl
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.queueing.plan import AddLeaf
from edged.queueing.render import command
from edged.queueing.tree import ClassId, leaf_handle

DEVICES = ("lan0", "wan0")
_numbers = itertools.count()


class QueueingMachine(Protocol):
    """Two devices, and what befalls them from outside."""

    @property
    def control(self) -> TrafficControl:
        """The kernel's queueing there."""

    def take_root(self, device: str) -> None:
        """A stranger's tbf becomes the root."""

    def remove_device(self, device: str) -> None:
        """The device goes."""

    def leaf(self, device: str, classid: ClassId) -> str:
        """The class's leaf, as tc writes it."""

    def remove(self) -> None:
        """The machine is gone."""


class FakeQueueing:
    def __init__(self) -> None:
        self.control = FakeTrafficControl({name: FakeDevice() for name in DEVICES})

    def take_root(self, device: str) -> None:
        self.control.devices[device].foreign = "tbf"

    def remove_device(self, device: str) -> None:
        del self.control.devices[device]

    def leaf(self, device: str, classid: ClassId) -> str:
        classes = self.control.devices[device].classes
        assert classes is not None
        leaf = classes[classid].leaf
        assert leaf is not None
        return command(AddLeaf(device, classid, leaf, classes[classid].limit)).partition(f" {leaf_handle(classid)} ")[2]

    def remove(self) -> None:
        pass


class LinuxQueueing:
    def __init__(self) -> None:
        self.name = f"edgedtc{os.getpid()}n{next(_numbers)}"
        self._run("ip", "netns", "add", self.name)
        for device in DEVICES:
            self.run("ip", "link", "add", device, "type", "veth", "peer", "name", f"{device}-far")
            for end in (device, f"{device}-far"):
                self.run("ip", "link", "set", "dev", end, "up")
        self.control = LinuxTrafficControl(self.name)

    @staticmethod
    def _run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def run(self, *command: str) -> str:
        """A command inside; what it prints."""
        return self._run("ip", "netns", "exec", self.name, *command)

    def take_root(self, device: str) -> None:
        self.run(*f"tc qdisc replace dev {device} root handle 1: tbf rate 1gbit burst 100kb latency 50ms".split())

    def remove_device(self, device: str) -> None:
        self.run("ip", "link", "delete", device)

    def leaf(self, device: str, classid: ClassId) -> str:
        listed = self.run("tc", "qdisc", "show", "dev", device)
        found = re.search(rf"^qdisc (\w+) {leaf_handle(classid)} parent {classid} (limit \d+)b", listed, re.MULTILINE)
        assert found, listed
        return " ".join(found.groups())

    def remove(self) -> None:
        self.control.close()
        self._run("ip", "netns", "delete", self.name)
