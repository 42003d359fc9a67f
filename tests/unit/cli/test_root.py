"""The command line as a whole: help, versions, exit codes, imports, and what is said when edged itself fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edged import __version__
from edged.cli.root import COMMANDS
from tests.unit.cli.commands import RULES, Edged

HEAVY = ("scapy", "pyroute2", "pydantic", "aiohttp", "prometheus_client", "rich", "yaml", "asyncio")


def modules_after(code: str) -> set[str]:
    """Which of HEAVY a fresh interpreter has loaded after the code."""
    program = f"{code}\nimport sys\nprint('loaded', *sorted({{name.partition('.')[0] for name in sys.modules}} & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def after_command(*arguments: str) -> set[str]:
    return modules_after(
        f"from edged.cli.root import edged\ntry: edged({list(arguments)!r}, prog_name='edged')\nexcept SystemExit: pass"
    )


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert modules_after("import edged.cli") == set()


def test_all_commands_help_loads_nothing_heavy() -> None:
    assert after_command("--help") == set()


@pytest.mark.parametrize("command", ["status", "confirm", "reload"])
def test_what_talks_to_the_daemon_loads_no_configuration_machinery(command: str) -> None:
    assert after_command(command, "-c", str(RULES / "edged.yaml"), "--socket", "/nowhere.sock") <= {"yaml", "rich"}


def test_check_loads_no_netlink_and_no_tables() -> None:
    assert after_command("check", "-c", str(RULES / "edged.yaml")) == {"pydantic", "yaml"}


def test_version(edged: Edged) -> None:
    assert edged("--version").stdout == f"edged {__version__}\n"


def test_the_help_page_lists_every_command_and_the_exit_codes(edged: Edged) -> None:
    result = edged("--help")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.partition("Commands:")[2].splitlines() if line.startswith("  ")]
    assert listed[: len(COMMANDS)] == list(COMMANDS)
    assert "8 working, but with less than the" in result.stdout
    assert "_EDGED_COMPLETE=bash_source edged" in result.stdout


@pytest.mark.parametrize("command", list(COMMANDS))
def test_each_command_has_help_with_examples_as_they_are_typed(edged: Edged, command: str) -> None:
    result = edged(command, "--help")
    assert result.exit_code == 0
    examples = result.stdout.partition("\nExamples:\n")[2]
    assert any(line.startswith("  ") and f"edged {command}" in line for line in examples.splitlines()), result.stdout
    assert edged(command, "-h").stdout == result.stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("blocklist", "config", "lab", "subscriber")])
def test_each_command_takes_the_configuration(edged: Edged, command: str) -> None:
    text = " ".join(edged(command, "--help").stdout.split())
    assert "-c, --config FILE" in text
    assert "EDGED_CONFIG" in text
    assert "/etc/edged/edged.yaml" in text


def test_completion_is_offered() -> None:
    environment = {**os.environ, "_EDGED_COMPLETE": "bash_complete", "COMP_WORDS": "edged ex", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "edged"], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "plain,explain"


@pytest.mark.parametrize("arguments", [["frobnicate"], ["check", "--frobnicate"], ["check", "extra"], ["config", "schema", "x"]])
def test_usage_errors_are_exit_2(edged: Edged, arguments: list[str]) -> None:
    result = edged(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_ctrl_c_is_exit_130_without_a_traceback(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edged.cli.kernel.make_kernel", interrupt)
    result = edged("plan")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_says_what_still_holds(edged: Edged, monkeypatch: pytest.MonkeyPatch, *, debug: bool) -> None:
    def break_down() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("edged.cli.kernel.make_kernel", break_down)
    result = edged(*(["--debug"] if debug else []), "plan")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("edged: this is a defect in edged (ZeroDivisionError: by zero). The policy in the kernel is unchanged")
    assert ("Traceback" in result.stderr) is debug
    assert ("--debug" in last) is not debug


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m edged render -c {RULES / 'edged.yaml'} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == "141\n"
