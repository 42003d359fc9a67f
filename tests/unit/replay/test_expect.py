"""Expectations: the file with its mistakes, and what is said of those that held and of those that did not."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.problem import InvalidConfiguration
from edged.errors import ExitCode
from edged.origin import Origin
from edged.replay.expect import Expectation, Expectations, Result, Seen
from edged.replay.expect_file import read_expectations
from edged.replay.verdict import Judged, Judgement, Verdict
from tests.unit.replay.judging import NAMES, UDP, judged, packet, rejected

DROPPED = judged(judgement=Judgement(Verdict.DROP, "blocklist", "rules.d/10-blocklist.yaml:1"))


def read(text: str) -> tuple[Expectation, ...]:
    return read_expectations("expect.yaml", text.encode(), NAMES)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        read_expectations("expect.yaml", text.encode() if isinstance(text, str) else text, NAMES)
    assert caught.value.exit_code is ExitCode.INVALID
    return [str(each) for each in caught.value.problems]


def held_against(text: str, *packets: Judged) -> tuple[Result, ...]:
    expectations = Expectations(read(text))
    for each in packets:
        expectations.feed(each)
    return expectations.results()


def test_the_file_of_the_public_interface() -> None:
    (found,) = read('- {filter: "tcp.dport == 25 and src in dynamic", verdict: reject, count: 12}\n')
    assert found.place == Origin("expect.yaml", 1)
    assert (found.filter_text, found.verdict, found.wanted) == (
        "tcp.dport == 25 and src in dynamic",
        Verdict.REJECT,
        "12 reject",
    )


def test_all_that_an_entry_can_say() -> None:
    (_, found) = read(
        "# two\n- {filter: tcp, verdict: drop, count: 0}\n"
        "- name: answers pass\n  filter: >-\n    udp and\n    port == 53\n  verdict: accept\n  count: '>= 1'\n"
        "  policy: op25b\n  rule: rules.d/20-op25b.yaml:4\n"
    )
    assert found.place == Origin("expect.yaml", 3)
    assert (found.filter_text, found.policy, found.rule, found.name) == (
        "udp and port == 53",
        "op25b",
        "rules.d/20-op25b.yaml:4",
        "answers pass",
    )
    assert found.title == "answers pass"


@pytest.mark.parametrize(
    ("count", "holds"),
    [
        ("2", {2}),
        ("'2'", {2}),
        ("0x2", {2}),
        ("'== 2'", {2}),
        ("'>= 2'", {2, 3, 4}),
        ("'>2'", {3, 4}),
        ("'<= 2'", {0, 1, 2}),
        ("'< 2'", {0, 1}),
        ("1-3", {1, 2, 3}),
        ("0", {0}),
    ],
)
def test_counts(count: str, holds: set[int]) -> None:
    text = f"- {{filter: tcp, verdict: reject, count: {count}}}\n"
    assert {packets for packets in range(5) if held_against(text, *[rejected()] * packets)[0].held} == holds


def test_only_the_packets_of_the_verdict_the_policy_and_the_rule_are_counted() -> None:
    text = (
        "- {filter: tcp, verdict: reject, count: 3}\n"
        "- {filter: tcp, verdict: reject, count: 3, policy: op25b}\n"
        "- {filter: tcp, verdict: reject, count: 2, rule: 'rules.d/20-op25b.yaml:9'}\n"
        "- {filter: tcp, verdict: reject, count: 0, policy: ip53b}\n"
        "- {filter: tcp, verdict: drop, count: 1, policy: blocklist}\n"
        "- {filter: tcp, verdict: accept, count: 1}\n"
        "- {filter: udp, verdict: accept, count: 1}\n"
    )
    passed = [judged(), judged(packet(protocol=UDP))]
    results = held_against(text, rejected(), rejected(line=9), rejected(line=9), DROPPED, *passed)
    assert [(each.held, each.packets) for each in results] == [
        (True, 3),
        (True, 3),
        (True, 2),
        (True, 0),
        (True, 1),
        (True, 1),
        (True, 1),
    ]


def test_a_miss_tells_what_was_seen() -> None:
    text = (
        "- {filter: tcp.dport == 25, verdict: reject, count: 4, policy: op25b}\n"
        "- {filter: udp, verdict: accept, count: '>= 1', name: answers pass}\n"
    )
    by_router = judged(judgement=Judgement(Verdict.DROP))
    first, second = held_against(text, *[rejected()] * 3, DROPPED, DROPPED, judged(), by_router)
    assert not first.held
    assert not second.held
    assert first.seen[0] == Seen(Verdict.REJECT, "op25b", "rules.d/20-op25b.yaml:4", 3)
    assert str(first) == (
        "expect.yaml:1: wanted 4 reject by op25b, got 3; tcp.dport == 25 matches 7: "
        "3 reject by op25b (rules.d/20-op25b.yaml:4), 2 drop by blocklist (rules.d/10-blocklist.yaml:1), 1 accept, 1 drop"
    )
    assert str(second) == "expect.yaml:2: answers pass: wanted >= 1 accept, got 0; no packet matches udp"


def test_what_was_seen_is_in_the_same_order_whatever_came_first() -> None:
    text = "- {filter: tcp, verdict: reject, count: 1}\n"
    packets = [judged(), DROPPED, rejected(line=9), rejected(line=4), judged(judgement=Judgement(Verdict.DROP))]
    assert held_against(text, *packets) == held_against(text, *reversed(packets))


def test_every_mistake_of_the_file_at_once_each_at_its_place() -> None:
    assert problems(
        "- {filter: tcp.dprot == 25, verdict: rejct, count: 12}\n"
        "- filter: 'src == 25'\n"
        "  verdict: drop\n"
        "  cuont: 1\n"
        "  policy: op25\n"
        "- tcp\n"
        "- {verdict: drop, count: -1, rule: op25b}\n"
        "- {filter: [tcp], verdict: drop, count: many}\n"
    ) == [
        "expect.yaml:1:12: filter: unknown field 'tcp.dprot' (did you mean 'tcp.dport'?)",
        "expect.yaml:1:38: verdict: expected 'accept', 'drop' or 'reject', got 'rejct' (did you mean 'reject'?)",
        "expect.yaml:2:19: filter: src: expected an address such as 192.0.2.1 or 2001:db8::1, got '25' "
        "(ports are those of tcp.dport, udp.dport and the like)",
        "expect.yaml:4:3: cuont: unknown key (did you mean 'count'?)",
        "expect.yaml:5:11: policy: expected 'spoof', 'blocklist', 'op25b', 'ip53b' or 'caps', got 'op25' (did you mean 'op25b'?)",
        "expect.yaml:6:3: expected keys and values, got 'tcp'",
        "expect.yaml:7:3: filter: missing: which packets are meant, such as tcp.dport == 25",
        "expect.yaml:7:26: count: expected a number of packets, a row such as 10-20, or a comparison such as '>= 1', got -1",
        "expect.yaml:7:36: rule: expected a rule's place such as rules.d/20-op25b.yaml:4, got 'op25b'",
        "expect.yaml:8:12: filter: expected a filter such as tcp.dport == 25, got a list",
        "expect.yaml:8:41: count: expected a number of packets, a row such as 10-20, or a comparison such as '>= 1', got 'many'",
    ]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("filter: tcp AND udp", "1:15: filter: expected 'and', 'or' or the end, got 'AND' (did you mean 'and'?)"),
        ('filter: "tcp AND udp"', "1:16: filter: expected 'and', 'or' or the end, got 'AND' (did you mean 'and'?)"),
        # the places in what YAML folds or unescapes are not those of the filter
        (
            "filter: tcp\n    AND udp",
            "1:11: filter: expected 'and', 'or' or the end, got 'AND' (did you mean 'and'?), at character 5 of the filter",
        ),
        (
            'filter: "\\x74cp AND udp"',
            "1:11: filter: expected 'and', 'or' or the end, got 'AND' (did you mean 'and'?), at character 5 of the filter",
        ),
        (
            "filter: |\n    tcp AND udp",
            "1:11: filter: expected 'and', 'or' or the end, got 'AND' (did you mean 'and'?), at character 5 of the filter",
        ),
        ("filter: ''", "1:12: filter: expected a test such as tcp.dport == 25, 'not' or '(', got the end"),
    ],
)
def test_where_the_mistake_in_a_filter_is(written: str, problem: str) -> None:
    assert problems(f"- {written}\n  verdict: drop\n  count: 1\n") == [f"expect.yaml:{problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: expected a list of expectations, got an empty file"),
        ("[]", "1:1: expected a list of expectations, got an empty list"),
        ("{filter: tcp}", "1:1: expected a list of expectations, got a mapping"),
        ("- {filter: tcp, count: >= 1}", "1:24: not valid YAML: a value cannot begin with '>'; quote it"),
        (
            "- {filter: tcp, verdict: drop, count: '>= 0'}",
            "1:39: count: there are always 0 packets or more; this would hold whatever happens",
        ),
        ("- {filter: tcp, verdict: drop, count: '< 0'}", "1:39: count: there are never less than 0 packets"),
        ("- {filter: tcp, verdict: drop, count: 3-1}", "1:39: count: the row '3-1' goes down; write 1-3"),
        (
            "- {filter: tcp, verdict: drop, count: true}",
            "1:39: count: expected a number of packets, a row such as 10-20, or a comparison such as '>= 1', got true",
        ),
        ("- {filter: tcp, policy: op25b, verdict: drop}", "1:3: count: missing: how many of them, such as 12 or '>= 1'"),
        ("- {filter: tcp, filter: udp, verdict: drop, count: 1}", "1:17: [0].filter: set twice; first at 1:4"),
    ],
)
def test_files_that_are_refused(text: str, problem: str) -> None:
    assert problems(text) == [f"expect.yaml:{problem}"]


@given(st.binary(max_size=60) | st.text("-{}[]:,'\"&*! \nfiltercoundv=<>0123", max_size=60).map(str.encode))
def test_every_file_is_expectations_or_problems(raw: bytes) -> None:
    try:
        found: tuple[object, ...] = read_expectations("expect.yaml", raw, NAMES)
    except InvalidConfiguration as error:
        found = error.problems
    assert found


def test_the_memory_does_not_grow_with_the_packets() -> None:
    expectations = Expectations(read("- {filter: tcp, verdict: reject, count: 1}\n"))
    for number in range(5_000):  # Python keeps 2,000 tuples of each size for later use
        expectations.feed(rejected(number=number))
    tracemalloc.start()
    for number in range(20_000):
        expectations.feed(rejected(number=number))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 20_000
    assert expectations.results()[0].packets == 25_000
