"""Promise 9 over the real daemon and commands: whoever manages the gateway, and what it lives by, is not cut off by a change.

A machine beyond wan0 is logged in to the gateway and, through it, to a subscriber's device; both sessions are real TCP. The
gateway has real connections to its RADIUS server, etcd, BGP neighbours and monitoring.
"""

from __future__ import annotations

import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from edged.addresses import Address, Family
from edged.errors import ExitCode
from edged.lab.topology import GATEWAY_WAN, Host, Topology
from tests.netns.daemon_process import Daemon, eventually
from tests.netns.topology import INET
from tests.promises import Measured

POOLS = "static: [203.0.113.64/28"
# the operator's machine in a pool: what comes from it, from upstream, is forged then
WITH_OPERATOR = POOLS.replace("[", "[192.0.2.80/32, ")
BLOCKLIST = "policy: blocklist\nlists: [{name: feed, path: lists/feed}]\n"
OPEN = bytes(29)  # as long as BGP's shortest
PATIENCE = 1.0


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    made.lifelines = tuple(
        str(each).encode() for host in (topology.web, topology.foreign_mail) for each in (host.ipv4, host.ipv6)
    )
    made.write("edged.yaml", "127.0.0.1:9825", "0.0.0.0:9825")
    (made.folder / "rules.d/10-blocklist.yaml").write_text(BLOCKLIST)
    (made.folder / "lists/feed").write_text("198.18.0.1\n198.18.0.2\n")
    try:
        yield made
    finally:
        made.close()


class Session:
    """One TCP connection that somebody types into."""

    def __init__(self, client: Host, server: Host, at: Address, port: int, source_port: int = 0) -> None:
        family = Family.of(at)
        with server.socket(INET[family], socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(at), port))
            listener.listen()
            self.near = client.socket(INET[family], socket.SOCK_STREAM)
            self.near.settimeout(PATIENCE)
            self.near.bind((str(client.address(family)), source_port))
            self.near.connect((str(at), port))
            self.far, _ = listener.accept()
        self.far.settimeout(PATIENCE)

    def lives(self) -> bool:
        """Whether a word comes there and back."""
        try:
            self.near.sendall(b"w")
            self.far.sendall(self.far.recv(1))
            return self.near.recv(1) == b"w"
        except TimeoutError:
            return False

    def close(self) -> None:
        self.near.close()
        self.far.close()

    @property
    def variable(self) -> str:
        """SSH_CONNECTION, as the server would say."""
        client, server = self.near.getsockname(), self.near.getpeername()
        return f"SSH_CONNECTION={client[0]} {client[1]} {server[0]} {server[1]}"


