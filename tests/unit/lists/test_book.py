"""Which lists are in force: what is taken, what is refused, and what outlives a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from edged.kernel.fake import FakeHost
from edged.lists.book import ListBook, sources_of
from edged.lists.provenance import standing
from edged.lists.store import ListStore, ReadOnlyListStore
from edged.loader import Configuration, load
from edged.policies import Mode
from edged.sources.guards import Protected
from edged.sources.parsed import Reason
from tests.unit.daemon.daemons import EDGED, NOW, FakeClock

GOOD = "192.0.2.66\n192.0.2.128/26\n2001:db8:bad::/48\n"


@dataclass
class Gateway:
    """A configuration on disk with one list, and the books that processes on it would hold."""

    folder: Path
    more: str = ""
    protected: list[Protected] = field(default_factory=list)
    clock: FakeClock = field(default_factory=lambda: FakeClock(FakeHost()))

    def __post_init__(self) -> None:
        (self.folder / "rules.d").mkdir()
        (self.folder / "edged.yaml").write_text(f"{EDGED}never_block: [192.0.2.0/28]\n")
        self.write_policy(f"{{name: feed, path: feed.txt{self.more}}}")
        self.put(GOOD)

    @property
    def list(self) -> Path:
        return self.folder / "feed.txt"

    def write_policy(self, *lists: str, allow: str = "") -> None:
        text = f"policy: blocklist\nlists: [{', '.join(lists)}]\nallow: [{allow}]\n"
        (self.folder / "rules.d/10-blocklist.yaml").write_text(text)

    def put(self, content: str | bytes) -> None:
        new = self.folder / "new"
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.replace(self.list)

    def load(self) -> Configuration:
        return load(self.folder / "edged.yaml", now=datetime.fromtimestamp(NOW, UTC))

    def book(self, store: Callable[[Path], ListStore] = ListStore) -> ListBook:
        """That of another process."""
        return ListBook(store(self.folder / "state"), self.clock, lambda _: tuple(self.protected))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def listed(configuration: Configuration, address: str) -> bool:
    found = standing(configuration, ip_address(address), None)
    assert found is not None
    return found.blocked


def test_a_good_list_is_taken(gateway: Gateway) -> None:
    book = gateway.book()
    taken = book.refreshed(gateway.load())
    assert [listed(taken, address) for address in ("192.0.2.66", "192.0.2.129", "2001:db8:bad::7", "192.0.2.67")] == [
        True, True, True, False,
    ]  # fmt: skip
    (health,) = book.health
    assert (health.entries, health.accepted, health.succeeded, health.refused) == (3, NOW, NOW, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", Reason.EMPTY),
        ("<html>\n", Reason.NOT_A_LIST),
        ("192.0.2.66\nrubbish\n", Reason.BAD_LINES),
        ("192.0.2.66\n", Reason.SHRUNK),
        ("".join(f"198.18.0.{n}\n" for n in range(7)), Reason.GROWN),
        (GOOD + "10.0.0.0/8\n", Reason.RESERVED),
        (GOOD + "0.0.0.0/0\n", Reason.TOO_SHORT),
        (GOOD + "192.0.2.14\n", Reason.PROTECTED),
        (b"\x1f\x8b\x08\x00", Reason.UNREADABLE),
        (None, Reason.UNREADABLE),
    ],
)
def test_a_list_that_is_refused_leaves_the_last_good_one_in_force(
    gateway: Gateway, content: str | bytes | None, reason: Reason
) -> None:
    gateway.protected = [Protected(ip_network("192.0.2.0/28"), "never_block, edged.yaml:5")]
    book = gateway.book()
    before = book.refreshed(gateway.load())
    gateway.clock.advance(60)
    if content is None:
        gateway.list.unlink()
    else:
        gateway.put(content)
    after = book.refreshed(gateway.load())
    assert after.lists == before.lists
    (health,) = book.health
    assert (health.reason, health.entries, health.succeeded) == (reason, 3, NOW)
    assert book.refused == (f"list feed is refused ({gateway.list}): {health.refused}",)
    assert health.refusals == {reason: 1}
    # another process begins with the same
    assert set(gateway.book().in_force(gateway.load()).lists) == {"feed"}


def test_a_refused_list_is_judged_once_and_again_when_it_changes(gateway: Gateway) -> None:
    book = gateway.book()
    book.refreshed(gateway.load())
    gateway.put("")
    for _ in range(3):
        book.refreshed(gateway.load())
    assert book.health[0].refusals == {Reason.EMPTY: 1}
    gateway.put(GOOD)
    book.refreshed(gateway.load())
    assert book.health[0].refused == ""
    assert book.health[0].refusals == {Reason.EMPTY: 1}


def test_what_was_refused_for_its_guards_is_judged_anew_when_they_change(gateway: Gateway) -> None:
    book = gateway.book()
    book.refreshed(gateway.load())
    gateway.put("192.0.2.66\n")
    book.refreshed(gateway.load())
    assert book.health[0].reason is Reason.SHRUNK
    gateway.write_policy("{name: feed, path: feed.txt, guards: {shrunk: 10%}}")
    assert not listed(book.refreshed(gateway.load()), "192.0.2.129")
    gateway.protected = [Protected(ip_network("192.0.2.66/32"), "the gateway's own address")]
    book.refreshed(gateway.load())
    assert book.health[0].reason is Reason.PROTECTED  # type: ignore[comparison-overlap]  # mypy takes it for what it was asked to be before
    assert book.health[0].entries == 1


def test_the_last_good_list_is_in_force_before_its_source_is_looked_at(gateway: Gateway) -> None:
    gateway.book().refreshed(gateway.load())
    gateway.put("198.18.0.1\n198.18.0.2\n198.18.0.3\n")
    book = gateway.book()
    assert listed(book.in_force(gateway.load()), "192.0.2.66")
    assert not listed(book.refreshed(gateway.load()), "192.0.2.66")


def test_a_list_that_was_never_accepted_comes_from_its_source(gateway: Gateway) -> None:
    assert listed(gateway.book().in_force(gateway.load()), "192.0.2.66")
    gateway.put("<html>")
    book = Gateway.book(gateway)
    (gateway.folder / "state/lists/feed.list").unlink()
    assert book.in_force(gateway.load()).lists == {}
    assert "not a list" in book.health[0].refused


def test_a_damaged_last_good_list_is_told_and_the_source_stands_in(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.book().refreshed(gateway.load())
    kept = gateway.folder / "state/lists/feed.list"
    kept.write_bytes(kept.read_bytes()[:-1])
    assert listed(gateway.book().in_force(gateway.load()), "192.0.2.66")
    assert "cannot be read (damaged" in caplog.text


def test_what_cannot_be_kept_is_in_force_all_the_same(gateway: Gateway) -> None:
    (gateway.folder / "state").write_text("a file where the folder should be")
    book = gateway.book()
    assert listed(book.refreshed(gateway.load()), "192.0.2.66")
    assert "cannot keep it" in book.trouble


def test_who_only_looks_keeps_nothing(gateway: Gateway) -> None:
    assert listed(gateway.book(ReadOnlyListStore).refreshed(gateway.load()), "192.0.2.66")
    assert not (gateway.folder / "state").exists()


def test_lists_that_are_configured_no_more_are_forgotten(gateway: Gateway) -> None:
    book = gateway.book()
    book.refreshed(gateway.load())
    gateway.write_policy("{name: other, path: feed.txt}")
    configuration = book.refreshed(gateway.load())
    book.forget_others(configuration)
    assert set(configuration.lists) == {"other"}
    assert [each.name for each in book.health] == ["other"]
    assert sorted(path.name for path in (gateway.folder / "state/lists").iterdir()) == ["other.list"]


def test_bad_lines_below_the_limit_are_left_out_and_told(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.put("".join(f"198.18.1.{n}\n" for n in range(200)) + "rubbish\n")
    book = gateway.book()
    book.refreshed(gateway.load())
    assert (book.health[0].entries, book.health[0].bad_lines) == (200, 1)
    assert "feed.txt:201:" in caplog.text
    assert "rubbish" in caplog.text


def test_a_confidential_lists_entries_are_in_no_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(tmp_path, ", confidential: true")
    gateway.protected = [Protected(ip_network("198.18.1.0/28"), "never_block")]
    gateway.put("".join(f"198.18.1.{n}\n" for n in range(100, 250)) + "198.18.77.77/33\n")
    caplog.set_level("INFO")
    book = gateway.book()
    book.refreshed(gateway.load())
    gateway.put("198.18.1.7\n10.0.0.0/8\n198.18.77.77/33\n")
    book.refreshed(gateway.load())
    assert book.health[0].reason is Reason.PROTECTED
    said = caplog.text + repr(book.health)
    assert "198.18" not in said
    assert "10.0.0.0" not in said.replace("10.0.0.0/8 (private", "")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a fifo", "a folder"])
def test_what_is_no_file_is_refused(gateway: Gateway, make: Callable[[Path], None]) -> None:
    gateway.list.unlink()
    make(gateway.list)
    book = gateway.book()
    book.refreshed(gateway.load())
    assert "not a regular file" in book.health[0].refused


# --- where an address stands ---


def test_bl9_an_address_stands_in_every_list_that_has_it(gateway: Gateway) -> None:
    (gateway.folder / "two.txt").write_text("# two\n192.0.2.64/26\n192.0.2.66\n")
    gateway.write_policy("{name: feed, path: feed.txt}", "{name: two, path: two.txt}", allow="192.0.2.70")
    configuration = gateway.book().refreshed(gateway.load())
    found = standing(configuration, ip_address("192.0.2.66"), None)
    assert found is not None
    assert [(each.list, str(each.place), each.prefix) for each in found.listings] == [
        ("feed", "feed.txt:1", "192.0.2.66/32"),
        ("two", "two.txt:2", "192.0.2.64/26"),
        ("two", "two.txt:3", "192.0.2.66/32"),
    ]
    allowed = standing(configuration, ip_address("192.0.2.70"), None)
    assert allowed is not None
    assert (allowed.blocked, str(allowed.allowed_by)) == (False, "rules.d/10-blocklist.yaml:3")
    guarded = standing(configuration, ip_address("192.0.2.3"), None)
    assert guarded is not None
    assert (guarded.blocked, guarded.listings, str(guarded.never_blocked_by)) == (False, (), "edged.yaml:5")
    assert guarded.mode is Mode.ENFORCE


def test_bl10_the_number_of_a_confidential_entry_is_steady_and_says_nothing(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, ", confidential: true")
    configuration = gateway.book().refreshed(gateway.load())
    key = ListStore(tmp_path / "state").key()
    assert key == ListStore(tmp_path / "state").key() == ReadOnlyListStore(tmp_path / "state").key()

    def number(address: str, key: bytes | None) -> int | None:
        found = standing(configuration, ip_address(address), key)
        assert found is not None
        (only,) = found.listings
        assert (only.place, only.prefix) == (None, None)
        return only.entry

    assert number("192.0.2.129", key) == number("192.0.2.130", key)  # of one entry
    assert number("192.0.2.129", key) != number("192.0.2.66", key)
    assert number("192.0.2.66", key) != number("192.0.2.66", b"another key")
    assert number("192.0.2.66", None) is None


def test_without_a_blocklist_there_is_nothing_to_say(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    (tmp_path / "rules.d/10-blocklist.yaml").unlink()
    configuration = gateway.book().refreshed(gateway.load())
    assert standing(configuration, ip_address("192.0.2.66"), None) is None
    assert sources_of(configuration) == ()
