"""The same captures give the same bytes, run after run and with any number of processes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from edged.cli.root import edged
from edged.errors import EdgedError
from edged.replay.jobs import spread
from edged.replay.part import Part, Work

ROOT = Path(__file__).parents[2]
CAPTURES = sorted(str(path) for path in (ROOT / "pcaps").glob("*/input.pcap"))


class Told(NamedTuple):
    document: dict[str, Any]
    packets: bytes
    flows: bytes
    junit: bytes


def told(folder: Path, *options: str) -> Told:
    expect = folder / "expect.yaml"
    expect.write_text(
        "- {filter: tcp.dport == 25, verdict: reject, count: '>= 1'}\n- {filter: udp, verdict: accept, count: '>= 1'}\n"
    )
    files = [folder / name for name in ("packets", "flows", "junit")]
    named = [word for file in files for word in (f"--{file.name}", str(file))]
    arguments = ["replay", "-c", str(ROOT / "rules/edged.yaml"), "--json", "--expect", str(expect), *named, *options, *CAPTURES]
    done = CliRunner().invoke(edged, arguments, prog_name="edged")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    del document["seconds"]
    packets, flows, junit = (file.read_bytes() for file in files)
    return Told(document, packets, flows, junit)


def without_times(junit: bytes) -> list[bytes]:
    return [line for line in junit.splitlines() if b"time=" not in line]


def test_a_second_run_and_three_processes_give_the_same_bytes(tmp_path: Path) -> None:
    once = told(tmp_path)
    assert once.document["packets"] > 500
    assert once.packets.count(b"\n") + once.document["unparsed"] == once.document["packets"]
    for options in ((), ("--jobs", "3")):
        again = told(tmp_path, *options)
        assert again[:3] == once[:3]
        assert without_times(again.junit) == without_times(once.junit)
    assert not list(tmp_path.glob(".edged-replay-*"))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_file_that_is_no_capture_is_named_whoever_read_it(tmp_path: Path, jobs: str) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"not a capture, but long enough to be one")
    arguments = ["replay", "-c", str(ROOT / "rules/edged.yaml"), "--jobs", jobs, CAPTURES[0], str(bad), CAPTURES[1]]
    done = CliRunner().invoke(edged, arguments, prog_name="edged")
    assert done.exit_code == 3
    assert f"{bad}: neither pcap nor pcapng" in done.output


class Killed(Work):
    def part(self, place: int, path: Path, packets: Path | None = None, progress: object = None) -> Part:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_process_that_is_killed_ends_the_replay_with_a_word() -> None:
    work = Killed(replay=None, in_force=())  # type: ignore[arg-type]
    with pytest.raises(EdgedError, match="was killed"):
        list(spread(work, [Path("a"), Path("b")], 2, None))


def test_the_kernel_is_not_asked_by_several_processes() -> None:
    arguments = ["replay", "-c", str(ROOT / "rules/edged.yaml"), "--engine", "kernel", "--jobs", "2", CAPTURES[0]]
    done = CliRunner().invoke(edged, arguments, prog_name="edged")
    assert done.exit_code == 2
    assert "one capture at a time" in done.output
