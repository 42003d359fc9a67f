"""Times, volumes, rates and shares: each is text with its unit, and says so where it is not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edged.config.blocklist import Refresh
from edged.config.quantities import Duration, Rate, Share, Volume

TIME, VOLUME, SHARE = "a time such as 90s, 15m or 6h", "a volume such as 64MB or 1GiB", "a share such as 50%"
RATE = "a rate such as 500kbit, 2mbit or 1gbit"


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (Duration, "0s", 0.0),
        (Duration, "250ms", 0.25),
        (Duration, "90s", 90.0),
        (Duration, "1.5s", 1.5),
        (Duration, "15m", 900.0),
        (Duration, "6h", 21600.0),
        (Duration, "0.125d", 10800.0),
        (Duration, "999999999d", 999999999 * 86400.0),
        (Duration, 90.0, 90.0),
        (Volume, "0kB", 0),
        (Volume, "1kB", 1000),
        (Volume, "64MB", 64_000_000),
        (Volume, "2GB", 2_000_000_000),
        (Volume, "1KiB", 1024),
        (Volume, "1.5MiB", 1_572_864),
        (Volume, "1GiB", 1 << 30),
        (Rate, "64kbit", 64_000),
        (Rate, "1.5mbit", 1_500_000),
        (Rate, "2mbit", 2_000_000),
        (Rate, "10gbit", 10_000_000_000),
        (Share, "0%", 0.0),
        (Share, "1%", 0.01),
        (Share, "0.125%", 0.00125),
        (Share, "50%", 0.5),
        (Share, "200%", 2.0),
        (Share, 0.5, 0.5),
        (Refresh, "60s", 60.0),
        (Refresh, "1m", 60.0),
    ],
)
def test_a_quantity_is_read(kind: Any, written: object, value: float) -> None:
    assert TypeAdapter(kind).validate_python(written) == pytest.approx(value)


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        *(
            (Duration, written, f"expected {TIME}, got {shown}")
            for written, shown in (
                ("90", "'90'"),
                ("s", "'s'"),
                ("-1s", "'-1s'"),
                ("1 s", "'1 s'"),
                ("1S", "'1S'"),
                ("1M", "'1M'"),
                ("1w", "'1w'"),
                ("1h30m", "'1h30m'"),
                ("1.s", "'1.s'"),
                (".5s", "'.5s'"),
                ("1.2345s", "'1.2345s'"),
                ("1e3s", "'1e3s'"),
                ("1234567890s", "'1234567890s'"),
                ("٣s", "'٣s'"),
                ("1s\n", "'1s\\n'"),
                ("", "''"),
                (None, "nothing"),
                (True, "true"),
                ([1], "a list"),
            )
        ),
        (Duration, 90, f"expected {TIME}, got 90 (with its unit: 90s)"),
        (Volume, 64, f"expected {VOLUME}, got 64 (with its unit: 64MB)"),
        (Volume, "64", f"expected {VOLUME}, got '64'"),
        (Volume, "64mb", f"expected {VOLUME}, got '64mb'"),
        (Volume, "64B", f"expected {VOLUME}, got '64B'"),
        (Volume, "64KB", f"expected {VOLUME}, got '64KB'"),
        (Volume, False, f"expected {VOLUME}, got false"),
        (Volume, 1.5, f"expected {VOLUME}, got 1.5"),
        (Rate, 2, f"expected {RATE}, got 2 (with its unit: 2mbit)"),
        (Rate, "2Mbit", f"expected {RATE}, got '2Mbit'"),
        (Rate, "2mbps", f"expected {RATE}, got '2mbps'"),
        (Rate, "2 mbit", f"expected {RATE}, got '2 mbit'"),
        (Rate, None, f"expected {RATE}, got nothing"),
        (Share, 50, f"expected {SHARE}, got 50 (with its unit: 50%)"),
        (Share, "50", f"expected {SHARE}, got '50'"),
        (Share, "50 %", f"expected {SHARE}, got '50 %'"),
        (Share, "-5%", f"expected {SHARE}, got '-5%'"),
        (Refresh, "59.999s", "expected at least 60s: whoever publishes a list counts its visitors"),
        (Refresh, "0s", "expected at least 60s: whoever publishes a list counts its visitors"),
        (Refresh, 3600, f"expected {TIME}, got 3600 (with its unit: 3600s)"),
    ],
)
def test_what_is_no_quantity_is_refused_with_an_example(kind: Any, written: object, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(written)
    assert [error["msg"] for error in refused.value.errors()] == [message]
