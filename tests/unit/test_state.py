"""The state folder: written whole or not at all, read back as it was, and every trouble told with the file's name."""

from __future__ import annotations

import errno
import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.daemon.boot import choose, state_folder
from edged.errors import EdgedError, Refused
from edged.kernel.fake import FakeHost
from edged.loader import Configuration, InvalidConfiguration, load
from edged.state import Pending, StateFolder, digest
from tests.unit.daemon.daemons import EDGED, NOW, FakeClock, exempt, write_files

PENDING = Pending("boot", 1060.5, "abc")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(FakeHost())


@pytest.fixture
def state(tmp_path: Path, clock: FakeClock) -> StateFolder:
    return StateFolder(tmp_path / "var" / "edged", clock)


def test_the_last_good_configuration_comes_back_as_it_was(tmp_path: Path, state: StateFolder) -> None:
    path = write_files(tmp_path)
    kept = load(path, now=datetime.fromtimestamp(NOW, UTC))
    assert state.load_last_good() is None
    state.save_last_good(kept)
    (tmp_path / "rules.d" / "20-op25b.yaml").unlink()
    (tmp_path / "edged.yaml").write_text("gone wrong")
    found = state.load_last_good()
    assert found == kept
    assert found is not None
    assert found.table(int(NOW)) == kept.table(int(NOW))


def test_it_loads_with_an_exemption_long_past_and_with_a_clock_that_was_never_set(
    tmp_path: Path, state: StateFolder, clock: FakeClock
) -> None:
    kept = load(write_files(tmp_path, exempt(NOW + 86400)), now=datetime.fromtimestamp(NOW, UTC))
    state.save_last_good(kept)
    for wall in (NOW + 10 * 365 * 86400, 0.0):
        clock.wall = wall
        assert state.load_last_good() == kept


def test_the_files_are_the_owners_alone_and_no_partial_one_stays(tmp_path: Path, state: StateFolder) -> None:
    state.save_last_good(load(write_files(tmp_path), now=datetime.fromtimestamp(NOW, UTC)))
    state.begin_confirm(PENDING)
    assert {each.name: oct(each.stat().st_mode & 0o777) for each in state.path.iterdir()} == {
        "last-good.json": "0o600",
        "confirm.json": "0o600",
    }


def test_the_file_of_subscribers_is_kept_with_the_rest(tmp_path: Path, state: StateFolder) -> None:
    path = write_files(tmp_path)
    path.write_text(path.read_text() + "subscribers: subscribers.csv\n")
    rows = path.parent / "subscribers.csv"
    rows.write_text("\ufeffid,prefixes,plan\r\nc1,203.0.113.8/30,\r\n", newline="")
    kept = load(path, now=datetime.fromtimestamp(NOW, UTC))
    state.save_last_good(kept)
    rows.write_text("id,prefixes,plan\nc1,203.0.113.9/30,\n")
    with pytest.raises(InvalidConfiguration):
        load(path, now=datetime.fromtimestamp(NOW, UTC))
    assert state.load_last_good() == kept
    assert digest(kept.sources) != digest({**kept.sources, rows: rows.read_bytes()})


def test_the_same_configuration_is_not_written_twice(tmp_path: Path, state: StateFolder) -> None:
    path = write_files(tmp_path)
    state.save_last_good(load(path, now=datetime.fromtimestamp(NOW, UTC)))
    before = (state.path / "last-good.json").stat()
    state.save_last_good(load(path, now=datetime.fromtimestamp(NOW, UTC)))
    after = (state.path / "last-good.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_change_waits_until_it_is_ended_or_rejected(state: StateFolder) -> None:
    assert state.pending() is None
    assert not state.end_confirm()
    state.begin_confirm(PENDING)
    assert state.pending() == PENDING
    assert state.end_confirm()
    assert state.pending() is None
    state.begin_confirm(PENDING)
    assert state.reject()
    assert not state.reject()
    assert (state.pending(), state.rejected()) == (None, "abc")


def test_what_is_kept_as_good_is_rejected_no_more(tmp_path: Path, state: StateFolder) -> None:
    state.begin_confirm(PENDING)
    state.reject()
    state.save_last_good(load(write_files(tmp_path), now=datetime.fromtimestamp(NOW, UTC)))
    assert state.rejected() is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"schema": "edged/v1/last-good", "files": 1}', "\0", "\ud800".encode("utf-8", "surrogatepass")],
)
def test_damage_is_told_with_the_files_name(state: StateFolder, content: str | bytes) -> None:
    state.path.mkdir(parents=True)
    raw = content if isinstance(content, bytes) else content.encode()
    (state.path / "last-good.json").write_bytes(raw)
    (state.path / "confirm.json").write_bytes(raw)
    with pytest.raises(EdgedError, match=r"last-good\.json is damaged"):
        state.load_last_good()
    with pytest.raises(EdgedError, match=r"confirm\.json is damaged"):
        state.pending()


def test_a_damaged_last_good_configuration_is_replaced_by_the_next_one(tmp_path: Path, state: StateFolder) -> None:
    kept = load(write_files(tmp_path), now=datetime.fromtimestamp(NOW, UTC))
    state.path.mkdir(parents=True)
    (state.path / "last-good.json").write_text("{")
    state.save_last_good(kept)
    assert state.load_last_good() == kept


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgedError, match=r"confirm\.json: cannot keep the change that waits.*what is in force stays"):
        StateFolder(tmp_path / "file").begin_confirm(PENDING)


