"""The last test of a run: nothing that edged wrote in it, in whatever test, holds a far end of a subscriber."""

from __future__ import annotations

import pytest

from tests import secrecy
from tests.promises import Measured


@pytest.mark.promise(21)
def test_nothing_that_edged_wrote_in_this_run_holds_a_far_end(measured: Measured) -> None:
    paths = tuple(secrecy.kept())
    told = {path: seen for path in paths if (seen := secrecy.found(path.read_bytes(), secrecy.FAR_ENDS))}
    assert not told
    size = sum(path.stat().st_size for path in paths)
    daemons = len({path.parent for path in paths if path.parent.name.startswith("daemon-")})
    measured(f"0 far ends in {size / 1000:,.0f} kB that {daemons} daemons and the tests' own processes wrote in this run")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (b"dropped 192.0.2.80:443", True),
        (b"dropped 192.0.2.80", True),
        (b"2001:db8:a::80.53 > x", True),
        (b"2001:DB8:A::80", True),
        (b"192.0.2.8, 192.0.2.801, 1192.0.2.80, 2001:db8:a::800, 1.192.0.2.80", False),
    ],
)
def test_the_search_finds_addresses_and_no_parts_of_others(text: bytes, *, seen: bool) -> None:
    assert bool(secrecy.found(text, secrecy.FAR_ENDS)) is seen
