"""What a start goes by: the files, or the last good configuration where the files are wrong or were rolled back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edged.config.gateway import EdgedFile
from edged.config.named import named_path
from edged.daemon.record import Source
from edged.errors import EdgedError
from edged.loader import Configuration, InvalidConfiguration
from edged.state import StateFolder, digest

_log = logging.getLogger(__name__)


Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration to start with, where it is from, and where that is not the files why.

    One that was in force before is not asked about lock-outs: who would be cut off was so already, and a gateway that comes back
    must not come back without a policy for it.
    """

    configuration: Configuration
    source: Source
    why_not_files: str = ""
    was_in_force: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidates of a start, the best first; with none nothing is enforced, for the reason `idle`.

    `named` is the configuration that names the gateway and its sockets in either case; `rolls_back` is whether the start takes
    back a change that was never confirmed.
    """

    named: Configuration
    candidates: tuple[Candidate, ...]
    rolls_back: bool = False
    idle: str = ""


def state_folder(path: Path) -> Path:
    """The state folder that edged.yaml names, also where the file is wrong: the last good configuration is found by it."""
    try:
        named = named_path(path.read_bytes(), "state")
    except OSError:
        named = None
    default: Path = EdgedFile.model_fields["state"].default
    return default if named is None else path.absolute().parent / named


def choose(load: Callable[[], Configuration], state: StateFolder) -> Choice:
    """What to start with. Raises InvalidConfiguration where the files are wrong and nothing can stand in for them."""
    good, good_is_lost = _asked(state.load_last_good)
    waited = state.waits()
    if waited and good_is_lost and _asked(state.pending)[1]:
        # damaged throughout, the folder does not tell that anything waits: the files are all there is
        waited = False
        _asked(state.end_confirm)
    rejected, _ = _asked(state.rejected)
    try:
        files = load()
    except InvalidConfiguration as wrong:
        if good is None:
            raise
        for problem in wrong.problems:
            _log.error("%s", problem)
        why = f"the files are wrong ({len(wrong.problems)} problems; `edged check` lists them)"
        return Choice(good, (Candidate(good, Source.LAST_GOOD, why),), waited)
    if waited:
        why = "a change still waited for confirmation at the start, so it was rolled back; `edged reload` takes the files"
    elif rejected is not None and rejected == digest(files.sources):
        why = "the files were refused, or rolled back for want of confirmation, before; `edged reload` asks for them again"
    else:
        is_good = good is not None and good.sources == files.sources
        spare = () if good is None or is_good else (Candidate(good, Source.LAST_GOOD),)
        return Choice(files, (Candidate(files, Source.FILES, was_in_force=is_good), *spare))
    if good is None:
        none = "the earlier policy cannot be read" if good_is_lost else "there was no earlier policy"
        return Choice(files, (), waited, f"{why}; {none}")
    return Choice(good, (Candidate(good, Source.LAST_GOOD, why),), waited)


def _asked(read: Callable[[], Answer | None]) -> tuple[Answer | None, bool]:
    """What the state folder says, and whether that cannot be read; it is told, and keeps no policy from being enforced."""
    try:
        return read(), False
    except EdgedError as error:
        _log.error("%s", error)
        return None, True
