"""What the tests of the commands share."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from edged.cli.root import edged
from edged.control.asked import Guards
from edged.control.client import NoDaemon
from edged.control.messages import Asked, Changes, Confirmed, Standing, Status, Top, TornDown
from edged.errors import EdgedError
from edged.lockout.farend import Login

RULES = Path(__file__).parents[3] / "rules"

STEPS = ["add chain x", "chain x: write 1 rule"]
CHANGES: Changes = {"changed": 2, "generation": 7, "warnings": ["w1"], "steps": STEPS, "refused": []}

STATUS: Status = {
    "schema": "edged/v1/status",
    "gateway": "gw1",
    "version": "0.1.0",
    "pid": 42,
    "in_sync": True,
    "enforcing": True,
    "generation": 7,
    "lock": "owner, persist",
    "configuration": {
        "path": "/etc/edged/edged.yaml",
        "last_reload_successful": True,
        "last_reload_success": 1_700_000_000.0,
        "running": "files",
    },
    "confirm": None,
    "drift_repairs": {"flushed": 2, "changed": 0},
    "recent_repairs": [
        {"at": 1_700_000_100.0, "reason": "flushed", "process": "nft", "pid": 99, "what": ["remove table inet edged"]}
    ],
    "interfaces": {"lan0": True, "wan0": True},
    "policies": [
        {
            "policy": "op25b",
            "mode": "enforce",
            "file": "rules.d/20-op25b.yaml:13",
            "counters": [
                {"direction": "up", "family": "ipv4", "verdict": "reject", "packets": 12345, "bytes": 740700},
                {"direction": "up", "family": "ipv6", "verdict": "reject", "packets": 0, "bytes": 0},
            ],
        },
        {"policy": "spoof", "mode": "off", "file": "rules.d/40-spoof.yaml:15", "counters": []},
    ],
    "lists": [
        {
            "list": "authority",
            "source": "/etc/edged/lists/authority.txt",
            "entries": 1_234_567,
            "accepted": 1_700_000_000.0,
            "last_success": 1_700_000_000.0,
            "bad_lines": 3,
            "refused": "",
            "reason": "",
        }
    ],
    "layout": [
        {
            "family": "ipv4",
            "entries": 1_234_567,
            "hashed": {"24": 7, "32": 1_234_500},
            "ranged": {"9": 20, "17": 40},
            "nanoseconds": 675,
        }
    ],
    "caps": {
        "capped": [
            {"class": "p2p", "shaped": 1234, "policed": 7},
            {"class": "bulk", "shaped": 0, "policed": 0},
        ],
        "directions": [
            {"direction": "up", "pool": 2048, "leased": 12, "policed": ""},
            {"direction": "down", "pool": 0, "leased": 0, "policed": "this kernel has no HTB"},
        ],
        "bulk_found": 21,
        "queues": [
            {
                "queue": 0,
                "state": "lagging",
                "meaning": "its worker lags, packets pass",
                "packets": {"undecided": 1000, "decided": 200, "unreadable": 3, "failed": 4, "released": 50},
                "flows": {"p2p": 31, "streaming": 32, "other": 33},
                "restarts": 6,
                "lags": 8,
            }
        ],
        "uninspected": 3210,
    },
    "degraded": [],
    "warnings": [],
    "metrics": "127.0.0.1:9825",
}

TOP: Top = {
    "schema": "edged/v1/top",
    "leases": 3,
    "uses": [
        {
            "subscriber": "C-1001",
            "plan": "business",
            "class": "p2p",
            "direction": "down",
            "method": "shape",
            "cap": 50_000_000,
            "rate": 49_950_000.0,
            "dropped": 12.4,
        },
        {
            "subscriber": "203.0.113.9/32",
            "plan": None,
            "class": "streaming",
            "direction": "up",
            "method": "shape",
            "cap": 8_000_000,
            "rate": 640.0,
            "dropped": 0.0,
        },
        {
            "subscriber": "203.0.113.10/32",
            "plan": None,
            "class": "p2p",
            "direction": "down",
            "method": "police",
            "cap": 2_000_000,
            "rate": None,
            "dropped": None,
        },
    ],
}


@dataclass
class FakeDaemon:
    """Answers as told and remembers what it was asked."""

    runs: bool = False
    status_now: Status = field(default_factory=lambda: deepcopy(STATUS))
    fails: EdgedError | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)
    removed: bool = True
    devices: tuple[str, ...] = ("lan0",)
    top_now: Top = field(default_factory=lambda: deepcopy(TOP))

    def client(self, path: Path) -> FakeClient:
        return FakeClient(path, self)


@dataclass
class FakeClient:
    """The side of ControlClient that commands see."""

    path: Path
    daemon: FakeDaemon

    def _change(self, *asked: object) -> None:
        if not self.daemon.runs:
            raise NoDaemon("no edged daemon answers")
        self.daemon.asked.append(asked)
        if self.daemon.fails is not None:
            raise self.daemon.fails

    def status(self) -> Status:
        if not self.daemon.runs:
            raise NoDaemon("no edged daemon answers")
        return self.daemon.status_now

    def top(self, limit: int) -> Top:
        self._change("top", limit)
        return {**self.daemon.top_now, "uses": self.daemon.top_now["uses"][:limit]}

    def blocklist_test(self, address: str) -> Standing:
        self._change("blocklist test", address)
        return {
            "address": address,
            "blocked": True,
            "mode": "enforce",
            "listings": [
                {"list": "drop", "accepted": 1_700_000_000.0, "place": "lists/drop:7", "prefix": "192.0.2.64/26", "entry": None},
                {"list": "authority", "accepted": 1_700_000_000.0, "place": None, "prefix": None, "entry": 77123},
            ],
            "allowed_by": None,
            "never_blocked_by": None,
        }

    def blocklist_update(self) -> Asked:
        self._change("blocklist update")
        return {"asked": ["feed"]}

    def reload(self, login: Login | None = None) -> Changes:
        self._change("reload", *((login,) if login else ()))
        return CHANGES

    def apply(self, confirm_seconds: float | None, login: Login | None = None, guards: Guards = Guards.HELD) -> Changes:
        self._change("apply", confirm_seconds, *((login,) if login else ()), *((guards,) if guards is not Guards.HELD else ()))
        return CHANGES

    def confirm(self) -> Confirmed:
        self._change("confirm")
        return {"confirmed": True}

    def rollback(self) -> Changes:
        self._change("rollback")
        return CHANGES

    def teardown(self) -> TornDown:
        self._change("teardown")
        return {"removed": self.daemon.removed, "devices": list(self.daemon.devices)}


@dataclass(frozen=True)
class Edged:
    """The command line with one configuration."""

    path: Path

    def __call__(self, *arguments: str) -> Result:
        """Run a command; whatever it raises, it must have said so itself."""
        return CliRunner(env={"COLUMNS": "200", "EDGED_CONFIG": str(self.path)}).invoke(edged, arguments, prog_name="edged")

    def json(self, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
        """The object that the command prints with --json; stdout must hold nothing else."""
        result = self(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        content: dict[str, Any] = json.loads(result.stdout)
        assert content["schema"] == f"edged/v1/{arguments[0]}"
        return content

    @property
    def state(self) -> Path:
        return self.path.parent / "state"

    def rewrite(self, name: str, before: str, after: str) -> None:
        """Change a file of the configuration."""
        file = self.path.parent / name
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))


def copy_example(folder: Path) -> Path:
    """The shipped example in a folder, with its state and socket there; the path of its edged.yaml."""
    shutil.copytree(RULES, folder)
    path = folder / "edged.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("control:", "state:"))]
    path.write_text("\n".join([*lines, "control: control.sock", "state: state", ""]))
    return path
