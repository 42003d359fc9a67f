"""`edged lab` comes out right through the real daemon, and does not where anything at all is not as it should be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edged.addresses import Family
from edged.errors import EdgedError
from edged.lab import attempts, caps
from edged.lab.attempts import ATTEMPTS, Attempt
from edged.lab.caps import HELD, Held, NotMeasured, judge_caps, measure
from edged.lab.clients import Outcome
from edged.lab.example import shipped_example
from edged.lab.servers import start_servers
from edged.lab.topology import Topology
from edged.lab.torrent import Torrent
from edged.lab.trial import Lab
from tests.tiers import require

FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)
EDGED = [sys.executable, "-W", "error", "-m", "edged"]
STOPPED = {"op25b-refused", "op25b-replies", "ip53b-unsolicited", "spoof-from-subscriber", "spoof-from-outside"}
STOPPED |= {"blocklist-to-listed", "blocklist-from-listed"}
LAST_ATTEMPT = f"ok     IPv6  {ATTEMPTS[-1].who} -> {ATTEMPTS[-1].what}"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    if absent := [name for name in ("aria2c", "curl", "dig", "dnsmasq", "openssl") if shutil.which(name) is None]:
        require("netns", f"needs the command {', '.join(absent)}: `./bootstrap test` installs it")


def attempt(name: str) -> Attempt:
    return next(each for each in ATTEMPTS if each.name == name)


def one_round(*options: str | Path) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([*EDGED, "lab", "--once", "--json", *options], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def wrong(told: dict[str, Any]) -> list[str]:
    """What did not come out right, for whoever reads that the test failed."""
    families = [(each["attempt"], each[family.label]) for each in told["attempts"] for family in Family]
    families += [("caps", told["caps"][family.label]) for family in Family]
    return [f"{name}: {result}" for name, result in families if result["wrong"]]


def test_one_round_comes_out_right() -> None:
    code, told = one_round()
    assert (code, told["schema"], told["right"]) == (0, "edged/v1/lab", True), "\n".join(wrong(told))
    assert {each["attempt"] for each in told["attempts"]} == {each.name for each in ATTEMPTS}
    for each in told["attempts"]:
        for family in Family:
            result = each[family.label]
            assert result["seen"] == each["expected"]
            assert (each["expected"] == "passes") == (each["attempt"] not in STOPPED)
            expected = [{**each["counted_by"], "family": family.label, "packets": 1}] if each["counted_by"] else []
            assert result["counted"] == expected
    for family in Family:
        assert told["caps"][family.label]["right"], told["caps"]
        seen = told["caps"][family.label]["seen"]
        assert seen["allowed"] == 2_000_000, "of the shipped example"
        assert 1_700_000 < seen["torrent"] < 2_100_000
        assert seen["download"] > 20_000_000
        assert {each["class"] for each in seen["counted"]} == {"p2p"}


def test_it_says_so_where_a_policy_is_off(tmp_path: Path) -> None:
    example = shutil.copytree(shipped_example().parent, tmp_path / "rules")
    policy = example / "rules.d" / "20-op25b.yaml"
    policy.write_text(policy.read_text().replace("\nmode: enforce", "\nmode: off"))
    capping = example / "rules.d" / "50-caps.yaml"
    capping.write_text(capping.read_text().replace("\nmode: enforce", "\nmode: observe"))
    code, told = one_round("-c", example / "edged.yaml")
    assert (code, told["right"]) == (1, False)
    wrong = {each["attempt"]: each["ipv4"]["wrong"] and each["ipv6"]["wrong"] for each in told["attempts"]}
    assert {name for name, text in wrong.items() if text} == {"op25b-refused", "op25b-replies"}
    assert wrong["op25b-refused"].startswith("expected: refused at once; seen: passes (mail delivered")
    uncapped = {"right": False, "wrong": "no policy caps the class p2p of this subscriber", "seen": None}
    assert told["caps"] == {family.label: uncapped for family in Family}


def test_a_configuration_for_other_networks_is_refused(tmp_path: Path) -> None:
    example = shutil.copytree(shipped_example().parent, tmp_path / "rules") / "edged.yaml"
    example.write_text(
        example.read_text().replace("access: [lan0]", "access: [eth7]").replace("203.0.113.64/28", "203.0.113.80/28")
    )
    done = subprocess.run([*EDGED, "lab", "--once", "-c", example], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 6
    assert "gateway.access: it has no lan0; pools.static: 203.0.113.66 is not in it" in done.stderr


@pytest.mark.parametrize(
    ("number", "at", "code"),
    [(signal.SIGINT, "round 1: ", 0), (signal.SIGTERM, "ok     IPv6", 130), (signal.SIGTERM, LAST_ATTEMPT, 130)],
    ids=["ctrl-c-between-rounds", "sigterm-within-one", "sigterm-within-the-transfers"],
)
def test_it_goes_on_until_it_is_stopped_and_leaves_nothing(number: signal.Signals, at: str, code: int, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    # a signal may come between the opening of a socket and the line that would close it; its end leaves that to the interpreter
    command = [EDGED[0], "-W", "ignore::ResourceWarning", *EDGED[3:], "lab"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as lab:
        assert lab.stdout is not None
        told = []
        for line in iter(lab.stdout.readline, ""):
            told.append(line)
            if line.startswith(at):
                break
        lab.send_signal(number)
        rest, errors = lab.communicate(timeout=30)
    assert (lab.returncode, errors) == (code, ""), "".join((*told, rest))
    assert not list(Path("/run/netns").glob(f"edged-{lab.pid}*"))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def headless() -> Iterator[Lab]:
    """A lab whose daemon was killed without a chance to clean up."""
    with Lab(shipped_example()) as lab:
        lab.gateway.process.kill()
        lab.gateway.process.wait()
        yield lab


@FAMILIES
def test_without_the_daemon_the_policy_holds_and_the_missing_counters_are_told(headless: Lab, family: Family) -> None:
    """G-3, in the order of this file: the next test takes the table away."""
    result = headless.make(attempt("op25b-refused"), family)
    assert result.seen.outcome is Outcome.REFUSED
    assert result.wrong is not None
    assert result.wrong.startswith("the metrics page does not answer")


@FAMILIES
def test_without_the_table_the_mail_gets_out_and_that_is_told(headless: Lab, family: Family) -> None:
    gateway = headless.topology.gateway
    gateway.run(["nft", "delete", "table", "inet", "edged"])
    assert gateway.run(["nft", "list", "tables"], check=True).stdout == ""
    result = headless.make(attempt("op25b-refused"), family)
    assert result.seen.outcome is Outcome.PASSES
    assert result.wrong is not None
    assert result.wrong.startswith("expected: refused at once; seen: passes (mail delivered")


class Plain(NamedTuple):
    """The network and the servers, and no policy at all."""

    topology: Topology
    torrent: Torrent


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    with Topology() as topology:
        yield Plain(topology, start_servers(topology, tmp_path_factory.mktemp("servers")))


@pytest.fixture
def plain(served: Plain) -> Topology:
    return served.topology


@FAMILIES
@pytest.mark.parametrize("made", ATTEMPTS, ids=lambda made: made.name)
def test_without_a_policy_everything_passes(plain: Topology, made: Attempt, family: Family) -> None:
    """So that what the lab sees stopped, edged has stopped."""
    seen = made.make(plain, family)
    assert seen.outcome is Outcome.PASSES, seen


@FAMILIES
def test_without_a_policy_nothing_holds_the_torrent(served: Plain, family: Family) -> None:
    with pytest.raises(NotMeasured, match=r"^nothing held the torrent: its 256 MiB were there within \d+ s$"):
        measure(served.topology, served.torrent, family, after=10_000_000)
    assert not list(served.torrent.folder.glob("copy-*")), "its copy is removed"


def test_a_download_that_is_held_too_is_no_proof(served: Plain) -> None:
    """A line that slows everything is no cap: what is not the torrent has to pass."""
    at = served.topology
    at.gateway.run(
        ["tc", "qdisc", "add", "dev", "lan0", "root", "tbf", "rate", "24mbit", "burst", "32kb", "latency", "50ms"], check=True
    )
    try:
        seen = measure(at, served.torrent, Family.IPV4, after=1_000_000)
    finally:
        at.gateway.run(["tc", "qdisc", "delete", "dev", "lan0", "root"], check=True)
    assert 1_000_000 < seen.torrent < 24_000_000
    assert seen.torrent + seen.download < 26_000_000
    wrong = judge_caps(Held(round(seen.torrent), seen, {HELD: seen.moved}))
    assert wrong is not None
    assert wrong.startswith("expected: a download 10 times as fast; seen: torrent ")


def test_a_torrent_that_nobody_has_is_told(topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caps, "_BEGINNING", 1.0)
    (tmp_path / "www").mkdir()
    torrent = Torrent(tmp_path / "torrent", topology.web)
    torrent.write(tmp_path / "www")
    with pytest.raises(NotMeasured, match="the torrent moved 0 bytes in 1 s; aria2 said: "):
        measure(topology, torrent, Family.IPV4, after=1_000_000)


@FAMILIES
def test_a_refusal_by_the_server_is_not_taken_for_the_gateways(topology: Topology, family: Family) -> None:
    seen = attempt("op25b-refused").make(topology, family)  # nobody listens there
    assert seen.outcome is Outcome.OTHER
    assert "but 1 packets arrived" in seen.detail


@FAMILIES
@pytest.mark.parametrize("name", ["op25b-replies", "spoof-from-subscriber", "spoof-from-outside", "blocklist-to-listed"])
def test_silence_is_not_believed_where_nothing_passes_at_all(
    topology: Topology, family: Family, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_ARRIVAL", 0.2)
    block = "add table inet test; add chain inet test f { type filter hook forward priority 0; policy drop; }"
    topology.gateway.run(["nft", block], check=True)
    seen = attempt(name).make(topology, family)
    assert seen.outcome is Outcome.OTHER
    assert seen.detail.startswith("not so: ")


@FAMILIES
def test_an_answer_is_no_silence(plain: Topology, family: Family, tmp_path: Path) -> None:
    """OP-8 and IP-6: what is dropped gets no reset and no ICMP error either."""
    rules = "add table inet test; add chain inet test f { type filter hook forward priority 0; };"
    rules += "add rule inet test f tcp sport 25 reject; add rule inet test f udp dport 53 reject"
    plain.gateway.run(["nft", rules], check=True)
    try:
        for name in ("op25b-replies", "ip53b-unsolicited"):
            seen = attempt(name).make(plain, family)
            assert seen.outcome not in (Outcome.SILENCE, Outcome.PASSES), (name, seen)
    finally:
        plain.gateway.run(["nft", "delete", "table", "inet", "test"], check=True)


def test_a_server_that_does_not_come_up_is_told_with_its_own_words(topology: Topology, tmp_path: Path) -> None:
    with topology.web.socket(socket.AF_INET6, socket.SOCK_STREAM) as squatter:
        squatter.bind(("::", 80))
        with pytest.raises(EdgedError, match=r"(?s)the lab's web server ended with status 1; it said: .*Address already in use"):
            start_servers(topology, tmp_path)
