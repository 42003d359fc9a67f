"""What `--diff` shows: the flows that two policies treat, or take for a class, differently."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from edged.cli.root import edged
from edged.errors import ExitCode
from edged.inspect.sight import TrafficClass
from edged.replay.compare import differing
from edged.replay.writers import FlowRow

CASE = Path(__file__).parents[3] / "pcaps" / "class_quic"
ROW = FlowRow((0, 1), "one.pcap", "tcp", "203.0.113.9", 40001, "198.18.0.1", 443, "other", None, None, "accept", 7, 900)
P2P, STREAMING = TrafficClass.P2P, TrafficClass.STREAMING


@pytest.mark.parametrize(
    ("new", "shown"),
    [
        (ROW, None),
        (ROW._replace(hostname="a.example"), None),
        (ROW._replace(verdict="drop", policy="op25b"), "accept -> drop (op25b)"),
        (ROW._replace(class_=P2P), "class other -> p2p"),
        (ROW._replace(class_=STREAMING, verdict="drop", policy="op25b"), "accept -> drop (op25b); class other -> streaming"),
    ],
)
def test_a_flow_is_shown_where_its_verdict_or_its_class_changes(new: FlowRow, shown: str | None) -> None:
    found = [str(each) for each in differing([ROW], [new])]
    ends = "one.pcap: tcp 203.0.113.9:40001 -> 198.18.0.1:443"
    assert found == ([] if shown is None else [f"{ends}: {shown}, 7 packets"])


def test_flows_are_told_apart_by_their_first_packets() -> None:
    later = ROW._replace(first=(0, 5), cport=40002)
    [found] = differing([ROW, later], [later._replace(class_=P2P), ROW])
    assert found.document() == {
        "file": "one.pcap",
        "proto": "tcp",
        "client": "203.0.113.9",
        "cport": 40002,
        "server": "198.18.0.1",
        "sport": 443,
        "packets": 7,
        "old": {"verdict": "accept", "policy": None, "class": "other"},
        "new": {"verdict": "accept", "policy": None, "class": "p2p"},
    }


def test_another_file_of_streaming_hosts_shows_whose_class_it_changes(tmp_path: Path) -> None:
    shutil.copytree(CASE, tmp_path / "new")
    for hosts in (tmp_path / "new" / "hosts").iterdir():
        hosts.write_text("nobody.example\n")
    asked = [str(CASE / "edged.yaml"), str(tmp_path / "new" / "edged.yaml"), str(CASE / "input.pcap")]
    ran = CliRunner().invoke(edged, ["replay", "--json", "--diff", *asked])
    assert ran.exit_code == ExitCode.DIFFERENT, ran.output
    found = json.loads(ran.stdout)
    assert [(each["cport"], each["old"]["class"], each["new"]["class"]) for each in found["differing"]] == [
        (40001, "streaming", "other")
    ]
    same = CliRunner().invoke(edged, ["replay", "--diff", asked[0], asked[0], asked[2]])
    assert (same.exit_code, same.stdout.splitlines()[-1]) == (ExitCode.DONE, f"0 of {found['flows']} flows differ")
