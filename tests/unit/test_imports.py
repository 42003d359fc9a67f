"""Which room may know which: what is read off the import statements, so that a lazy import inside a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

EDGED = Path(__file__).parents[2] / "edged"

# From the inside out. A room knows the rooms named beside it and itself, no others; rooms that are not listed are the shell.
MAY_KNOW = {
    "origin": set(),
    "errors": set(),
    "addresses": set(),
    "admission": set(),
    "transport": set(),
    "subscribers": {"addresses"},
    "fetch": {"errors", "privileges", "seccomp"},
    "privileges": set(),
    "seccomp": {"privileges"},
    "apart": {"addresses", "errors", "fetch", "packed", "privileges", "seccomp", "sources"},
    "marks": set(),
    "tracked": {"addresses"},
    "packed": {"addresses"},
    "sources": {"addresses", "errors", "packed", "subscribers"},
    "interfaces": set(),
    "ruleset": {"addresses", "errors", "interfaces", "marks", "origin", "packed", "packet", "transport"},
    "packet": {"addresses", "ruleset"},
    "queueing": {"addresses", "ruleset"},
    "caps": {"addresses", "config", "interfaces", "marks", "policies", "queueing", "ruleset", "subscribers", "tracked"},
    "inspect": {"packet", "sources", "transport"},
    "config": {"addresses", "errors", "interfaces", "marks", "origin"},
    "credentials": {"config"},
    "policies": {"addresses", "config", "interfaces", "marks", "origin", "packed", "ruleset"},
    "kernel": {"addresses", "errors", "interfaces", "marks", "packed", "queueing", "ruleset", "tracked"},
    "enforce": {"errors", "kernel", "ruleset"},
    "configuration": {"addresses", "config", "policies", "ruleset", "sources", "subscribers"},
    "lockout": {"addresses", "clock", "config", "configuration", "errors", "explain", "kernel", "packet", "policies", "ruleset"},
    "loader": {"addresses", "config", "configuration", "credentials", "policies", "sources", "subscribers"},
}
# The JSON Schema of all files names every policy's settings, so it stands where the loader stands: above the policies.
ABOVE = {"config/schema.py"}
PURE = (
    "origin",
    "admission",
    "errors",
    "addresses",
    "transport",
    "subscribers",
    "packed",
    "interfaces",
    "queueing",
    "ruleset",
    "packet",
    "policies",
    "inspect",
    "marks",
    "tracked",
    "caps",
)
WORLD = {
    *("asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "select", "shutil", "signal", "socket"),
    *("subprocess", "sys", "tempfile", "threading", "time"),
}
UNTYPED_NETLINK = ("kernel", "lab")


def files_of(room: str) -> list[Path]:
    found = [EDGED / f"{room}.py"] if (EDGED / f"{room}.py").exists() else sorted((EDGED / room).glob("**/*.py"))
    return [path for path in found if str(path.relative_to(EDGED)) not in ABOVE]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the dotted name of every import in the file; type checking ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            if node.module == "edged":
                yield from ((node.lineno, f"edged.{each.name}") for each in node.names)
            else:
                yield node.lineno, node.module


@pytest.mark.parametrize("room", MAY_KNOW)
def test_a_room_knows_only_the_rooms_further_in(room: str) -> None:
    files = files_of(room)
    assert files, f"there is no room {room}"
    allowed = MAY_KNOW[room] | {room, "__version__"}
    wrong = [
        f"{path.relative_to(EDGED.parent)}:{line} imports {name}"
        for path in files
        for line, name in imports(path)
        if name.startswith("edged.") and name.split(".")[1] not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("room", PURE)
def test_the_core_has_no_clock_no_socket_and_no_file(room: str) -> None:
    wrong = [
        f"{path.relative_to(EDGED.parent)}:{line} imports {name}"
        for path in files_of(room)
        for line, name in imports(path)
        if name.split(".")[0] in WORLD
    ]
    opened = [
        f"{path.relative_to(EDGED.parent)}:{node.lineno} opens a file"
        for path in files_of(room)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "input", "print"}
    ]
    assert not wrong + opened


def test_only_the_kernel_layer_and_the_lab_know_pyroute2() -> None:
    wrong = [
        f"{path.relative_to(EDGED.parent)}:{line}"
        for path in EDGED.glob("**/*.py")
        if path.relative_to(EDGED).parts[0] not in UNTYPED_NETLINK
        for line, name in imports(path)
        if name.split(".")[0] == "pyroute2"
    ]
    assert not wrong


def test_nothing_in_edged_imports_scapy_or_the_tests() -> None:
    wrong = [
        f"{path.relative_to(EDGED.parent)}:{line} imports {name}"
        for path in EDGED.glob("**/*.py")
        for line, name in imports(path)
        if name.split(".")[0] in {"scapy", "tests", "pytest", "hypothesis", "bench"}
    ]
    assert not wrong
