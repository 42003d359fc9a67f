"""doctor: every question gets a finding, whatever else is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.doctor import machine
from edged.doctor.finding import Finding, Grade
from edged.doctor.machine import PACKAGES
from edged.doctor.promises import BYPASSED, TITLES, WEAKENS
from edged.doctor.sysctls import COUNTING, sysctls
from edged.errors import KernelError
from edged.kernel.bypasses import Bypass
from edged.kernel.fake import FakeHost
from edged.kernel.flowtables import Flowtable
from edged.kernel.foreignrules import ForeignRules
from edged.kernel.probe import FEATURES
from edged.kernel.tcfake import FakeTrafficControl
from edged.queueing.tree import Leaf
from tests.promises import PROMISES
from tests.unit.cli.commands import Edged, FakeDaemon


@pytest.fixture(autouse=True)
def _capable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rights of whoever runs the tests are no matter of these."""
    held = Finding("machine", "CAP_NET_ADMIN", Grade.OK, "held")
    monkeypatch.setattr(machine, "capability", lambda: held)


def findings(content: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in content["findings"]}


def test_all_features_are_asked_for_and_nothing_is_missing(edged: Edged) -> None:
    content = edged.json("doctor")
    found = findings(content)
    assert content["result"] in ("ok", "warn")
    assert FEATURES.keys() <= found.keys()
    assert PACKAGES.keys() <= found.keys()
    assert {found[name]["grade"] for name in FEATURES} == {"ok"}
    assert found["interface lan0"]["found"] == "there"
    assert found["bypasses"]["found"] == "none"
    assert [found[name]["found"] for name in ("htb", "fq_codel", "cake")] == ["works"] * 3
    assert found["qdisc of wan0"]["found"] == "the kernel's own, free to be replaced"


@pytest.mark.parametrize(
    ("feature", "grade", "code"),
    [
        ("table_owner", "missing", 8),
        ("table_persist", "warn", 0),
        ("reject", "missing", 8),
        ("queue", "ok", 0),
        ("queue_target", "ok", 0),
        ("named_limits", "missing", 8),
        ("destroy", "ok", 0),
    ],
)
def test_a_missing_feature_is_graded_by_what_is_lost(edged: Edged, host: FakeHost, feature: str, grade: str, code: int) -> None:
    host.missing_features = frozenset({feature})
    content = edged.json("doctor", exit_code=code)
    found = findings(content)[feature]
    assert found["grade"] == grade
    assert found["instead"] == FEATURES[feature].otherwise


def test_without_any_way_to_queue_packets_both_are_missing(edged: Edged, host: FakeHost) -> None:
    host.missing_features = frozenset({"queue", "queue_target"})
    found = findings(edged.json("doctor", exit_code=8))
    assert {found[name]["grade"] for name in ("queue", "queue_target")} == {"missing"}


def test_people_see_what_edged_does_instead(edged: Edged, host: FakeHost) -> None:
    host.missing_features = frozenset({"table_owner"})
    result = edged("doctor")
    assert result.exit_code == 8
    line = next(line for line in result.stdout.splitlines() if "table_owner" in line)
    assert line.startswith("missing")
    assert "anyone with CAP_NET_ADMIN can change it" in " ".join(result.stdout.split())


