"""Whatever the files hold, load() answers with a configuration or with InvalidConfiguration."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from edged.loader import InvalidConfiguration, Severity
from edged.policies import POLICIES
from tests.unit.config.files import EDGED, loaded

RULES = Path(__file__).parents[3] / "rules"
SHIPPED = [path.read_bytes() for path in (RULES / "edged.yaml", *sorted((RULES / "rules.d").glob("*.yaml")))]

KEYS = sorted(
    {
        *(
            "gateway",
            "name",
            "access",
            "upstream",
            "pools",
            "dynamic",
            "static",
            "rules",
            "never_block",
            "marks",
            "mask",
            "metrics",
        ),
        *("listen", "control", "state", "subscribers", "sources", "destinations", "prefix", "until", "owner", "reason", "ports"),
        *(key for policy in POLICIES for key in policy.model_fields),
    }
)
WORDS = [
    *("enforce", "observe", "off", "reject", "drop", "pass", "external", "all", "op25b", "ip53b", "spoof", "dynamic", "static"),
    *(
        "203.0.113.0/24",
        "203.0.113.7",
        "0.0.0.0/0",
        "2001:db8::/32",
        "::",
        "::ffff:0:0/96",
        "fe80::1%1",
        "1/1",
        "/",
        "9999-12-31",
    ),
    *(
        "2027-03-31",
        "0000-00-00",
        "2027-03-31T24:00:00Z",
        "2027-03-31T00:00:00+99:99",
        "lan*",
        "*",
        "",
        " ",
        ".",
        "/",
        "\0",
        "\ud7ff",
    ),
    *("127.0.0.1:0", "[::]:70000", "[]:1", "1-1024", "9" * 5000, "x" * 300, "\u2028", "\U0001f40d", "nan", "-0", "0x"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | SCALARS, inner, max_size=6),
    max_leaves=25,
)
MAPPINGS = st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=8)


def check(edged: bytes, policy: bytes) -> None:
    """Load it; what is said must be lines that a terminal can show, each with a place."""
    try:
        configuration = loaded(edged, a=policy)
        configuration.table(0)
        problems = configuration.warnings
    except InvalidConfiguration as error:
        problems = error.problems
        if not any(problem.severity is Severity.ERROR for problem in problems):
            raise
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem).isprintable(), problem


@given(st.binary(max_size=200), st.binary(max_size=200))
@example(b"\xef\xbb\xbf", b"\xff\xfe")
@example(b"%TAG ! tag:x,1:\n--- !y", b"&a &b c")
@example(b"? ? ?", b"- ? - ?")
@example(b"*a : b", b"{*a : b, <<: *a}")
@example(b"---\n---\n", b"...\n...\n")
@example(b"gateway: !!binary aGk=", b"policy: &a !!set {? *a}")
@example(b'"\\uD800": 1', b'policy: "\\uDFFF"')
@example(b'"a\\0b": 1', b'"\\L\\x1b": "\\P"')
def test_any_bytes(edged: bytes, policy: bytes) -> None:
    check(edged, policy)
    check(EDGED.encode(), policy)


@given(
    st.lists(st.sampled_from([*"abc:-?&*!|>%@`'\"[]{},#<\\ \n\t\r0x~", "policy: op25b\n", "\n  ", ": ", "- "]), max_size=80).map(
        "".join
    )
)
def test_any_text_of_yaml_signs(text: str) -> None:
    check(text.encode(), text.encode())
    check(EDGED.encode(), b"policy: op25b\n" + text.encode())


@given(MAPPINGS, MAPPINGS, st.sampled_from([policy.model_fields["policy"].annotation.__args__[0] for policy in POLICIES]))  # type: ignore[union-attr]
@example({"metrics": {"listen": ":\x1b"}}, {"pools": "\x1b[31m", "exempt": {"destinations": [{"\x1b": None}]}}, "op25b")
def test_any_values_under_known_keys(edged: dict[str, object], policy: dict[str, object], name: str) -> None:
    written = yaml.safe_dump({**policy, "policy": name}, allow_unicode=True).encode()
    check(yaml.safe_dump(edged).encode(), written)
    check(EDGED.encode(), written)
    check(yaml.safe_dump({**yaml.safe_load(EDGED), **edged}).encode(), b"policy: op25b\n")


@given(
    st.sampled_from(SHIPPED),
    st.integers(0, 10_000),
    st.integers(0, 40),
    st.binary(max_size=4) | st.sampled_from([w.encode() for w in WORDS]),
)
def test_any_edit_of_the_shipped_files(file: bytes, start: int, length: int, put: bytes) -> None:
    start %= len(file)
    edited = file[:start] + put + file[start + length :]
    check(edited, edited)
    check(EDGED.encode(), edited)
