from __future__ import annotations

from importlib import import_module
from pathlib import Path

import edged.inspect.detectors
from edged.inspect.registry import DETECTORS, by_first_byte
from edged.inspect.sight import Detector, Found, Sight, TrafficClass
from edged.ruleset.nodes import Transport


def one(_: Sight) -> Found | None:
    return None


def other(_: Sight) -> Found | None:
    return Found("other", TrafficClass.P2P)


def test_every_detector_of_every_module_is_asked() -> None:
    folder = Path(edged.inspect.detectors.__path__[0])
    modules = [import_module(f"edged.inspect.detectors.{path.stem}") for path in sorted(folder.glob("[a-z]*.py"))]
    assert {each for module in modules for each in getattr(module, "DETECTORS", ())} == set(DETECTORS)


def test_a_detector_is_asked_for_the_first_bytes_it_names_or_for_all_and_for_its_transport_alone() -> None:
    table = by_first_byte(
        Transport.TCP,
        (
            Detector("one", Transport.TCP, b"\x00\xff", one),
            Detector("other", Transport.TCP, b"", other),
            Detector("another", Transport.UDP, b"", one),
        ),
    )
    assert len(table) == 256
    assert (table[0], table[1], table[255]) == ((one, other), (other,), (one, other))
