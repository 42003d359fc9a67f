"""The configuration as a whole: what it gives, and what it warns of; what it refuses is in tests/broken."""

from __future__ import annotations

import os
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.config.files import LARGEST, LARGEST_TABLE
from edged.config.gateway import PoolName
from edged.loader import InvalidConfiguration, Severity, load
from edged.policies import Ip53b, Op25b, Spoof
from edged.subscribers import Subscribers
from tests.unit.config.files import EDGED, FOLDER, NOW, loaded, refusal, warnings

OP25B, IP53B, SPOOF = "policy: op25b\n", "policy: ip53b\n", "policy: spoof\n"


def exempt(*items: str) -> str:
    return OP25B + "exempt:\n  subscribers:\n" + "".join(f"    - {{{item}, owner: noc, reason: ticket}}\n" for item in items)


def test_policies_come_in_their_order_of_precedence() -> None:
    configuration = loaded(a=IP53B, b=OP25B, c=SPOOF)
    assert [type(each.settings) for each in configuration.policies] == [Spoof, Op25b, Ip53b]
    assert [str(each.places.at("policy")) for each in configuration.policies] == [f"rules.d/{name}.yaml:1" for name in "cba"]


def test_files_are_all_that_were_read() -> None:
    configuration = loaded(a=IP53B, b=OP25B)
    assert configuration.files == (FOLDER / "edged.yaml", FOLDER / "rules.d/a.yaml", FOLDER / "rules.d/b.yaml")
    assert configuration.sources[FOLDER / "rules.d/b.yaml"] == OP25B.encode()


def test_subscribers_are_read_with_the_rest() -> None:
    text = "id,prefixes,plan\nc1,203.0.113.8/30 2001:db8:d::/56,\n"
    configuration = loaded(EDGED + "subscribers: subscribers.csv\nsubscriber_prefix: {ipv6: 48}\n", subscribers=text, a=SPOOF)
    assert configuration.files == (FOLDER / "edged.yaml", FOLDER / "rules.d/a.yaml", FOLDER / "subscribers.csv")
    assert configuration.sources[FOLDER / "subscribers.csv"] == text.encode()
    found = configuration.subscribers
    assert found.of(Family.IPV4, int(IPv4Address("203.0.113.9"))).id == "c1"
    assert found.of(Family.IPV6, int(IPv6Address("2001:db8:d:ff::1"))).id == "c1"
    own = found.of(Family.IPV6, int(IPv6Address("2001:db8:e:1::1")))
    assert (own.id, str(own.key)) == (None, "2001:db8:e::/48")
    assert str(found.of(Family.IPV4, int(IPv4Address("203.0.113.1"))).key) == "203.0.113.1/32"


def test_without_a_file_of_subscribers_everyone_is_their_own() -> None:
    assert loaded(a=SPOOF).subscribers == Subscribers()


class Planned(Spoof):
    """A policy that goes by plans."""

    def plan_names(self) -> tuple[str, ...]:
        return ("gold", "business")


def test_a_plan_that_no_policy_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    edged, text = EDGED + "subscribers: subscribers.csv\n", "id,prefixes,plan\nc1,203.0.113.8,\nc2,203.0.113.9,busines\n"
    assert loaded(edged, subscribers=text, a=SPOOF).subscribers.count_by_plan() == {None: 1, "busines": 1}
    monkeypatch.setattr("edged.loader.POLICIES", (Planned, Op25b))
    assert loaded(edged, subscribers=text.replace("busines", "business"), a=SPOOF).subscribers.count_by_plan()["business"] == 1
    with pytest.raises(InvalidConfiguration) as raised:
        loaded(edged, subscribers=text, a=SPOOF)
    assert str(raised.value) == "subscribers.csv:3:16: plan: unknown plan 'busines' (did you mean 'business'?)"


def test_of_a_file_of_nothing_but_mistakes_some_are_told_and_all_are_counted() -> None:
    text = "id,prefixes,plan\n" + "".join(f"c{number},203.0.113.1/31,\n" for number in range(3_000))
    with pytest.raises(InvalidConfiguration) as raised:
        loaded(EDGED + "subscribers: subscribers.csv\n", subscribers=text, a=SPOOF)
    lines = str(raised.value).splitlines()
    assert len(lines) == 1_001
    assert lines[0] == "subscribers.csv:2:4: prefixes: host bits are set in 203.0.113.1/31; write 203.0.113.0/31"
    assert lines[-1] == "subscribers.csv:1001:6: and 2000 more mistakes in this file"


