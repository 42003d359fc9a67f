"""What the scalars become; what they refuse is in tests/broken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from edged.config.exemption import SubscriberExemption
from tests.unit.config.files import EDGED, NOW, loaded, refusal

EXEMPTION = "policy: op25b\nexempt: {{subscribers: [{{prefix: 203.0.113.7, until: {until}, owner: noc, reason: ticket}}]}}\n"


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def until(written: str, now: datetime = NOW) -> datetime:
    settings = loaded(op25b=EXEMPTION.format(until=written), now=now).policies[0].settings
    return datetime.fromtimestamp(settings.model_dump()["exempt"]["subscribers"][0]["until"], UTC)


@pytest.mark.usefixtures("tokyo")
def test_a_date_is_to_the_end_of_that_day_where_the_gateway_stands() -> None:
    assert until("2027-03-31") == datetime(2027, 3, 31, 15, tzinfo=UTC)


@pytest.mark.usefixtures("berlin")
def test_the_end_of_the_day_on_which_the_clocks_change() -> None:
    assert until("2027-03-27") == datetime(2027, 3, 27, 23, tzinfo=UTC)
    assert until("2027-03-28") == datetime(2027, 3, 28, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", ["2027-03-31T18:00:00+09:00", "2027-03-31T09:00:00Z", "2027-03-31 09:00:00z", "'2027-03-31T09:00:00.5Z'"]
)
def test_a_time_says_where_itself(written: str) -> None:
    assert until(written) == datetime(2027, 3, 31, 9, tzinfo=UTC)


def test_an_end_is_bounded() -> None:
    assert until("2031-11-20")
    assert "more than 5 years ahead" in refusal(op25b=EXEMPTION.format(until="2031-11-30"))[0]


def test_a_clock_that_was_never_set_makes_no_good_file_bad() -> None:
    assert until("2031-11-20", now=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=1))


def test_code_that_was_given_an_end_before_builds_an_exemption_with_it() -> None:
    item = SubscriberExemption(prefix=ip_network("203.0.113.7/32"), until=1_800_000_000, owner="noc", reason="ticket")
    assert item.until == 1_800_000_000


def test_words_are_stripped() -> None:
    text = "policy: op25b\nexempt: {subscribers: [{prefix: 203.0.113.7, until: 2027-03-31, owner: ' noc ', reason: x}]}\n"
    assert loaded(op25b=text).policies[0].settings.model_dump()["exempt"]["subscribers"][0]["owner"] == "noc"


def test_a_bare_address_is_that_one_address() -> None:
    never_block = loaded(EDGED + 'never_block: [192.0.2.1, "2001:DB8::1", 2001:db8:0:0::/64]\n').edged.never_block
    assert [str(prefix) for prefix in never_block] == ["192.0.2.1/32", "2001:db8::1/128", "2001:db8::/64"]


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("127.0.0.1:9825", "127.0.0.1", 9825),
        ("0.0.0.0:1", "0.0.0.0", 1),
        ('"[::1]:9825"', "::1", 9825),
        ('"[::]:65535"', "::", 65535),
    ],
)
def test_where_the_metrics_are(written: str, host: str, port: int) -> None:
    listen = loaded(EDGED + f"metrics: {{listen: {written}}}\n").edged.metrics.listen
    assert (listen.host, listen.port) == (host, port)
    assert str(listen) == written.strip('"')


def test_paths_start_at_the_folder_of_edged_yaml() -> None:
    edged = loaded(
        EDGED + "control: run/control.sock\nstate: ../state\nsubscribers: subscribers.csv\n", subscribers="id,prefixes,plan\n"
    ).edged
    assert edged.rules == Path("/etc/edged/rules.d")
    assert edged.control.path == Path("/etc/edged/run/control.sock")
    assert edged.state == Path("/etc/edged/../state")
    assert edged.subscribers == Path("/etc/edged/subscribers.csv")


def test_defaults() -> None:
    edged = loaded().edged
    assert edged.marks.mask == 0x00FFFF00
    assert str(edged.metrics.listen) == "127.0.0.1:9825"
    assert edged.control.path == Path("/run/edged/control.sock")
    assert edged.state == Path("/var/lib/edged")
    assert edged.subscribers is None
    assert edged.never_block == ()


@pytest.mark.parametrize("mask", [0xFFF, 0xFFF00000, 0xFFFFFFFF, 0x00FFFF00])
def test_masks_of_neighbouring_bits(mask: int) -> None:
    assert loaded(EDGED + f"marks: {{mask: {mask:#x}}}\n").edged.marks.mask == mask


@pytest.mark.parametrize("name", ["eth0", "ppp*", "enp0s31f6.4094", "br-lan", "veth@x", "abcdefghijklmno", "abcdefghijklmn*"])
def test_interface_names(name: str) -> None:
    text = EDGED.replace("lan0", f'"{name}"')
    assert loaded(text).edged.gateway.access == (name,)
