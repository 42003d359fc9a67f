"""Fixtures for caps by real traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.netns.caps.certificates import Certificates, certificates
from tests.netns.caps.gateway import STREAMING_NAME


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What a server of the streaming name shows."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    return certificates(folder, STREAMING_NAME)