def test_prefixes_in_no_pool_are_warned_of_once() -> None:
    edged = EDGED + "subscribers: subscribers.csv\n"
    inside = ["203.0.113.0/24", "0.0.0.0/0", "2001:db8:d::/48", "2001:db8:d:1::1", "203.0.113.127", "198.51.100.0/24"]
    outside = ["203.0.113.128/25", "198.51.101.0/24", "2001:db8:c::/48", "2001:db8:e::", "203.0.112.255", "255.255.255.255"]
    text = "id,prefixes,plan\n" + "".join(f"c{number},{prefix},\n" for number, prefix in enumerate(inside))
    assert loaded(edged, subscribers=text, a=SPOOF).warnings == ()
    for prefix in outside:
        (warning,) = loaded(edged, subscribers=f"{text}x,203.0.113.1 {prefix},\n", a=SPOOF).warnings
        assert (warning.line, warning.message.partition("/")[0]) == (len(inside) + 2, prefix.partition("/")[0])
    (warning,) = loaded(edged, subscribers=f"{text}x,{' '.join(outside)},\n", a=SPOOF).warnings
    assert warning.message.startswith("203.0.113.128/25 is in no pool, nor are 5 others; ")


def test_the_file_of_subscribers_may_be_larger_than_yaml_and_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "edged.yaml").write_text(EDGED + "subscribers: subscribers.csv\n")
    rows = tmp_path / "subscribers.csv"
    rows.write_bytes(b"id,prefixes,plan\n#" + b"#" * LARGEST)
    assert load(tmp_path / "edged.yaml", now=NOW).subscribers == Subscribers()
    with rows.open("r+b") as file:
        file.truncate(LARGEST_TABLE + 1)
    with pytest.raises(InvalidConfiguration) as raised:
        load(tmp_path / "edged.yaml", now=NOW)
    assert str(raised.value).splitlines()[-1] == "edged.yaml:5:14: subscribers: subscribers.csv is larger than 16 MiB"


def test_the_site_is_what_edged_yaml_says() -> None:
    configuration = loaded(EDGED + "never_block: [192.0.2.0/28]\n", a=SPOOF)
    site = configuration.site()
    assert (site.access, site.upstream) == (("lan0",), ("wan0",))
    assert site.pools == {PoolName.DYNAMIC: configuration.edged.pools.dynamic, PoolName.STATIC: configuration.edged.pools.static}
    assert str(site.never_block_origin) == "edged.yaml:5"


def test_the_table_is_that_of_every_policy_that_is_not_off() -> None:
    configuration = loaded(a=OP25B, b=IP53B + "mode: observe\n", c=SPOOF + "mode: off\n")
    policies = {rule.policy for rule in configuration.table(int(NOW.timestamp())).rules()}
    assert policies - {None} == {"op25b", "ip53b"}


def test_rules_know_their_file_and_line() -> None:
    rules = loaded(a="# mail\npolicy: op25b\naction: drop\n").table(int(NOW.timestamp())).rules()
    assert {str(rule.origin) for rule in rules if rule.origin} == {"rules.d/a.yaml:2", "rules.d/a.yaml:3"}


def test_an_exemption_that_is_over_is_in_no_set() -> None:
    text = exempt("prefix: 203.0.113.7, until: 2026-12-31")
    sets = loaded(a=text).table(int(NOW.timestamp())).sets_by_name
    assert "op25b_exempt4" in sets
    assert "op25b_exempt4" not in loaded(a=text).table(int(NOW.timestamp()) + 86400 * 365).sets_by_name


def test_overlaps_in_long_pools_are_found_in_one_pass() -> None:
    prefixes = ", ".join(f"10.{number >> 8}.{number & 255}.0/24" for number in range(20_000))
    found = warnings(EDGED.replace("198.51.100.0/24", f"{prefixes}, 10.3.7.128/25"), a=OP25B)
    assert [line.partition("warning: ")[2].partition(",")[0] for line in found] == [
        "10.3.7.128/25 lies within 10.3.7.0/24 of the same pool"
    ]


