"""`edged subscriber find`: who has an address, by the shipped example."""

from __future__ import annotations

import json

from tests.unit.cli.commands import Edged


def test_a_row_is_told_with_its_place(edged: Edged) -> None:
    assert edged("subscriber", "find", "2001:db8:d:9ff::1").stdout.splitlines() == [
        "2001:db8:d:9ff::1 is subscriber C-1001, no plan; subscribers.csv:10",
        "  prefixes: 203.0.113.9/32 2001:db8:d:900::/56",
        "  pool: dynamic",
    ]
    edged.rewrite("subscribers.csv", "2001:db8:d:900::/56,", "2001:db8:d:900::/56,business")
    assert edged("subscriber", "find", "203.0.113.9").stdout.startswith("203.0.113.9 is subscriber C-1001, plan business; ")


def test_an_address_without_a_row_is_its_own_subscriber(edged: Edged) -> None:
    assert edged("subscriber", "find", "203.0.113.65").stdout.splitlines() == [
        "203.0.113.65 is a subscriber of its own, 203.0.113.65/32: it is in no row of subscribers.csv",
        "  pool: static",
    ]
    edged.rewrite("edged.yaml", "subscriber_prefix: {ipv4: 32, ipv6: 64}", "subscriber_prefix: {ipv6: 56}")
    edged.rewrite("edged.yaml", "\nsubscribers: subscribers.csv", "")
    assert edged("subscriber", "find", "2001:db8:d:a01::1").stdout.splitlines() == [
        "2001:db8:d:a01::1 is a subscriber of its own, 2001:db8:d:a00::/56: no file of subscribers is named",
        "  pool: dynamic",
    ]


def test_an_address_outside_every_pool_is_said_to_be(edged: Edged) -> None:
    outside = "192.0.2.1 is in no pool: no policy takes it for a subscriber's"
    assert edged("subscriber", "find", "192.0.2.1").stdout.splitlines() == [outside]
    edged.rewrite("subscribers.csv", "C-1001,203.0.113.9", "C-1001,192.0.2.0/30")
    result = edged("subscriber", "find", "192.0.2.1")
    assert "subscribers.csv:10:1: prefixes: warning: 192.0.2.0/30 is in no pool; no policy" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "192.0.2.1 is subscriber C-1001, no plan; subscribers.csv:10"
    assert lines[-1] == outside


def test_json_says_the_same(edged: Edged) -> None:
    assert json.loads(edged("subscriber", "find", "--json", "198.51.100.31").stdout) == {
        "schema": "edged/v1/subscriber-find",
        "address": "198.51.100.31",
        "pool": "static",
        "id": "C-1002",
        "plan": None,
        "key": "203.0.113.66/31",
        "prefixes": ["203.0.113.66/31", "198.51.100.16/28", "2001:db8:5:200::/56"],
        "place": "subscribers.csv:11",
    }
    own = json.loads(edged("subscriber", "find", "--json", "192.0.2.1").stdout)
    assert (own["pool"], own["id"], own["key"], own["place"]) == (None, None, "192.0.2.1/32", None)


def test_wrong_files_answer_nothing(edged: Edged) -> None:
    edged.rewrite("subscribers.csv", "C-1002", "C-1001")
    result = edged("subscriber", "find", "203.0.113.9")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "subscribers.csv:11:1: id: 'C-1001' is in line 10 already" in result.stderr
    assert edged("subscriber", "find", "203.0.113").exit_code == 2
