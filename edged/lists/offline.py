"""The lists for a process that does one thing and ends: a command, or the guardian of a change.

Configurations without a blocklist come back as they are, and nothing is imported for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.clock import SystemClock
from edged.policies import Blocklist

if TYPE_CHECKING:
    from edged.lists.book import ListBook
    from edged.lists.store import ListStore
    from edged.loader import Configuration


def in_force(configuration: Configuration) -> Configuration:
    """The configuration with its lists as they were last accepted; one that never was is read from its source."""
    return _reading(configuration).in_force(configuration) if has_lists(configuration) else configuration


def as_reloaded(configuration: Configuration) -> tuple[Configuration, tuple[str, ...]]:
    """The configuration with its lists as a reload would take them, and why it would not take some; nothing is kept."""
    if not has_lists(configuration):
        return configuration, ()
    book = _reading(configuration)
    return book.refreshed(configuration), book.refused


def taken(configuration: Configuration) -> tuple[Configuration, tuple[str, ...]]:
    """The configuration with its lists read anew and kept, and why some were not."""
    if not has_lists(configuration):
        return configuration, ()
    from edged.lists.store import ListStore  # noqa: PLC0415

    book = _book(ListStore(configuration.edged.state))
    refreshed = book.refreshed(configuration)
    return refreshed, (*book.refused, *((book.trouble,) if book.trouble else ()))


def opaque_key(configuration: Configuration) -> bytes | None:
    """The secret behind the numbers of confidential lists' entries; None where it cannot be read, or there is no list."""
    if not has_lists(configuration):
        return None
    from edged.lists.store import ReadOnlyListStore  # noqa: PLC0415

    return ReadOnlyListStore(configuration.edged.state).key()


def has_lists(configuration: Configuration) -> bool:
    """Whether a policy of the configuration goes by lists."""
    return any(isinstance(each.settings, Blocklist) for each in configuration.policies)


def _reading(configuration: Configuration) -> ListBook:
    from edged.lists.store import ReadOnlyListStore  # noqa: PLC0415

    return _book(ReadOnlyListStore(configuration.edged.state))


def _book(store: ListStore) -> ListBook:
    from edged.lists.book import ListBook  # noqa: PLC0415
    from edged.lists.protected import protected  # noqa: PLC0415
    from edged.lockout.gather import Lifelines  # noqa: PLC0415

    clock = SystemClock()
    lifelines = Lifelines.of_this_process(clock)
    return ListBook(store, clock, lambda configuration: tuple(protected(configuration, lifelines.ends(configuration))))
