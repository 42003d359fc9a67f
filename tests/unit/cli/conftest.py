"""The commands over a fake kernel, a copy of the shipped example, and a daemon that is a record of what it was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.kernel.fake import FakeHost, FakeKernel
from edged.kernel.tcfake import FakeDevice, FakeTrafficControl
from tests.unit.cli.commands import Edged, FakeDaemon, copy_example


@pytest.fixture
def traffic() -> FakeTrafficControl:
    """The queueing of the gateway's interfaces, as the kernel sets them up."""
    return FakeTrafficControl({"lan0": FakeDevice(), "wan0": FakeDevice()})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, traffic: FakeTrafficControl) -> FakeHost:
    """The kernel that every command of the test sees; the gateway's interfaces are there, nothing bypasses the rules."""
    host = FakeHost()
    monkeypatch.setattr("edged.cli.kernel.make_kernel", lambda: FakeKernel(host))
    monkeypatch.setattr("edged.cli.kernel.make_traffic_control", lambda: traffic)
    monkeypatch.setattr("edged.cli.machine.present_interfaces", lambda: frozenset({"lo", "lan0", "wan0"}))
    for looked_for in ("foreign_flowtables", "foreign_rules"):
        monkeypatch.setattr(f"edged.cli.machine.{looked_for}", lambda: ())
    monkeypatch.setattr("edged.cli.machine.bypasses", lambda _site: ())
    for module in ("logins", "gather"):  # whoever runs the tests may have come by a login of his own
        monkeypatch.setattr(f"edged.lockout.{module}.own_login", lambda: None)
    return host


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """What answers on every control socket; until `runs` is set, nothing does."""
    daemon = FakeDaemon()
    monkeypatch.setattr("edged.control.client.ControlClient", daemon.client)
    return daemon


@pytest.fixture
def edged(tmp_path: Path, host: FakeHost, daemon: FakeDaemon) -> Edged:
    """Runs a command on a copy of the shipped example."""
    return Edged(copy_example(tmp_path / "etc"))
