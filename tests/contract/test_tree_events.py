"""What the kernel tells of others' changes to devices and queueing, and by which port."""

from __future__ import annotations

import socket
import subprocess
from contextlib import closing

from edged.kernel.namespace import inside
from edged.kernel.tc import LinuxTrafficControl
from edged.kernel.treeevents import Touch, TreeEvents
from edged.queueing.plan import AddClass, AddRoot, ChangeClass
from edged.queueing.tree import LINE, ROOT, ClassId, Rate
from tests.contract.machines import LinuxMachine

CLASS = ClassId(0xED, 2)
RATE = Rate(8_000_000)


def test_touches_are_told_with_the_port_that_asked_but_for_ones_own(linux: LinuxMachine) -> None:
    linux.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "ppp0")
    number = inside(linux.name, lambda: socket.if_nametoindex("lan0"))
    with closing(LinuxTrafficControl(linux.name)) as traffic, closing(TreeEvents(traffic.port, linux.name)) as events:
        traffic.apply([AddRoot("lan0"), AddClass("lan0", LINE, ROOT, RATE), AddClass("lan0", CLASS, LINE, RATE)])
        traffic.apply([ChangeClass("lan0", CLASS, Rate(4_000_000))])
        assert events.read() == []
        for command in ("class change dev lan0 classid ed:2 htb rate 1mbit", "qdisc delete dev lan0 root"):
            process = subprocess.Popen(["ip", "netns", "exec", linux.name, "tc", *command.split()])
            assert process.wait(10) == 0
            assert events.read() == [Touch(number, process.pid)]
        linux.run("ip", "link", "set", "lan0", "name", "lan1")
        assert {touch.ifindex for touch in events.read()} == {number}
        linux.run("ip", "link", "delete", "lan1")
        assert number in {touch.ifindex for touch in events.read()}
        assert not events.lost
