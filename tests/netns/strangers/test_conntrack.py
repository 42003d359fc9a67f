"""A stranger flushes conntrack under open connections: they go on, are judged anew, and lists stop them as before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from edged.addresses import Family
from edged.kernel import uapi
from edged.kernel.flows import LinuxFlows
from edged.kernel.messages import pack
from edged.kernel.namespace import open_nftables
from edged.lab.topology import Topology
from edged.marks import FlowClass, MarkFields, in_field
from edged.tracked import Tracked
from tests.netns.bulk import Transfer, transfers
from tests.netns.daemon_process import Daemon, eventually

FLUSHES = 20
_CT_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE; with no connection named it is all of them
MARKS = MarkFields()
CAPS = """\
policy: caps
classes:
  bulk: {after: 20kB, sustained: 1mbit, for: 1s, down: 50mbit, up: 50mbit}
pool: 16
"""


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    (made.folder / "rules.d/50-caps.yaml").write_text(CAPS)
    try:
        made.start()
        yield made
    finally:
        made.close()


def test_open_connections_survive_a_flush_of_conntrack(topology: Topology, daemon: Daemon) -> None:
    ways = [((topology.web, topology.dynamic), family) for family in Family]
    flows = LinuxFlows(topology.gateway.netns)
    with transfers(ways, pace=8_000_000) as moving:
        eventually(lambda: len(bulk(flows)) == len(ways), 10.0)
        generations = {generation(flow) for flow in bulk(flows)}
        found = bulk_found(daemon)
        for _ in range(FLUSHES):
            flush(topology)
            time.sleep(0.05)
        # each is a connection again, of the generation that is in force, and what it is is found out anew
        eventually(lambda: len(bulk(flows)) == len(ways), 10.0)
        assert {generation(flow) for flow in bulk(flows)} == generations
        assert 0 not in generations
        status = daemon.client.status()
        assert bulk_found(daemon) == found + len(ways)
        assert (status["in_sync"], status["degraded"]) == (True, [])
        assert len(moved(moving)) == len(ways)
        # and an entry added now ends them
        with (daemon.folder / "lists/authority.txt").open("a") as listed:
            listed.writelines(f"{topology.web.address(family)}\n" for family in Family)
        daemon.client.reload()
        time.sleep(0.2)
        assert not moved(moving)
    assert "ERROR" not in daemon.log()
    assert "Traceback" not in daemon.log()


def bulk(flows: LinuxFlows) -> tuple[Tracked, ...]:
    return flows.marked(MARKS.flow_class, in_field(MARKS.flow_class, FlowClass.BULK))


def generation(flow: Tracked) -> int:
    return flow.mark & MARKS.generation


def bulk_found(daemon: Daemon) -> int:
    caps = daemon.client.status()["caps"]
    assert caps is not None
    return caps["bulk_found"]


def moved(moving: list[Transfer], seconds: float = 0.5) -> list[Transfer]:
    """Those that move anything in that time."""
    before = [transfer.received for transfer in moving]
    time.sleep(seconds)
    return [transfer for transfer, had in zip(moving, before, strict=True) if transfer.received > had]


def flush(topology: Topology) -> None:
    """What `conntrack -F` does."""
    with closing(open_nftables(topology.gateway.netns)) as opened:
        opened.settimeout(5)
        flags = uapi.NLM_F_REQUEST | 4  # NLM_F_ACK
        opened.send(pack(_CT_DELETE, flags, 1, b"", family=uapi.NFPROTO_UNSPEC))
        answer = opened.recv(4096)
        assert int.from_bytes(answer[16:20], "little", signed=True) == 0