def test_a_kernel_that_cannot_be_asked_is_one_finding_among_the_others(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise KernelError("nftables may not be used by this process")

    monkeypatch.setattr("edged.cli.kernel.make_kernel", refuse)
    found = findings(edged.json("doctor", exit_code=8))
    assert (found["nftables"]["grade"], found["nftables"]["instead"]) == ("missing", "nftables may not be used by this process")
    assert "net.ipv4.ip_forward" in found


def test_wrong_files_are_one_finding_among_the_others(edged: Edged) -> None:
    edged.rewrite("rules.d/20-op25b.yaml", "action: reject", "action: rejct")
    found = findings(edged.json("doctor"))
    assert found[str(edged.path)]["found"] == "1 problems"
    assert "table_owner" in found


def test_no_files_at_all_are_one_finding_among_the_others(edged: Edged) -> None:
    result = edged("doctor", "-c", "/nowhere/edged.yaml")
    assert result.exit_code == 0, result.output
    assert "table_owner" in result.stdout


def test_flowtables_are_told_by_whether_they_hide_our_flows(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = Flowtable("inet", "fw", "ours", ("wan0",)), Flowtable("inet", "fw", "other", ("eth7",))
    monkeypatch.setattr("edged.cli.machine.foreign_flowtables", lambda: (ours, other))
    monkeypatch.setattr("edged.cli.machine.bypasses", lambda _site: (Bypass(f"flowtable {ours}", "why", "remove it"),))
    content = edged.json("doctor", exit_code=8)
    found = findings(content)
    assert (found[f"flowtable {ours}"]["grade"], found[f"flowtable {other}"]["grade"]) == ("missing", "warn")
    assert found[f"flowtable {ours}"]["weakens"] == [12, 19]
    told = " ".join(edged("doctor").stdout.split())
    assert "remove it; weakens promise 12 (The model says what the kernel does) and 19 (No packet slips past for its" in told


def test_every_promise_that_the_doctor_names_is_one_of_the_page() -> None:
    assert {number: PROMISES[number].title for number in TITLES} == TITLES
    assert {number for numbers in (*WEAKENS.values(), BYPASSED) for number in numbers} == TITLES.keys()
    assert WEAKENS.keys() <= FEATURES.keys()


def test_a_missing_feature_names_the_promises_that_hold_less(edged: Edged, host: FakeHost) -> None:
    host.missing_features = frozenset({"table_owner", "limit"})
    found = findings(edged.json("doctor", exit_code=8))
    assert (found["table_owner"]["weakens"], found["limit"]["weakens"]) == ([2, 3], [])
    told = " ".join(edged("doctor").stdout.split())
    assert "weakens promise 2 (kill -9 opens nothing) and 3 (A stranger's flush opens nothing)" in told


@pytest.mark.parametrize(
    ("rules", "grade", "code", "word"),
    [
        (ForeignRules("ip raw", untracks=True), "warn", 0, "notrack"),
        (ForeignRules("inet qos", writes=0x000000FF), None, 0, ""),
        (ForeignRules("inet qos", writes=0x00001FF), "missing", 8, "writes bits 0x00000100 of marks"),
        (ForeignRules("inet ips", queues=frozenset({0, 7})), "warn", 0, "queues packets to 0,"),
        (ForeignRules("inet ips", queues=frozenset({64})), None, 0, ""),
    ],
)
def test_other_programs_rules_that_meet_edgeds(
    edged: Edged, monkeypatch: pytest.MonkeyPatch, rules: ForeignRules, grade: str | None, code: int, word: str
) -> None:
    monkeypatch.setattr("edged.cli.machine.foreign_rules", lambda: (rules,))
    found = findings(edged.json("doctor", exit_code=code)).get(f"table {rules.table}")
    assert (found and found["grade"]) == grade
    assert found is None or word in found["found"]


def test_what_cards_do_ahead_of_the_kernel_is_told(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.kernel.ethtool.active_features", lambda name: {"rx-lro", "rx-gro"} if name == "wan0" else set())
    found = findings(edged.json("doctor"))
    assert found["rx-lro of wan0"]["grade"] == "warn"
    assert "ethtool -K wan0 lro off" in found["rx-lro of wan0"]["instead"]
    assert not {"rx-gro of wan0", "rx-lro of lan0"} & found.keys()


@pytest.mark.parametrize(
    ("replaced", "grade", "code", "word"),
    [("[]", "missing", 8, "replace_qdiscs of policy caps lets edged"), ("[lan0]", "warn", 0, "the daemon replaces it")],
)
def test_another_programs_qdisc_is_told_with_what_becomes_of_it(
    edged: Edged, traffic: FakeTrafficControl, replaced: str, grade: str, code: int, word: str
) -> None:
    traffic.devices["lan0"].foreign = "tbf"
    edged.rewrite("rules.d/50-caps.yaml", "replace_qdiscs: []", f"replace_qdiscs: {replaced}")
    found = findings(edged.json("doctor", exit_code=code))["qdisc of lan0"]
    assert (found["grade"], found["found"]) == (grade, "tbf, another program's")
    assert word in found["instead"]


@pytest.mark.parametrize(
    ("change", "grade", "code"),
    [
        (("mode: enforce", "mode: enforce"), "missing", 8),
        (("mode: enforce", "mode: off"), "ok", 0),
        (("pool: 2048", "pool: 0"), "ok", 0),
    ],
    ids=["caps", "no caps", "caps by policing alone"],
)
def test_htb_is_missed_where_flows_are_to_be_shaped(
    edged: Edged, traffic: FakeTrafficControl, change: tuple[str, str], grade: str, code: int
) -> None:
    traffic.htb = False
    edged.rewrite("rules.d/50-caps.yaml", *change)
    assert findings(edged.json("doctor", exit_code=code))["htb"]["grade"] == grade


@pytest.mark.parametrize(
    ("leaves", "pool", "grades"),
    [
        ({Leaf.BFIFO}, 2048, ("warn", "ok")),
        ({Leaf.BFIFO}, 20, ("warn", "warn")),
        ({Leaf.FQ_CODEL}, 20, ("ok", "ok")),
        ({Leaf.CAKE}, 20, ("ok", "ok")),
        ({Leaf.CAKE}, 2048, ("warn", "ok")),
    ],
)
def test_a_leaf_is_missed_where_none_as_good_is_there(
    edged: Edged, traffic: FakeTrafficControl, leaves: set[Leaf], pool: int, grades: tuple[str, str]
) -> None:
    traffic.leaves = frozenset(leaves)
    edged.rewrite("rules.d/50-caps.yaml", "pool: 2048", f"pool: {pool}")
    found = findings(edged.json("doctor"))
    assert (found["fq_codel"]["grade"], found["cake"]["grade"]) == grades


def test_subscribers_behind_a_wildcard_are_policed(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    edged.rewrite("edged.yaml", "access: [lan0]", "access: ['ppp*']")
    monkeypatch.setattr("edged.cli.machine.present_interfaces", lambda: frozenset({"ppp0", "wan0"}))
    found = findings(edged.json("doctor"))["qdisc of ppp*"]
    assert (found["grade"], found["found"]) == ("warn", "stands for devices that come and go")


def test_an_absent_interface_is_less_than_the_files_ask_for(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.cli.machine.present_interfaces", lambda: frozenset({"lan0"}))
    assert findings(edged.json("doctor", exit_code=8))["interface wan0"]["grade"] == "missing"


def test_a_running_daemon_is_told(edged: Edged, daemon: FakeDaemon) -> None:
    name = f"daemon on {edged.path.parent / 'control.sock'}"
    assert findings(edged.json("doctor"))[name]["grade"] == "warn"
    daemon.runs = True
    assert findings(edged.json("doctor"))[name]["found"] == "edged 0.1.0, pid 42"


def test_the_state_folder(tmp_path: Path) -> None:
    assert machine.state_folder(tmp_path).found == "writable"
    assert machine.state_folder(tmp_path / "a" / "b").found == "can be made"
    (tmp_path / "file").write_text("")
    assert machine.state_folder(tmp_path / "file" / "state").grade is Grade.MISSING


@pytest.mark.parametrize(("bits", "grade"), [("0000000000001000", Grade.OK), ("0000000000000800", Grade.MISSING)])
def test_the_capability_is_read_from_its_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str, grade: Grade) -> None:
    monkeypatch.undo()
    status = tmp_path / "status"
    status.write_text(f"Name:\tedged\nCapEff:\t{bits}\n")
    assert machine.capability(status).grade is grade


# --- sysctls ---


def proc(folder: Path, **values: str) -> Path:
    """A /proc/sys with these; two underscores stand for a slash."""
    for name, value in values.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return folder


def graded(folder: Path, *interfaces: str) -> dict[str, tuple[Grade, str]]:
    return {each.name: (each.grade, each.found) for each in sysctls(interfaces, folder)}


def test_a_gateway_as_it_should_be(tmp_path: Path) -> None:
    folder = proc(
        tmp_path,
        net__ipv4__ip_forward="1",
        net__ipv6__conf__all__forwarding="1",
        net__netfilter__nf_conntrack_tcp_loose="1",
        net__netfilter__nf_conntrack_max="1000",
        net__netfilter__nf_conntrack_count="800",
        net__ipv4__conf__all__rp_filter="0",
        net__ipv4__conf__lan0__rp_filter="2",
    )
    assert {grade for grade, _ in graded(folder, "lan0").values()} == {Grade.OK}


@pytest.mark.parametrize(("subscribers", "grade"), [(0, Grade.OK), (6_000, Grade.OK), (6_554, Grade.WARN)])
def test_conntrack_has_room_for_all_subscribers(tmp_path: Path, subscribers: int, grade: Grade) -> None:
    folder = proc(tmp_path, net__netfilter__nf_conntrack_max="65536", net__netfilter__nf_conntrack_count="0")
    (found,) = (each for each in sysctls((), folder, subscribers=subscribers) if each.name == "net.netfilter.nf_conntrack_max")
    assert found.grade is grade
    assert ("sysctl -w net.netfilter.nf_conntrack_max=65540" in found.instead) == (grade is Grade.WARN)


def test_what_keeps_packets_from_the_rules_is_told(tmp_path: Path) -> None:
    (tmp_path / "net/ipv4/conf/lan0.100").mkdir(parents=True)
    folder = proc(
        tmp_path,
        net__ipv4__ip_forward="0",
        net__ipv6__conf__all__forwarding="0",
        net__netfilter__nf_conntrack_max="1000",
        net__netfilter__nf_conntrack_count="801",
        net__bridge__bridge_nf_call="1",
        net__ipv4__conf__all__rp_filter="1",
    )
    (tmp_path / "net/bridge/bridge-nf-call-iptables").write_text("1\n")
    (tmp_path / "net/ipv4/conf/lan0.100/rp_filter").write_text("0\n")
    assert graded(folder, "lan0.100") == {
        "net.ipv4.ip_forward": (Grade.WARN, "0"),
        "net.ipv6.conf.all.forwarding": (Grade.WARN, "0"),
        "net.netfilter.nf_conntrack_tcp_loose": (Grade.OK, "absent"),
        "net.bridge.bridge-nf-call-iptables": (Grade.WARN, "1"),
        "net.netfilter.nf_conntrack_max": (Grade.WARN, "801 of 1000 used"),
        "net.ipv4.conf.lan0.100.rp_filter": (Grade.WARN, "1 (strict)"),
    }


@pytest.mark.parametrize(("value", "grade"), [("0", Grade.WARN), ("1", Grade.OK)])
def test_caps_want_connections_counted(tmp_path: Path, value: str, grade: Grade) -> None:
    folder = proc(tmp_path, net__netfilter__nf_conntrack_acct=value)
    found = {each.name: (each.grade, each.found) for each in sysctls((), folder, (COUNTING,))}
    assert found["net.netfilter.nf_conntrack_acct"] == (grade, value)


def test_doctor_asks_for_counting_where_caps_are_in_force(edged: Edged, host: FakeHost) -> None:
    name = "net.netfilter.nf_conntrack_acct"
    assert name in findings(edged.json("doctor"))


def test_a_machine_without_sysctls_is_told_and_survived(tmp_path: Path) -> None:
    assert graded(tmp_path)["net.ipv4.ip_forward"] == (Grade.WARN, "absent")
