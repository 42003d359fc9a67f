"""The captures of pcaps/: complete, made by their make.py, and with the outcomes that they promise, by both engines."""

from __future__ import annotations

import csv
import json
import re
import runpy
import shlex
import shutil
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from edged.addresses import Address
from edged.cli.root import edged
from edged.inspect.engine import Inspector
from edged.loader import load
from edged.packet.decode import decode
from edged.packet.layers import Decoded
from edged.replay.arrival import Arrival, Side
from edged.replay.classes import Classifier
from edged.replay.expect_file import read_expectations
from edged.replay.filter_predicate import predicate
from edged.replay.filter_values import site_names
from edged.replay.readers import open_capture
from edged.replay.verdict import Judged, Judgement, Verdict
from tests.tiers import missing_for_namespaces, require

ROOT = Path(__file__).parents[2]
PCAPS = ROOT / "pcaps"
CASES = sorted(path for path in PCAPS.iterdir() if path.is_dir() and path.name != "__pycache__")

DOCUMENTATION = [
    ip_network(prefix) for prefix in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32")
]

# the kernel ends exemptions by its own clock, not by the capture's
MODEL_ALONE = {"op25b_exemption_ends_midway"}
BY_KERNEL = [case for case in CASES if case.name not in MODEL_ALONE]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def capture_of(case: Path) -> Path:
    (capture,) = case.glob("input.*")
    return capture


def policy_of(case: Path) -> Path:
    own = case / "edged.yaml"
    return own if own.exists() else ROOT / "rules/edged.yaml"


def options_of(case: Path) -> list[str]:
    options = case / "options"
    return shlex.split(options.read_text()) if options.exists() else []


def replay(case: Path, *options: str | Path, expect: Path | None = None) -> Result:
    arguments = ["replay", "-c", policy_of(case), *options_of(case), "--expect", expect or case / "expect.yaml", *options]
    return CliRunner(env={"COLUMNS": "200"}).invoke(edged, [*map(str, arguments), str(capture_of(case))], prog_name="edged")


def packets_of(case: Path) -> list[Judged]:
    """What a filter sees of the capture's packets that hold IP, as if none had been stopped."""
    hosts = load(policy_of(case), now=datetime.now(UTC)).streaming_hosts
    with open_capture(capture_of(case)) as capture:
        found = [(each, decode(each.data, each.link, each.original_length)) for each in capture]
    arrivals = [
        Arrival(str(case), each.number, each.nanoseconds, each.data, packet, Side.UPSTREAM)
        for each, packet in found
        if isinstance(packet, Decoded)
    ]
    looked_into = Classifier(Inspector(hosts)).looked_into(arrivals)
    return [Judged(arrival, Judgement(Verdict.ACCEPT)) for arrival in looked_into]


def is_for_documentation(address: Address) -> bool:
    return any(address in prefix for prefix in DOCUMENTATION)


def stays_on_link(address: Address) -> bool:
    return address.is_multicast or address.is_link_local or address.is_unspecified or str(address) == "255.255.255.255"


@every_case
def test_a_case_is_complete(case: Path) -> None:
    readme = (case / "README.md").read_text()
    assert 3 <= len([line for line in readme.splitlines() if line]) <= 10
    assert re.search(r"^Shows (([A-Z]{1,2}-\d+|link layers|file formats)(, |\.$))+", readme, re.MULTILINE)
    paths = [word for word in readme.split() if re.match(r"(rules|pcaps)/", word)]
    assert {ROOT / path for path in paths} == {policy_of(case), case / "expect.yaml", capture_of(case)}
    assert " ".join(options_of(case)) in readme
    assert {path.name for path in case.iterdir()} - {"__pycache__"} <= {
        *("make.py", "README.md", "expect.yaml", "options", "edged.yaml", "rules.d", "lists", "hosts"),
        capture_of(case).name,
    }
    assert capture_of(case).stat().st_size < 16 << 10


@every_case
def test_every_packet_is_meant_by_exactly_one_expectation(case: Path) -> None:
    site = load(policy_of(case), now=datetime.now(UTC)).site()
    path = case / "expect.yaml"
    expected = read_expectations(str(path), path.read_bytes(), site_names(site))
    means = [predicate(each.filter) for each in expected if each.count.last]  # a count of 0 may repeat what others mean
    for packet in packets_of(case):
        assert sum(mean(packet) for mean in means) == 1, packet


@every_case
def test_captures_hold_documentation_addresses_alone(case: Path) -> None:
    for packet in packets_of(case):
        ends = (packet.fields.family.address(end) for end in (packet.fields.source, packet.fields.destination))
        assert [end for end in ends if not is_for_documentation(end) and not stays_on_link(end)] == []


@every_case
def test_make_writes_the_committed_capture_byte_for_byte_and_only_when_it_is_run(case: Path, tmp_path: Path) -> None:
    copy = shutil.copy(case / "make.py", tmp_path)
    runpy.run_path(str(copy))
    assert [path.name for path in tmp_path.iterdir()] == ["make.py"]
    runpy.run_path(str(copy), run_name="__main__")
    assert (tmp_path / capture_of(case).name).read_bytes() == capture_of(case).read_bytes()


@every_case
def test_the_model_gives_what_is_expected(case: Path) -> None:
    result = replay(case)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("case", BY_KERNEL, ids=lambda case: case.name)
