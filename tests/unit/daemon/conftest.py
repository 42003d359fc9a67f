"""A daemon's parts over a fake host, with a configuration in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.daemon.daemons import Rig, write_files


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    write_files(tmp_path)
    return Rig(tmp_path)
