"""The state folder: what edged must remember over a restart.

    last-good.json   every file of the configuration that was last in force and confirmed, so that a broken file at boot never
                     means "no policy"
    confirm.json     a change that waits for `edged confirm`
    rejected.json    the change that was rolled back, or that the lock-out guard refused: its files may still lie there, and a
                     restart, when nobody is logged in, must not bring it

Each file is written beside its name and renamed over it, so that at any moment the old or the new one is there, whole. They
hold the operator's configuration, hence 0600. Every failure is an EdgedError that names the file and says what still holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.clock import Clock, SystemClock
from edged.durable import replacing, sync_folder
from edged.errors import EdgedError, Refused

if TYPE_CHECKING:
    from edged.loader import Configuration

_LAST_GOOD = "last-good.json"
_CONFIRM = "confirm.json"
_REJECTED = "rejected.json"
_SCHEMA = "edged/v1/last-good"


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits for `edged confirm`: until when (CLOCK_BOOTTIME, in that boot), and the digest of its files."""

    boot_id: str
    deadline: float
    digest: str


def digest(sources: Mapping[Path, bytes]) -> str:
    """A name for the content of a configuration's files."""
    found = hashlib.sha256()
    for path in sorted(sources):
        found.update(f"{path}\0{len(sources[path])}\0".encode(errors="surrogateescape"))
        found.update(sources[path])
    return found.hexdigest()


class StateFolder:
    """The files under `state` of edged.yaml; one process writes them at a time."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()

    # --- the last good configuration ---

    def save_last_good(self, configuration: Configuration) -> None:
        """Keep every file of a configuration that is in force; a change that was rolled back before is forgotten with it."""
        stored = {
            "schema": _SCHEMA,
            "saved": self._clock.now(),
            "path": os.fspath(configuration.path),
            "files": {
                os.fspath(path): content.decode(errors="surrogateescape") for path, content in configuration.sources.items()
            },
        }
        # an unchanged bundle is not written anew: a restart costs no write, and works on a read-only disk
        if not self._is_kept(stored):
            self._write(_LAST_GOOD, stored, "the configuration in force; a restart cannot fall back on it")
        self._remove(_REJECTED)

    def load_last_good(self) -> Configuration | None:
        """The configuration that was kept, or None where none ever was.

        It is judged by the moment it was kept: what has run out since is no mistake of its files, nor is a clock that has
        not been set yet since boot. Raises EdgedError where it cannot be read.
        """
        from edged.config.files import StoredFiles  # noqa: PLC0415  pydantic and yaml, which a waiting change does without
        from edged.loader import load  # noqa: PLC0415

        stored = self._read_stored()
        if stored is None:
            return None
        try:
            content = {Path(path): text.encode(errors="surrogateescape") for path, text in stored["files"].items()}
            saved = datetime.fromtimestamp(stored["saved"], UTC)
        except (ValueError, OverflowError, OSError) as error:  # what no file can hold, and a moment that no calendar has
            raise self._damaged(_LAST_GOOD, str(error)) from error
        return load(Path(stored["path"]), now=saved, files=StoredFiles(content))

    def _is_kept(self, wanted: Mapping[str, Any]) -> bool:
        try:
            kept = self._read_stored()
        except EdgedError:  # what is damaged is to be written anew
            return False
        return kept is not None and all(kept[key] == wanted[key] for key in ("path", "files"))

    def _read_stored(self) -> dict[str, Any] | None:
        stored = self._read(_LAST_GOOD)
        if stored is None:
            return None
        shapes = {"schema": str, "saved": int | float, "path": str, "files": dict}
        sound = all(isinstance(stored.get(key), shape) for key, shape in shapes.items()) and stored["schema"] == _SCHEMA
        if not sound or not all(isinstance(text, str) for text in stored["files"].values()):
            raise self._damaged(_LAST_GOOD, f"not {_SCHEMA}")
        return stored

    # --- a change that waits for its confirmation ---

    def begin_confirm(self, pending: Pending) -> None:
        """Note the change before it is applied: whoever dies from now on, the next start rolls it back."""
        self._write(
            _CONFIRM, asdict(pending), "the change that waits for confirmation; it could not be rolled back after a restart"
        )

    def pending(self) -> Pending | None:
        """The change that waits for confirmation."""
        stored = self._read(_CONFIRM)
        if stored is None:
            return None
        try:
            return Pending(str(stored["boot_id"]), float(stored["deadline"]), str(stored["digest"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._damaged(_CONFIRM, f"{type(error).__name__}: {error}") from error

    def waits(self) -> bool:
        """Whether a change waits for its confirmation; a note that is there and cannot be read is no confirmation."""
        try:
            return self.pending() is not None
        except EdgedError:
            return self._is_there(_CONFIRM)

    def end_confirm(self) -> bool:
        """The change stays, or never came into force: nothing waits any more. False where nothing waited.

        Of this and `reject`, called at the same moment by several processes, exactly one call gives True.
        """
        return self._remove(_CONFIRM)

    def reject(self) -> bool:
        """The change is rolled back: nothing waits any more, and a start refuses the same files. False where nothing waited."""
        if not self._is_there(_CONFIRM):
            return False
        with self._trouble(_CONFIRM, "keep that the change was rolled back"), contextlib.suppress(FileNotFoundError):
            (self.path / _CONFIRM).replace(self.path / _REJECTED)
            sync_folder(self.path)
            return True
        return False

    def refuse(self, content: str) -> None:
        """The lock-out guard refused files of that digest, and a start refuses them too."""
        self._write(_REJECTED, {"digest": content}, "that the files were refused; the next start takes them")

    def abandon(self) -> bool:
        """The change goes with the whole policy: a start goes back to what was good before it, or else takes the files."""
        try:
            good = self._read_stored()
        except EdgedError:
            good = None
        return self.end_confirm() if good is None else self.reject()

    def rejected(self) -> str | None:
        """The digest of the files that were rolled back or refused, until others are kept as good."""
        stored = self._read(_REJECTED)
        return str(stored.get("digest")) if stored else None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One process at a time changes the policy without a daemon. Raises Refused where another is at it.

        The lock is the kernel's, on the folder itself, and ends with its process. Where there is no folder, nothing can wait for
        a confirmation either, and nobody is kept out.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Refused("another edged command is changing the policy; nothing was changed by this one. Try again.") from None
        try:
            yield
        finally:
            os.close(descriptor)

    # --- files ---

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            stored = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EdgedError(f"cannot read {self.path / name}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise self._damaged(name, str(error)) from error
        if not isinstance(stored, dict):
            raise self._damaged(name, "not an object")
        return stored

    def _write(self, name: str, content: Mapping[str, Any], what: str) -> None:
        with self._trouble(name, f"keep {what}"), replacing(self.path / name) as file:
            file.write(json.dumps(content).encode())

    def _remove(self, name: str) -> bool:
        if not self._is_there(name):
            return False
        with self._trouble(name, "remove it"), contextlib.suppress(FileNotFoundError):
            (self.path / name).unlink()
            sync_folder(self.path)
            return True
        return False

    def _is_there(self, name: str) -> bool:
        """Asked first: on a read-only disk removing what is not there fails all the same (EROFS)."""
        return os.path.lexists(self.path / name)

    @contextmanager
    def _trouble(self, name: str, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EdgedError(f"{self.path / name}: cannot {what}: {error.strerror}; what is in force stays in force") from error

    def _damaged(self, name: str, why: str) -> EdgedError:
        return EdgedError(f"{self.path / name} is damaged ({why}); what is in force stays in force")