def test_a_write_that_fails_half_way_leaves_the_former_file(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    state.begin_confirm(PENDING)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EdgedError, match="No space left on device"):
        state.begin_confirm(Pending("boot", 2.0, "other"))
    monkeypatch.undo()
    assert state.pending() == PENDING
    assert json.loads((state.path / "confirm.json").read_text())["digest"] == "abc"


def test_a_digest_tells_names_and_contents_apart() -> None:
    contents = [
        {Path("/a"): b"1", Path("/b"): b"2"},
        {Path("/a"): b"2", Path("/b"): b"1"},
        {Path("/a"): b"12", Path("/b"): b""},
        {Path("/a"): b"12"},
        {Path("/a\udcff"): b"12"},
    ]
    assert len({digest(each) for each in contents}) == len(contents)
    assert digest(contents[0]) == digest(dict(reversed(contents[0].items())))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EDGED, "{folder}/state"),
        (EDGED.replace("state: state", "state: '/var/x y'   # kept"), "/var/x y"),
        (EDGED.replace("state: state", "gateway: {state: no}"), "/var/lib/edged"),
        ("gateway: [\nstate: elsewhere\n", "{folder}/elsewhere"),
        ("", "/var/lib/edged"),
    ],
)
def test_the_state_folder_is_found_also_by_a_file_that_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "edged.yaml").write_text(text)
    assert state_folder(tmp_path / "edged.yaml") == Path(expected.format(folder=tmp_path))


def test_a_change_that_goes_with_the_whole_policy_condemns_its_files_only_where_others_are_good(
    tmp_path: Path, state: StateFolder
) -> None:
    state.begin_confirm(PENDING)
    assert state.abandon()
    assert (state.pending(), state.rejected()) == (None, None)  # else every start would enforce nothing
    state.save_last_good(load(write_files(tmp_path), now=datetime.fromtimestamp(NOW, UTC)))
    state.begin_confirm(PENDING)
    assert state.abandon()
    assert (state.pending(), state.rejected()) == (None, PENDING.digest)
    assert not state.abandon()


def test_one_process_at_a_time_has_its_turn(state: StateFolder) -> None:
    with state.turn():  # there is no folder yet: nobody is kept out
        state.begin_confirm(PENDING)
    with state.turn(), pytest.raises(Refused, match="another edged command"), StateFolder(state.path).turn():
        pass
    with state.turn():
        pass


def test_a_note_that_cannot_be_read_is_no_confirmation(state: StateFolder) -> None:
    assert not state.waits()
    state.begin_confirm(PENDING)
    (state.path / "confirm.json").write_text("{")
    assert state.waits()


FILES = ("last-good.json", "confirm.json", "rejected.json")
WORDS = ["", "x", "\ud800", "/e/edged.yaml", "edged/v1/last-good"]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["e.yaml", "\0", "\ud800"]), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("schema", "saved", "path", "files", "boot_id", "deadline", "digest")
STORED = (
    st.binary(max_size=64)
    | st.sampled_from([b"[" * 100_000, b'{"schema": ' * 50_000, b'{"deadline": 1' + b"0" * 400 + b"}"])
    | st.dictionaries(st.sampled_from(KEYS), ODD).map(lambda made: json.dumps(made).encode())
    | st.fixed_dictionaries({"schema": st.just("edged/v1/last-good"), "saved": ODD, "path": ODD, "files": ODD}).map(
        lambda made: json.dumps(made).encode()
    )
)


@functools.cache
def files_as_they_are() -> Configuration:
    with TemporaryDirectory() as name:
        return load(write_files(Path(name)), now=datetime.fromtimestamp(NOW, UTC))


@pytest.mark.promise(14)
@given(last_good=STORED, confirm=STORED, rejected=STORED)
def test_whatever_is_in_the_files_a_start_has_something_to_go_by(last_good: bytes, confirm: bytes, rejected: bytes) -> None:
    with TemporaryDirectory() as name:
        state = StateFolder(Path(name), FakeClock(FakeHost()))
        for file, content in zip(FILES, (last_good, confirm, rejected), strict=True):
            (state.path / file).write_bytes(content)
        choice = choose(files_as_they_are, state)
        assert choice.candidates or "was" in choice.idle


def test_a_last_good_moment_that_no_calendar_has_is_damage(state: StateFolder) -> None:
    state.path.mkdir(parents=True)
    stored = {"schema": "edged/v1/last-good", "saved": 1e300, "path": "/e/edged.yaml", "files": {}}
    (state.path / "last-good.json").write_text(json.dumps(stored))
    with pytest.raises(EdgedError, match="is damaged"):
        state.load_last_good()


def test_what_could_not_be_written_whole_takes_no_room(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    state.begin_confirm(PENDING)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EdgedError, match="No space left on device"):
        state.begin_confirm(Pending("boot", 2.0, "other"))
    assert [each.name for each in state.path.iterdir()] == ["confirm.json"]
    assert state.pending() == PENDING
