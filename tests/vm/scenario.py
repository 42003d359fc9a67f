"""Runs inside the emulated machine: a gateway with the shipped example, connections through it; prints what was seen, as JSON.

It judges nothing: test_stock_kernel.py does. A Python that starts and imports costs 10 s of emulated time, so this process
imports all that edged's commands need, once, and each command is a fork of it in the gateway's namespace.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn

from edged.addresses import Family
from edged.cli.root import edged
from edged.lab.topology import Host, Topology

EXAMPLE = Path(__file__).parents[2] / "rules/edged.yaml"
CLONE_NEWNET = 0x40000000  # linux/sched.h
IMPORTED_ONCE = ("apply", "doctor", "plan", "run", "teardown")
BEHIND_THEM = ("edged.daemon.main", "edged.enforce", "edged.oneshot", "edged.control.client")
OPEN, REFUSED, SILENCE = "open", "refused", "silence"
PORTS = (25, 587)
# a reset comes within milliseconds; the emulated machine is slow, and a silence must not be one only because of that
PATIENCE = 3.0


class Edged:
    """A command of edged's, running in the gateway as a process of its own."""

    def __init__(self, gateway: Host, folder: Path, *arguments: str, notify: str = "", config: Path = EXAMPLE) -> None:
        self._config = config
        self._output, self._errors = folder / "output", folder / "errors"
        self._pid = os.fork()
        if self._pid == 0:
            self._become(gateway, arguments, notify)

    def _become(self, gateway: Host, arguments: tuple[str, ...], notify: str) -> NoReturn:
        status = 70
        try:
            for path, descriptor in ((self._output, 1), (self._errors, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
            enter(gateway.netns)
            os.environ["NOTIFY_SOCKET"] = notify
            edged(args=[*arguments, "-c", str(self._config)], prog_name="edged")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001  whatever it is, this process must not go on as its parent would
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def end(self, number: signal.Signals | None = None) -> dict[str, object]:
        """What it answered, once it has ended by itself or by a signal."""
        if number is not None:
            os.kill(self._pid, number)
        status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return {"status": status, "output": self._output.read_text(), "errors": self._errors.read_text()}


def enter(netns: str) -> None:
    """This process, which has one thread, goes into a network namespace."""
    with Path("/run/netns", netns).open("rb") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {netns}")


def run(gateway: Host, *arguments: str, config: Path = EXAMPLE) -> dict[str, object]:
    """What a command of edged's answered in the gateway."""
    with tempfile.TemporaryDirectory() as folder:
        return Edged(gateway, Path(folder), *arguments, config=config).end()


def nft(gateway: Host, *arguments: str) -> str:
    """What the nft command prints there."""
    return gateway.run(["nft", *arguments], check=True).stdout


def attempt(client: Host, server: Host, family: Family, port: int, source_port: int = 0) -> str:
    """Tries one TCP connection from `client`; open, refused or silence."""
    domain = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    with closing(client.socket(domain, socket.SOCK_STREAM)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind((str(client.address(family)), source_port))
        connection.settimeout(PATIENCE)
        try:
            connection.connect((str(server.address(family)), port))
        except ConnectionRefusedError:
            return REFUSED
        except TimeoutError:
            return SILENCE
        return OPEN


def listen(host: Host, *ports: int) -> Iterator[socket.socket]:
    """Sockets that accept TCP on the host's own addresses, whose namespace others may share."""
    for domain, address in ((socket.AF_INET, host.ipv4), (socket.AF_INET6, host.ipv6)):
        for port in ports:
            listener = host.socket(domain, socket.SOCK_STREAM)
            listener.bind((str(address), port))
            listener.listen()
            yield listener


def traffic(lab: Topology) -> dict[str, str]:
    """What becomes of each connection, by a name such as `dynamic 25 ipv4`."""
    seen = {}
    for family in Family:
        name = f"ipv{4 if family is Family.IPV4 else 6}"
        for port in PORTS:
            seen[f"dynamic {port} {name}"] = attempt(lab.dynamic, lab.foreign_mail, family, port)
        seen[f"dynamic exempt {name}"] = attempt(lab.dynamic, lab.own_mail, family, 25)
        seen[f"static 25 {name}"] = attempt(lab.static, lab.foreign_mail, family, 25)
        seen[f"inbound {name}"] = attempt(lab.web, lab.dynamic, family, 8080)
        seen[f"inbound from 25 {name}"] = attempt(lab.web, lab.dynamic, family, 8080, source_port=25)
    return seen


def example(lab: Topology) -> dict[str, object]:
    """apply, plan, traffic, a daemon for a while, teardown."""
    gateway = lab.gateway
    seen: dict[str, object] = {"before": traffic(lab), "apply": run(gateway, "apply")}
    seen["table"] = nft(gateway, "list", "table", "inet", "edged")
    seen["plan"] = run(gateway, "plan", "--exit-code")
    seen["during"] = traffic(lab)
    seen |= daemon(gateway)
    seen["bypassed"] = bypassed(gateway)
    seen["teardown"] = run(gateway, "teardown")
    seen["left"] = nft(gateway, "list", "ruleset")
    seen["vrf"] = in_vrf(lab)
    return seen


def in_vrf(lab: Topology) -> dict[str, object]:
    """The access interface becomes one of a VRF: with it alone in the files, and with the VRF beside it."""
    commands = [
        "link add blue type vrf table 10",
        "link set blue up",
        "link set lan0 master blue",
        f"route add {lab.dynamic.ipv4}/32 dev lan0",
        f"route add {lab.dynamic.ipv4}/32 dev lan0 table 10",
        *(f"route add {host.ipv4}/32 dev wan0 table 10" for host in (lab.foreign_mail, lab.listed)),
    ]
    lab.gateway.run(["ip", "-4", "-batch", "-"], stdin="\n".join(commands), check=True)
    seen: dict[str, object] = {"reaches listed": attempt(lab.dynamic, lab.listed, Family.IPV4, 587)}
    with tempfile.TemporaryDirectory() as folder:
        both = Path(shutil.copytree(EXAMPLE.parent, f"{folder}/rules"), EXAMPLE.name)
        both.write_text(both.read_text().replace("access: [lan0]", "access: [lan0, blue]"))
        for name, config in (("alone", EXAMPLE), ("both", both)):
            seen[name] = {"apply": run(lab.gateway, "apply", config=config), "doctor": run(lab.gateway, "doctor", config=config)}
            seen[f"{name} 25"] = attempt(lab.dynamic, lab.foreign_mail, Family.IPV4, 25)
            seen[f"{name} listed"] = attempt(lab.dynamic, lab.listed, Family.IPV4, 587)
            counters = (f"blocklist_{direction}_ip_drop" for direction in ("up", "down"))
            seen[f"{name} dropped"] = [nft(lab.gateway, "list", "counter", "inet", "edged", each) for each in counters]
    return seen


def bypassed(gateway: Host) -> dict[str, object]:
    """What doctor and apply say while another program's flowtable is on the gateway's interfaces."""
    nft(gateway, "add table inet fast; add flowtable inet fast ft { hook ingress priority 0; devices = { lan0, wan0 }; }")
    nft(gateway, "add chain inet fast onward { type filter hook forward priority 0; }; add rule inet fast onward flow add @ft")
    seen: dict[str, object] = {"doctor": run(gateway, "doctor", "--json"), "apply": run(gateway, "apply")}
    nft(gateway, "delete table inet fast")
    return seen


def daemon(gateway: Host) -> dict[str, object]:
    """The daemon from its start to a clean stop, with a stranger's flush between; this process is its service manager."""
    seen: dict[str, object] = {"told": []}
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(90)
        process = Edged(gateway, Path(folder), "run", notify=f"{folder}/notify")
        try:
            seen["told"] = await_ready(manager)
            seen["owned"] = nft(gateway, "list", "table", "inet", "edged")
            nft(gateway, "flush", "ruleset")
            seen["flushed"] = nft(gateway, "list", "table", "inet", "edged")
        finally:
            seen["daemon"] = process.end(signal.SIGTERM)
    seen["stopped"] = nft(gateway, "list", "table", "inet", "edged")
    return seen


def await_ready(manager: socket.socket) -> list[str]:
    """What the daemon tells its service manager, up to READY; raises TimeoutError. The socket it hands over is closed."""
    told: list[str] = []
    while not any(line.startswith("READY=1") for line in told):
        message, descriptors, _, _ = socket.recv_fds(manager, 4096, 4)
        told.append(message.decode())
        for descriptor in descriptors:
            os.close(descriptor)
    return told


def main() -> None:
    """Prints one JSON object."""
    for module in (*(f"edged.cli.{command}" for command in IMPORTED_ONCE), *BEHIND_THEM):
        importlib.import_module(module)
    seen: dict[str, object] = {"release": os.uname().release}
    with Topology() as lab, ExitStack() as stack:
        for listener in (
            *listen(lab.foreign_mail, *PORTS),
            *listen(lab.own_mail, 25),
            *listen(lab.dynamic, 8080),
            *listen(lab.listed, 587),
        ):
            stack.enter_context(closing(listener))
        seen |= example(lab)
    print(json.dumps(seen))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as failure:
        sys.exit(f"{failure}: {failure.stderr}")
