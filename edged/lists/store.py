"""The last good lists under `state`/lists: what is in force before any source is read.

    NAME.list       a list as it was last accepted (sources/stored.py)
    NAME.fetched    what its `url` last gave, and NAME.fetched.json what to ask with the next time
    key             makes the opaque numbers of confidential lists' entries

They hold the lists themselves, also confidential ones, hence 0600.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from pathlib import Path

from edged.durable import replacing
from edged.errors import EdgedError
from edged.sources.stored import StoredList, dump, load

_log = logging.getLogger(__name__)

_KEY_SIZE = 16


class ListStore:
    """The files of the last good lists."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "lists"

    def load(self, name: str) -> StoredList | None:
        """The list as it was last accepted; None where it never was, or cannot be read, which is told in the log."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                return load(file)
        except FileNotFoundError:
            return None
        except (EdgedError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            _log.error("list %s: its last good state %s cannot be read (%s); it comes from its source alone", name, path, reason)
            return None

    def save(self, accepted: StoredList) -> None:
        """Keep an accepted list. Raises EdgedError; the one before is kept then."""
        path = self._path(accepted.name)
        try:
            with replacing(path) as file:
                dump(accepted, file)
        except OSError as error:
            raise EdgedError(
                f"list {accepted.name}: cannot keep it as {path}: {error.strerror}; it is in force, but a restart "
                "begins with the one before"
            ) from error

    def forget_others(self, names: Iterable[str]) -> None:
        """Remove what is kept of lists that are configured no more."""
        kept = frozenset(names)
        for path in self.folder.glob("*.*"):
            if path.name.partition(".")[0] not in kept and path.name[0] != ".":
                path.unlink(missing_ok=True)

    def fetched(self, name: str) -> Path:
        """The file for what the list's `url` last gave."""
        return self.folder / f"{name}.fetched"

    def key(self) -> bytes | None:
        """The secret behind opaque entry numbers, made anew where it is damaged; None where it can be neither read nor made."""
        made = secrets.token_bytes(_KEY_SIZE)
        try:
            if (kept := self._kept_key()) is not None:
                return kept
            with replacing(self._key_path) as file:
                file.write(made)
        except OSError:
            return None
        return made

    def _kept_key(self) -> bytes | None:
        """The secret that is there; None where there is none that is whole. Raises OSError where it cannot be read."""
        try:
            kept = self._key_path.read_bytes()
        except FileNotFoundError:
            return None
        return kept if len(kept) == _KEY_SIZE else None

    @property
    def _key_path(self) -> Path:
        return self.folder / "key"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.list"


class ReadOnlyListStore(ListStore):
    """The same for those who only look: what they read is kept nowhere."""

    def save(self, accepted: StoredList) -> None:
        """Nothing."""

    def forget_others(self, names: Iterable[str]) -> None:
        """Nothing."""

    def key(self) -> bytes | None:
        """The secret, where it is there and may be read."""
        try:
            return self._kept_key()
        except OSError:
            return None