def edged(daemon: Daemon, *arguments: str, over: Session | None = None) -> tuple[int, str]:
    """A command's exit code and what it said, run over that login."""
    login = [over.variable] if over else []
    command = ["env", *login, sys.executable, "-m", "edged", *arguments, "-c", daemon.config]
    done = daemon.host.run(command, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.promise(9)
def test_a_policy_that_would_cut_off_the_operator_is_refused(daemon: Daemon, topology: Topology, measured: Measured) -> None:
    with ExitStack() as stack:
        login = Session(topology.web, topology.gateway, GATEWAY_WAN[0], 22)
        onward = Session(topology.web, topology.static, topology.static.ipv4, 22)
        for session in (login, onward):
            stack.callback(session.close)
        daemon.start()
        before, generation = daemon.table(), daemon.client.status()["generation"]
        daemon.write("edged.yaml", POOLS, WITH_OPERATOR)

        for arguments in (("reload",), ("apply",), ("apply", "--confirm", "60s")):
            code, said = edged(daemon, *arguments, over=login)
            assert (code, "rules.d/40-spoof.yaml:14: policy spoof would cut off 192.0.2.80" in said) == (
                ExitCode.REFUSED,
                True,
            ), said
            assert "--despite-guards" in said
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reload failed" in daemon.log())
        assert "refused: rules.d/40-spoof.yaml" in edged(daemon, "plan", over=login)[1]
        assert (daemon.table(), daemon.client.status()["generation"]) == (before, generation)
        assert login.lives()
        assert onward.lives()

        daemon.stop()
        daemon.start()  # it does not know that somebody is logged in; what was refused stays refused all the same
        assert daemon.client.status()["configuration"]["running"] == "last good"
        assert onward.lives()
        assert edged(daemon, "apply", "--despite-guards", over=login)[0] == ExitCode.DONE
        assert not onward.lives(), "what was refused would have cut him off"
        assert login.lives(), "no policy is about the gateway's own packets"
    measured("a policy that cuts off the operator: refused by reload, apply, --confirm, SIGHUP and restart, nothing changed")


@pytest.mark.promise(9)
def test_without_a_daemon_apply_refuses_unless_it_is_told_to(daemon: Daemon, topology: Topology, measured: Measured) -> None:
    with ExitStack() as stack:
        onward = Session(topology.web, topology.static, topology.static.ipv4, 22)
        stack.callback(onward.close)
        daemon.write("edged.yaml", POOLS, WITH_OPERATOR)
        for arguments in (("apply",), ("apply", "--dry-run"), ("apply", "--confirm", "60s", "--no-wait")):
            code, said = edged(daemon, *arguments, over=onward)
            assert (code, "would cut off 192.0.2.80" in said, daemon.table()) == (ExitCode.REFUSED, True, "")
        assert onward.lives()
        code, said = edged(daemon, "apply", "--despite-guards", over=onward)
        assert code == ExitCode.DONE, said
        assert not onward.lives()
    measured("without a daemon: apply, --dry-run and --confirm refuse it; --despite-guards applies it, and the session dies")


class Lifeline(NamedTuple):
    """Somebody the gateway lives by, and in which words the refusal names him."""

    address: Address
    words: str


@pytest.fixture
def resolver(topology: Topology) -> Iterator[Address]:
    """An address that the gateway's resolv.conf names; ip-netns(8) puts the file there."""
    address = topology.resolver.ipv6
    folder = Path("/etc/netns", topology.gateway.netns)
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text(f"nameserver {address}\n")
    yield address
    shutil.rmtree(folder)


@pytest.mark.promise(9)
def test_a_list_that_names_what_the_gateway_lives_by_is_refused(
    daemon: Daemon, topology: Topology, resolver: Address, measured: Measured
) -> None:
    gateway = topology.gateway
    with ExitStack() as stack:

        def session(client: Host, server: Host, at: Address, port: int, source_port: int = 0) -> Session:
            made = Session(client, server, at, port, source_port)
            stack.callback(made.close)
            return made

        gateway_end = Host(gateway.netns, *GATEWAY_WAN)
        login = session(topology.web, gateway, GATEWAY_WAN[1], 22)
        session(gateway_end, topology.own_mail, topology.own_mail.ipv4, 2379)
        session(gateway_end, topology.foreign_mail, topology.foreign_mail.ipv6, 179)
        neighbour = session(topology.resolver, gateway, GATEWAY_WAN[0], 179)
        neighbour.far.sendall(OPEN)
        radius = stack.enter_context(gateway.socket(socket.AF_INET, socket.SOCK_DGRAM))
        radius.connect((str(topology.foreign_mail.ipv4), 1812))
        daemon.start()
        assert edged(daemon, "reload", over=login)[0] == ExitCode.DONE  # the daemon looks at lists by itself too
        lifelines = [
            Lifeline(topology.web.ipv6, "an operator's login, by which a command of edged's came (SSH_CONNECTION)"),
            Lifeline(topology.own_mail.ipv4, "an etcd server, connected now, port 2379"),
            Lifeline(topology.foreign_mail.ipv6, "a BGP neighbour, connected now, port 179"),
            Lifeline(topology.resolver.ipv4, "a BGP neighbour, connected now, to port 179"),
            Lifeline(topology.foreign_mail.ipv4, "a RADIUS server, connected now, port 1812"),
            Lifeline(topology.own_mail.ipv4, "the monitoring, connected now, to port 9825"),
            Lifeline(resolver, "a resolver, of /etc/resolv.conf"),
        ]
        before = daemon.table()
        for each in lifelines:
            scrape(topology.own_mail, GATEWAY_WAN[0])
            (daemon.folder / "lists/feed").write_text(f"198.18.0.1\n198.18.0.2\n{each.address}\n")
            code, said = edged(daemon, "reload")
            assert (code, f"line 3: {each.address} is protected ({each.words})" in said) == (ExitCode.REFUSED, True), said
            assert daemon.table() == before
    measured(
        f"a list with the operator, a resolver, the monitoring, RADIUS, etcd or BGP: {len(lifelines)} of {len(lifelines)} refused"
    )


def scrape(client: Host, at: Address) -> None:
    """Fetches the metrics page, as Prometheus does again and again."""
    source, page = str(client.address(Family.of(at))), f"http://{at}:9825/metrics"
    client.run(["curl", "-sf", "-o", "/dev/null", "--interface", source, page], check=True)


@pytest.mark.promise(9)
def test_nobody_keeps_himself_out_of_a_list_by_connecting(daemon: Daemon, topology: Topology, measured: Measured) -> None:
    """What anyone can do from outside protects nobody: a connection to sshd, or one from a well-known port."""
    with ExitStack() as stack:
        for port, source_port in ((22, 0), (22, 2379), (179, 0), (22, 179)):
            made = Session(topology.listed, topology.gateway, GATEWAY_WAN[0], port, source_port)
            stack.callback(made.close)
        for port in (22, 179):
            listener = stack.enter_context(topology.gateway.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((str(GATEWAY_WAN[0]), port))
            listener.listen()
        daemon.start()
        (daemon.folder / "lists/feed").write_text(f"198.18.0.1\n{topology.listed.ipv4}\n")
        code, said = edged(daemon, "reload")
        assert code == ExitCode.DONE, said
        assert daemon.client.blocklist_test(str(topology.listed.ipv4))["blocked"]
    measured("connections that anyone can open from outside: protect nobody")