def test_the_kernel_gives_what_is_expected_and_what_the_model_gives(case: Path, tmp_path: Path) -> None:
    if reason := missing_for_namespaces():
        require("netns", reason)
    by_kernel = replay(case, "--engine", "kernel", "--packets", tmp_path / "kernel")
    assert by_kernel.exit_code == 0, by_kernel.output
    assert replay(case, "--packets", tmp_path / "model").exit_code == 0
    told = (tmp_path / "kernel").read_bytes()
    assert told == (tmp_path / "model").read_bytes()
    assert len(told.splitlines()) == len(packets_of(case))


def test_an_exemption_that_is_over_today_still_holds_in_an_old_capture(tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(PCAPS / "op25b_exemption_over", case)
    rules = case / "rules.d/20-op25b.yaml"
    rules.write_text(rules.read_text().replace("2021-03-31", "2026-11-10"))
    (case / "expect.yaml").write_text("- {filter: tcp, verdict: accept, count: 10}\n")
    result = replay(case)
    assert result.exit_code == 0, result.output


@every_case
def test_a_wrong_count_is_a_failure_that_tells_what_was_seen(case: Path, tmp_path: Path) -> None:
    expected = yaml.safe_load((case / "expect.yaml").read_text())
    right = expected[0]["count"]
    expected[0]["count"] += 1
    wrong = tmp_path / "expect.yaml"
    wrong.write_text(yaml.safe_dump(expected))
    result = replay(case, expect=wrong)
    assert result.exit_code == 1, result.output
    assert f"{right + 1} {expected[0]['verdict']}" in result.output
    assert f"got {right}; " in result.output


def test_confidential_addresses_are_in_no_output(tmp_path: Path) -> None:
    case = PCAPS / "blocklist_confidential"
    told = replay(case, "--packets", tmp_path / "packets", "--json")
    assert json.loads(told.stdout)["policies"]["blocklist"]["drop"] == 3
    everything = told.output + (tmp_path / "packets").read_text() + (case / "expect.yaml").read_text()
    assert not re.search(r"192\.0\.2\.66|2001:db8:a::66", everything)


@pytest.mark.parametrize("case", ["class_tls_split", "class_quic"])
def test_a_host_name_is_in_the_rows_of_flows_and_in_no_other_output(case: str, tmp_path: Path) -> None:
    names = ("--packets", "--flows", "--junit")
    told = replay(PCAPS / case, "--json", *(word for name in names for word in (name, tmp_path / name)))
    people = replay(PCAPS / case)
    everything = told.output + people.output + (tmp_path / "--packets").read_text() + (tmp_path / "--junit").read_text()
    assert not re.search(r"(video|other)\.example", everything)
    rows = list(csv.DictReader((tmp_path / "--flows").read_text().splitlines()))
    assert [(row["class"], row["hostname"]) for row in rows] == [
        ("streaming", "cdn.video.example"),
        ("other", "www.other.example"),
    ]
    flows, packets = {"class_tls_split": (1, 5), "class_quic": (1, 2)}[case]
    assert json.loads(told.stdout)["classes"]["p2p"] == {"flows": 0, "packets": 0, "bytes": 0}
    streaming = json.loads(told.stdout)["classes"]["streaming"]
    assert (streaming["flows"], streaming["packets"]) == (flows, packets)


def test_a_flow_that_a_policy_stopped_has_no_class(tmp_path: Path) -> None:
    told = replay(PCAPS / "class_stopped", "--json", "--flows", tmp_path / "flows")
    rows = list(csv.DictReader((tmp_path / "flows").read_text().splitlines()))
    assert [(row["server"], row["class"], row["policy"]) for row in rows] == [
        ("192.0.2.100", "other", "blocklist"),
        ("198.19.66.6", "p2p", ""),
    ]
    assert json.loads(told.stdout)["classes"]["p2p"] == {"flows": 1, "packets": 2, "bytes": 216}


@pytest.mark.parametrize(("case", "packets"), [("op25b_observe", 9), ("blocklist_observe", 5), ("spoof_observe", 2)])
def test_observe_counts_what_enforce_would_stop(case: str, packets: int) -> None:
    told = json.loads(replay(PCAPS / case, "--json").stdout)
    assert told["verdicts"]["accept"] == told["packets"]
    assert told["policies"][case.removesuffix("_observe")] == {"drop": 0, "reject": 0, "observe": packets}


def test_a_truncated_capture_is_read_up_to_its_damage_with_a_warning() -> None:
    result = replay(PCAPS / "file_truncated", "--json")
    assert json.loads(result.stdout)["packets"] == 5
    assert "the file ends within record 6" in result.stderr


def test_what_is_not_ip_is_counted_as_unparsed() -> None:
    told = json.loads(replay(PCAPS / "link_not_ip", "--json").stdout)
    assert (told["packets"], told["unparsed"]) == (9, 3)


def test_the_table_names_every_case_once_with_its_title_and_statements() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(\1\) \| (.*) \| (.*) \|$", (PCAPS / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == [case.name for case in CASES]
    for name, shows, title in rows:
        readme = (PCAPS / name / "README.md").read_text()
        assert readme.startswith(f"# {title}\n")
        assert f"\nShows {shows}.\n" in readme


def test_every_statement_about_port_policies_spoofing_and_fragments_has_a_case_or_needs_none() -> None:
    shown = set(re.findall(r"[A-Z]{1,2}-\d+", (PCAPS / "README.md").read_text()))
    assert {f"OP-{number}" for number in range(1, 11)} <= shown
    assert {f"IP-{number}" for number in range(1, 10)} <= shown
    assert {"AS-1", "AS-2", "AS-4", "AS-5", "BL-1", "BL-2", "BL-3", "BL-10", "PK-1", "PK-2", "PK-3", "PK-4", "PK-5"} <= shown
