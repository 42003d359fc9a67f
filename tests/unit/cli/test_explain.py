"""explain: the verdict, the line that decides it, and the line of the list that lets a packet through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.commands import Edged


def place(edged: Edged, name: str, text: str) -> str:
    """file:line of the first line of a rules file that holds the text and is no comment."""
    lines = (edged.path.parent / name).read_text().splitlines()
    return f"{name}:{next(i for i, line in enumerate(lines, 1) if text in line and not line.lstrip().startswith('#'))}"


def ask(edged: Edged, src: str, dst: str, proto: str, *more: str) -> dict[str, object]:
    return edged.json("explain", "--src", src, "--dst", dst, "--proto", proto, *more)


def test_a_refused_packet_names_policy_rule_and_line(edged: Edged) -> None:
    answer = ask(edged, "203.0.113.9", "192.0.2.200", "tcp", "--dport", "25")
    assert (answer["verdict"], answer["policy"]) == ("reject", "op25b")
    assert answer["rule"] == place(edged, "rules.d/20-op25b.yaml", "action: reject")
    assert answer["name"] == "op25b_refuse.reset.ip"
    assert (answer["exempted_by"], answer["observed"]) == (None, [])
    matched = [rule["name"] for rule in answer["matched"]]  # type: ignore[attr-defined]
    assert matched[0] == "from_access.lan0"
    assert matched[-1] == "op25b_refuse.reset.ip"


def test_the_sentence_says_why(edged: Edged) -> None:
    line = edged(
        "explain", "--src", "203.0.113.9", "--dst", "192.0.2.200", "--proto", "tcp", "--dport", "25"
    ).stdout.splitlines()[0]
    where = place(edged, "rules.d/20-op25b.yaml", "action: reject")
    assert line == (
        "refused with a TCP reset: op25b stops it, as it is TCP to port 25, 203.0.113.9 (pool dynamic) is in set op25b_pool4; "
        f"{where}"
    )


@pytest.mark.parametrize(
    ("src", "dst", "proto", "more", "verdict", "policy"),
    [
        ("2001:db8:d::9", "2001:db8:f::1", "tcp", ["--dport", "25"], "reject", "op25b"),
        ("203.0.113.70", "192.0.2.200", "tcp", ["--dport", "25"], "accept", None),  # static inside dynamic
        ("203.0.113.9", "192.0.2.200", "tcp", ["--dport", "587"], "accept", None),
        ("203.0.113.9", "192.0.2.200", "tcp", ["--dport", "465"], "accept", None),
        ("192.0.2.200", "203.0.113.9", "tcp", ["--sport", "25", "--dport", "50000"], "drop", "op25b"),
        ("192.0.2.200", "203.0.113.9", "udp", ["--dport", "53"], "drop", "ip53b"),
        ("192.0.2.200", "203.0.113.9", "udp", ["--sport", "53", "--dport", "53", "--reply"], "accept", None),
        ("192.0.2.200", "203.0.113.9", "udp", ["--sport", "53", "--dport", "53"], "drop", "ip53b"),
        ("192.0.2.200", "203.0.113.9", "udp", ["--dport", "53", "--state", "invalid"], "drop", "ip53b"),
        ("192.0.2.200", "203.0.113.9", "udp", ["--dport", "53", "--state", "untracked"], "drop", "ip53b"),
        ("192.0.2.200", "203.0.113.9", "tcp", ["--dport", "53"], "accept", None),
        ("10.9.9.9", "192.0.2.200", "icmp", ["--from", "access"], "drop", "spoof"),
        ("203.0.113.9", "198.51.100.1", "icmp", ["--from", "upstream"], "drop", "spoof"),
        ("203.0.113.9", "192.0.2.200", "47", [], "accept", None),
        ("203.0.113.9", "198.51.100.1", "tcp", ["--dport", "25"], "accept", None),  # scope: external
    ],
)
def test_verdicts_of_the_shipped_example(
    edged: Edged, src: str, dst: str, proto: str, more: list[str], verdict: str, policy: str | None
) -> None:
    answer = ask(edged, src, dst, proto, *more)
    assert (answer["verdict"], answer["policy"]) == (verdict, policy)
    assert (answer["rule"] is None) == (verdict == "accept")


def test_an_exempt_server_is_named_with_its_line_and_prefix(edged: Edged) -> None:
    answer = ask(edged, "203.0.113.9", "192.0.2.25", "tcp", "--dport", "25")
    where = place(edged, "rules.d/20-op25b.yaml", "destinations:")
    assert answer["verdict"] == "accept"
    assert answer["exempted_by"] == {
        "policy": "op25b",
        "rule": where,
        "name": "op25b_up.server.ip",
        "entry": where,
        "prefix": "192.0.2.25/32",
        "until": None,
    }


def test_an_exempt_subscriber_is_named_with_end_and_owner(edged: Edged) -> None:
    question = ("--src", "203.0.113.7", "--dst", "192.0.2.200", "--proto", "tcp", "--dport", "25")
    exempted = edged.json("explain", *question)["exempted_by"]
    assert exempted["entry"] == place(edged, "rules.d/20-op25b.yaml", "prefix: 203.0.113.7/32")
    assert exempted["until"] > 1_700_000_000
    line = edged("explain", *question).stdout.splitlines()[0]
    assert line.startswith(
        "passes: op25b lets it through, as it is TCP to port 25, 203.0.113.7 (pool dynamic) is in set op25b_exempt4; "
    )
    assert "203.0.113.7/32, until 2027-" in line
    assert line.endswith("for noc: ticket 4711)")


def test_a_far_end_that_is_never_blocked_says_so(edged: Edged) -> None:
    answer = ask(edged, "203.0.113.9", "192.0.2.5", "tcp", "--dport", "25")
    exempted = answer["exempted_by"]
    assert isinstance(exempted, dict)
    assert (answer["verdict"], exempted["policy"], exempted["prefix"]) == ("accept", None, "192.0.2.0/28")
    assert exempted["entry"] == place(edged, "edged.yaml", "never_block:").replace("rules.d/", "")


def test_what_observe_would_have_stopped_is_told(edged: Edged) -> None:
    edged.rewrite("rules.d/20-op25b.yaml", "mode: enforce", "mode: observe")
    question = ("--src", "203.0.113.9", "--dst", "192.0.2.200", "--proto", "tcp", "--dport", "25")
    answer = edged.json("explain", *question)
    where = place(edged, "rules.d/20-op25b.yaml", "action: reject")
    assert answer["verdict"] == "accept"
    assert answer["observed"] == [{"policy": "op25b", "rule": where, "name": "op25b_up.covered.ip"}]
    assert edged("explain", *question).stdout.startswith(f"passes: op25b in observe mode counts it and would stop it; {where}\n")


def test_what_is_assumed_is_said(edged: Edged) -> None:
    assumed = ask(edged, "203.0.113.9", "192.0.2.200", "tcp", "--dport", "587")["assumed"]
    assert assumed == [
        "it comes in from access, as its source is in pool dynamic",
        "it goes out to upstream, as its destination is in no pool",
        "source port 49152, which stands for any that no policy speaks of",
    ]
    told = ask(edged, "203.0.113.9", "192.0.2.200", "icmp", "--from", "access")["assumed"]
    assert told == ["it goes out to upstream, as its destination is in no pool"]


def test_a_wildcard_interface_gets_a_name_that_fits(edged: Edged) -> None:
    edged.rewrite("edged.yaml", "access: [lan0]", 'access: ["ppp*"]')
    output = edged("explain", "--src", "203.0.113.9", "--dst", "192.0.2.200", "--proto", "tcp", "--dport", "25").stdout
    assert output.startswith("refused")
    assert "in by ppp0, out by wan0" in output


def test_verbose_lists_every_rule_that_matched_as_nft_text(edged: Edged) -> None:
    output = edged("explain", "--src", "203.0.113.9", "--dst", "192.0.2.200", "--proto", "tcp", "--dport", "25", "-v").stdout
    rules = output.partition("matched:\n")[2].splitlines()
    assert [line.split()[0] for line in rules][:3] == ["from_access.lan0", "blocklist_up.enter", "blocklist_up.never-block"]
    assert rules[-1].endswith("reject with tcp reset")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--src", "203.0.113.9", "--dst", "2001:db8::1", "--proto", "tcp", "--dport", "25"], "--src is IPv4, --dst IPv6"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "tcp"], "--dport is missing: a tcp packet"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "17"], "--dport is missing: a udp packet"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "icmp", "--dport", "25"], "protocol 1 has no ports"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "tpc", "--dport", "25"], "'tpc' is neither a number"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "256"], "'256' is neither a number"),
        (["--src", "203.0.113", "--dst", "192.0.2.1", "--proto", "icmp"], "'203.0.113' is not an IPv4 or IPv6 address"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "tcp", "--dport", "0"], "0 is not in the range"),
        (["--dst", "192.0.2.1", "--proto", "icmp"], "Missing option '--src'"),
        (["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "icmp", "--reply", "--state", "new"], "exclude each other"),
        (
            ["--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "icmp", "--reply", "--state", "invalid"],
            "exclude each other",
        ),
    ],
)
def test_a_question_without_an_answer_is_a_usage_error_that_says_what_is_missing(
    edged: Edged, arguments: list[str], said: str
) -> None:
    result = edged("explain", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_fragment_is_not_guessed_at(edged: Edged) -> None:
    result = edged("explain", "--src", "2001:db8:d::9", "--dst", "2001:db8:f::1", "--proto", "44")
    assert result.exit_code == 1
    assert "fragment" in result.stderr


def test_wrong_files_explain_nothing(edged: Edged, tmp_path: Path) -> None:
    edged.rewrite("rules.d/20-op25b.yaml", "action: reject", "action: rejct")
    assert edged("explain", "--src", "203.0.113.9", "--dst", "192.0.2.1", "--proto", "icmp").exit_code == 3