def test_many_exemptions_of_many_pools_are_looked_at_in_one_pass() -> None:
    pools = ", ".join(f"10.{number >> 8}.{number & 255}.0/24" for number in range(4_000))
    items = [f"prefix: 10.{number >> 8}.{number & 255}.7, until: 2027-03-31" for number in range(4_000)]
    items[1000:1000] = ["prefix: 10.3.6.0/23, until: 2027-03-31", "prefix: 10.99.0.1, until: 2027-03-31"]
    began = time.monotonic()
    found = loaded(EDGED.replace("203.0.113.0/25", pools), a=exempt(*items)).warnings
    assert time.monotonic() - began < 15  # pairwise it would take minutes
    assert [(each.line, each.message.partition(";")[0]) for each in found] == [
        (1004, "10.3.6.0/23 exempts all of pool prefix 10.3.6.0/24"),
        (1005, "no address of 10.99.0.1/32 is covered by this policy (pools: dynamic)"),
    ]


def test_an_unchanged_file_does_not_fail_by_itself() -> None:
    text = exempt("prefix: 203.0.113.7, until: 2027-03-31")
    later = NOW.replace(year=2030)
    assert [problem.severity for problem in loaded(a=text, now=later).warnings] == [Severity.WARNING]


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        load(Path("/nonexistent/edged/edged.yaml"), now=NOW)
    assert str(raised.value) == "edged.yaml:1:1: the file does not exist"
    assert raised.value.exit_code == 3


def test_a_relative_path_is_one_of_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d/10-mail.yaml").write_text(OP25B)
    (tmp_path / "edged.yaml").write_text(EDGED)
    monkeypatch.chdir(tmp_path)
    configuration = load(Path("edged.yaml"), now=NOW)
    assert configuration.path == tmp_path / "edged.yaml"
    assert configuration.files[1] == tmp_path / "rules.d/10-mail.yaml"


def test_files_that_are_none(tmp_path: Path) -> None:
    rules = tmp_path / "rules.d"
    rules.mkdir()
    (tmp_path / "edged.yaml").write_text(EDGED)
    os.mkfifo(rules / "10-fifo.yaml")
    (rules / "20-loop.yaml").symlink_to("20-loop.yaml")
    (rules / "30-gone.yaml").symlink_to("nowhere")
    (rules / "40-large.yaml").write_bytes(b"#" * (LARGEST + 1))
    (rules / "50-null.yaml").symlink_to("/dev/null")
    (rules / "60\n.yaml").write_text("policy: x\n")
    (rules / b"70\xff.yaml".decode(errors="surrogateescape")).write_text("policy: x\n")
    with pytest.raises(InvalidConfiguration) as raised:
        load(tmp_path / "edged.yaml", now=NOW)
    unknown = "policy: expected 'spoof', 'blocklist', 'op25b', 'ip53b' or 'caps', got 'x'"
    assert str(raised.value).encode().decode().splitlines() == [
        "rules.d/10-fifo.yaml:1:1: the file is not a regular file",
        "rules.d/20-loop.yaml:1:1: the file cannot be read: too many levels of symbolic links",
        "rules.d/30-gone.yaml:1:1: the file does not exist",
        "rules.d/40-large.yaml:1:1: the file is larger than 4 MiB; bulk data belongs into a list, not into YAML",
        "rules.d/50-null.yaml:1:1: the file is not a regular file",
        f"rules.d/60\\n.yaml:1:9: {unknown}",
        f"rules.d/70\\xff.yaml:1:9: {unknown}",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "edged.yaml").write_text(EDGED)
    (tmp_path / "edged.yaml").chmod(0)
    tmp_path.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setresuid(65534, 65534, 65534)
        try:
            load(tmp_path / "edged.yaml", now=NOW)
        except InvalidConfiguration as error:
            os._exit(0 if str(error) == "edged.yaml:1:1: the file cannot be read: permission denied" else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_wrong_edged_yaml_does_not_hide_the_rules_it_names() -> None:
    lines = refusal(EDGED + "rules: rules.d\nstate: 0\n", a=OP25B + "mode: on\n")
    assert [line.split(": ")[1] for line in lines] == ["state", "mode"]
