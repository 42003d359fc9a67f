"""check, render, plan, config: what is said of the files."""

from __future__ import annotations

import json

import pytest

from edged.cli import files
from edged.config.gateway import EdgedFile
from edged.kernel.fake import FakeHost, FakeKernel
from edged.lists.offline import in_force
from edged.ruleset.plan import Lock
from tests.unit.cli.commands import Edged


def test_check_says_what_is_right_in_one_line(edged: Edged) -> None:
    result = edged("check")
    assert result.exit_code == 0
    policies = "5 policies: spoof (enforce), blocklist (enforce), op25b (enforce), ip53b (enforce), caps (enforce)"
    assert result.stdout == f"ok: gw1, {policies}; 8 files\n"
    assert result.stderr == ""


def test_check_prints_every_problem_of_every_file_and_changes_nothing(edged: Edged) -> None:
    edged.rewrite("rules.d/20-op25b.yaml", "action: reject", "action: rejct")
    edged.rewrite("rules.d/30-ip53b.yaml", "mode: enforce", "mode: enforced")
    result = edged("check")
    assert result.exit_code == 3
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("rules.d/20-op25b.yaml:")
    assert "did you mean 'reject'?" in lines[0]
    assert lines[1].startswith("rules.d/30-ip53b.yaml:")
    assert lines[2] == "edged: 2 errors; nothing was changed"


def test_check_json_has_the_problems_with_their_places(edged: Edged) -> None:
    edged.rewrite("rules.d/20-op25b.yaml", "action: reject", "action: rejct")
    content = edged.json("check", exit_code=3)
    assert content["ok"] is False
    (problem,) = content["problems"]
    assert (problem["file"], problem["path"], problem["severity"]) == ("rules.d/20-op25b.yaml", "action", "error")
    assert problem["line"] > 1
    assert problem["column"] > 1


def test_a_warning_is_told_and_is_no_failure(edged: Edged) -> None:
    edged.rewrite("rules.d/20-op25b.yaml", "pools: [dynamic]", "pools: [dynamic, dynamic]")
    result = edged("check")
    assert result.exit_code == 0
    assert "warning" in result.stderr
    assert result.stdout.endswith("8 files, 1 warning\n")
    assert edged.json("check")["problems"][0]["severity"] == "warning"


def test_check_json_says_what_there_is(edged: Edged) -> None:
    content = edged.json("check")
    assert content["ok"] is True
    assert content["gateway"] == "gw1"
    assert content["policies"] == {
        "spoof": "enforce",
        "blocklist": "enforce",
        "op25b": "enforce",
        "ip53b": "enforce",
        "caps": "enforce",
    }
    assert len(content["files"]) == 8


def test_a_missing_file_is_an_invalid_configuration(edged: Edged) -> None:
    result = edged("check", "-c", "/nowhere/edged.yaml")
    assert result.exit_code == 3
    assert "/nowhere/edged.yaml" in result.stderr or "edged.yaml:1:1" in result.stderr


def test_render_prints_the_table_and_says_that_nothing_is_queued(edged: Edged) -> None:
    text = edged("render").stdout
    assert text.startswith("table inet edged {\n")
    assert text.rstrip().endswith("so there are no tc commands")
    assert text.rstrip().splitlines()[-1].startswith("# no queueing")
    content = edged.json("render")
    assert text.startswith(content["nft"])
    assert content["tc"] == []


def test_plan_on_an_empty_kernel_lists_the_steps_and_writes_nothing(edged: Edged, host: FakeHost) -> None:
    result = edged("plan")
    assert result.exit_code == 0
    assert result.stdout.startswith("create table inet edged")
    assert edged("plan", "--exit-code").exit_code == 5
    assert (host.table, host.generation) == (None, 1)


def test_plan_after_apply_has_nothing_to_do(edged: Edged) -> None:
    assert edged("apply").exit_code == 0
    result = edged("plan", "--exit-code")
    assert result.exit_code == 0
    assert result.stdout == "nothing to do: the kernel is as the files ask\n"


@pytest.mark.parametrize("missing", [frozenset(), frozenset({"table_persist"}), frozenset({"table_persist", "table_owner"})])
def test_plan_has_nothing_to_do_after_apply_whatever_hold_the_kernel_knows(
    edged: Edged, host: FakeHost, missing: frozenset[str]
) -> None:
    host.missing_features = missing
    assert edged("apply").exit_code == 0
    assert host.table is not None
    assert host.table.owner is None
    assert edged.json("plan")["changes"] == 0


@pytest.mark.parametrize("lock", [Lock.OWNER, Lock.OWNER_PERSIST])
def test_plan_compares_contents_beside_a_daemon_that_holds_the_table(edged: Edged, host: FakeHost, lock: Lock) -> None:
    from edged.enforce import enforce
    from edged.ruleset.plan import Desired

    table = in_force(files.load_configuration(edged.path)).table(0)
    daemon = FakeKernel(host)
    enforce(daemon, Desired(table, lock), lambda: 0.0)
    content = edged.json("plan", "--exit-code")
    assert (content["changes"], content["table"]) == (0, "another")
    edged.rewrite("rules.d/20-op25b.yaml", "mode: enforce", "mode: observe")
    content = edged.json("plan", "--exit-code", exit_code=5)
    assert any(step.startswith("chain op25b_up") for step in content["steps"])
    assert not any("table" in step for step in content["steps"])


def test_plan_with_wrong_files_looks_at_no_kernel(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.cli.kernel.make_kernel", lambda: pytest.fail("the kernel was opened"))
    edged.rewrite("rules.d/20-op25b.yaml", "action: reject", "action: rejct")
    assert edged("plan").exit_code == 3


@pytest.mark.parametrize("name", ["edged", "policy"])
def test_config_schema_prints_a_json_schema(edged: Edged, name: str) -> None:
    result = edged("config", "schema", name)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["$schema"].startswith("http://json-schema.org/")


def test_config_schema_is_that_of_edged_yaml_unless_told_otherwise(edged: Edged) -> None:
    assert edged("config", "schema").stdout == edged("config", "schema", "edged").stdout


def test_the_defaults_said_without_pydantic_are_those_of_the_configuration() -> None:
    assert EdgedFile.model_fields["control"].default == files.DEFAULT_SOCKET
    assert EdgedFile.model_fields["state"].default == files.DEFAULT_STATE
