"""check, render, plan, config: what is said of the files."""

from __future__ import annotations

import json

import pytest

from edged.cli import files, queueing
from edged.config.control import Control
from edged.config.gateway import EdgedFile
from edged.config.named import named_socket
from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from edged.lists.offline import in_force
from edged.queueing.diff import diff
from edged.queueing.plan import ChangeClass, RemoveClass
from edged.queueing.tree import Rate
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


def test_render_prints_the_table_and_tells_of_the_queueing_where_nft_passes_over_it(edged: Edged) -> None:
    edged.rewrite("rules.d/50-caps.yaml", "pool: 2048", "pool: 300")
    content = edged.json("render")
    text = edged("render").stdout
    assert text.startswith("table inet edged {\n")
    assert text.startswith(content["nft"])
    assert text[len(content["nft"]) :].splitlines() == [
        "# queueing of lan0: htb, 300 classes of 100gbit until leased, in each fq_codel",
        "# queueing of wan0: htb, 300 classes of 100gbit until leased, in each fq_codel",
        "# as tc commands: edged render --tc",
    ]


def test_render_prints_the_queueing_tree_as_commands(edged: Edged) -> None:
    edged.rewrite("rules.d/50-caps.yaml", "pool: 2048", "pool: 2")
    lines = edged("render", "--tc").stdout.splitlines()
    assert lines == edged.json("render")["tc"]
    assert lines[0] == "tc qdisc add dev lan0 root handle ed: htb default 0 direct_qlen 1000"
    assert [line.split()[:3] for line in lines].count(["tc", "class", "add"]) == 2 * 3
    assert [line for line in lines if "cake" in line]


def test_render_says_that_nothing_is_queued(edged: Edged) -> None:
    edged.rewrite("rules.d/50-caps.yaml", "mode: enforce", "mode: observe")
    assert edged("render").stdout.splitlines()[-1].startswith("# no queueing")
    assert edged("render", "--tc").stdout.startswith("# no queueing")
    assert edged.json("render")["tc"] == []


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
    assert result.stdout.splitlines()[0] == "nothing to do: the table is as the files ask"


def test_plan_tells_what_the_daemon_would_do_to_the_queueing_and_does_nothing(edged: Edged, traffic: FakeTrafficControl) -> None:
    edged.rewrite("rules.d/50-caps.yaml", "pool: 2048", "pool: 2")
    traffic.devices["wan0"].foreign = "tbf"
    lines = edged("plan").stdout.splitlines()
    assert "queueing, by the daemon: lan0: add the root htb, add a class (3 times), add a leaf cake (2 times)" in lines
    stays = "up: wan0 has a root qdisc that is not edged's (tbf); it stays as it is, and nothing is shaped there"
    assert f"queueing, as it is: {stays}; heavy flows are policed" in lines
    content = edged.json("plan")
    assert (len(content["tc"]), len(content["tc_stays"])) == (1 + 3 + 2, 1)
    assert traffic.devices == {"lan0": FakeDevice(), "wan0": FakeDevice(foreign="tbf")}


def test_plan_tells_of_a_foreign_root_that_would_be_replaced(edged: Edged, traffic: FakeTrafficControl) -> None:
    traffic.devices["wan0"].foreign = "tbf"
    edged.rewrite("rules.d/50-caps.yaml", "replace_qdiscs: []", "replace_qdiscs: [wan0]")
    lines = edged("plan").stdout.splitlines()
    assert [line for line in lines if line.startswith("queueing, by the daemon: wan0: replace the root tbf by htb, add")]
    assert not [line for line in lines if line.startswith("queueing, as it is")]


def test_plan_takes_the_leases_of_a_running_daemon_as_they_are(edged: Edged, traffic: FakeTrafficControl) -> None:
    edged.rewrite("rules.d/50-caps.yaml", "pool: 2048", "pool: 2")
    assert edged("apply").exit_code == 0
    trees = queueing.trees(files.load_configuration(edged.path))
    traffic.apply(diff(trees, traffic.observe()).steps)
    assert edged("plan").stdout == "nothing to do: the kernel is as the files ask\n"
    leased = trees[0].shaper.classes[1]
    traffic.apply([ChangeClass("lan0", leased, Rate(2_000_000))])
    assert edged("plan").stdout == "nothing to do: the kernel is as the files ask\n"
    traffic.apply([RemoveClass("lan0", leased)])
    assert "queueing, by the daemon: lan0: add a class, add a leaf cake\n" in edged("plan").stdout
    edged.rewrite("rules.d/50-caps.yaml", "mode: enforce", "mode: observe")
    assert "queueing, by the daemon: lan0: remove the root htb\n" in edged("plan").stdout


def test_a_qdisc_may_be_replaced_on_an_interface_of_the_gateway_alone(edged: Edged) -> None:
    edged.rewrite("rules.d/50-caps.yaml", "replace_qdiscs: []", "replace_qdiscs: [wna0, lan0]")
    (line, _) = edged("check").stderr.splitlines()
    place = "rules.d/50-caps.yaml:"
    assert line.startswith(place)
    assert line.endswith("expected an interface of edged.yaml (lan0, wan0), got 'wna0' (did you mean 'wan0'?)")


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
    assert Control().path == files.DEFAULT_SOCKET
    assert EdgedFile.model_fields["state"].default == files.DEFAULT_STATE


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("control: run/c.sock\n", "run/c.sock"),
        ("control: 'run/c.sock' # ours\n", "run/c.sock"),
        ("control: {path: run/c.sock, group: noc}\n", "run/c.sock"),
        ('control: {group: noc, path: "run/c.sock"} # ours\r\n', "run/c.sock"),
        ("control:\n  group: noc\n\n  # where\n  path: run/c.sock\nstate: x\n", "run/c.sock"),
        ("control: # ours\r\n  path: run/c.sock\r\n", "run/c.sock"),
        ("control: {group: noc}\nmetrics:\n  path: no\n", None),
        ("control:\n  group: noc\nother:\n  path: no\n", None),
        ("control: {group: noc} # path: no\n", None),
        ("state: x\n", None),
    ],
)
def test_the_socket_is_found_without_reading_yaml(text: str, path: str | None) -> None:
    assert named_socket(text.encode()) == path
