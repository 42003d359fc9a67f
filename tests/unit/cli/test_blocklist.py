"""`edged blocklist`, by the daemon and without one, and what other commands say of lists."""

from __future__ import annotations

from tests.unit.cli.commands import Edged, FakeDaemon


def test_the_daemon_is_asked_where_an_address_stands(edged: Edged, daemon: FakeDaemon) -> None:
    daemon.runs = True
    lines = edged("blocklist", "test", "192.0.2.66").stdout.splitlines()
    assert lines[0] == "192.0.2.66 is blocked: it is in 2 list entries"
    assert lines[1].startswith("  list drop, lists/drop:7: 192.0.2.64/26, in force since 2023-11-14T22:13:20Z (")
    assert lines[2].startswith("  list authority, entry 77123 (confidential), in force since ")
    assert daemon.asked == [("blocklist test", "192.0.2.66")]


def test_without_a_daemon_the_lists_are_read_here(edged: Edged) -> None:
    result = edged("blocklist", "test", "192.0.2.100")
    assert result.stdout.startswith("192.0.2.100 is blocked: it is in a list\n  list drop, lists/drop_v4.json:1: 192.0.2.96/28, ")
    assert edged("blocklist", "test", "192.0.2.112").stdout.splitlines()[1].startswith("  list drop, lists/drop_v4.json:2: ")
    assert edged("blocklist", "test", "192.0.2.120").stdout == "192.0.2.120 is in no list\n"


def test_what_allows_an_address_is_said(edged: Edged) -> None:
    edged.rewrite("rules.d/10-blocklist.yaml", "allow: [198.51.100.53]", "allow: [192.0.2.100]")
    lines = edged("blocklist", "test", "192.0.2.100").stdout.splitlines()
    assert lines[0] == "192.0.2.100 is in a list, and allowed"
    assert lines[-1].startswith("  allowed by rules.d/10-blocklist.yaml:")


def test_of_a_confidential_list_only_its_name_is_said(edged: Edged) -> None:
    output = edged("blocklist", "test", "192.0.2.66").output
    assert "list authority, an entry (confidential)" in output
    assert "authority.txt" not in output
    assert "authority.txt" not in edged("explain", "--src", "203.0.113.9", "--dst", "192.0.2.66", "--proto", "icmp").stdout


def test_it_says_so_where_no_list_is_configured(edged: Edged) -> None:
    (edged.path.parent / "rules.d/10-blocklist.yaml").unlink()
    result = edged("blocklist", "test", "192.0.2.66")
    assert result.exit_code == 1
    assert "no blocklist is configured" in result.stderr


def test_explain_names_the_list_and_its_line(edged: Edged) -> None:
    asked = ("explain", "--src", "192.0.2.100", "--dst", "203.0.113.9", "--proto", "udp", "--sport", "53", "--dport", "4500")
    output = edged(*asked).stdout
    assert output.startswith("dropped without a word: blocklist stops it, as 192.0.2.100 (in no pool) is in list drop, ")
    assert "lists/drop_v4.json:1 (192.0.2.96/28)" in output
    content = edged.json(*asked)
    assert content["policy"] == "blocklist"
    assert content["lists"] == [
        {"address": "192.0.2.100", "list": "drop", "place": "lists/drop_v4.json:1", "prefix": "192.0.2.96/28", "entry": None}
    ]


def test_check_ends_with_six_for_a_list_that_would_not_be_taken(edged: Edged) -> None:
    (edged.path.parent / "lists/drop_v4.json").write_text("<html>\n")
    result = edged("check")
    assert result.exit_code == 6
    assert "list drop is refused" in result.stderr
    content = edged.json("check", exit_code=6)
    assert (content["ok"], len(content["refused"])) == (False, 1)


def test_update_says_which_lists_are_asked(edged: Edged, daemon: FakeDaemon) -> None:
    daemon.runs = True
    assert edged("blocklist", "update").stdout == "asked: feed; `edged status` says what came of it\n"
    daemon.runs = False
    assert edged("blocklist", "update").exit_code == 4
