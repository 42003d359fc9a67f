"""The memory that a worker and its supervisor share: signs of life and counts, each a word of its own.

Only the worker writes, but for `RELEASED`, which is the supervisor's. The words outlive the worker: the next one on the queue
counts on. A word is written at once (it is aligned), so that a reader sees no half of one.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from typing import Final

from edged.inspect.sight import TrafficClass

_BYTES = mmap.PAGESIZE


class Word(IntEnum):
    """Where each word stands."""

    BEAT = 0  # when the worker last began a packet or a rest, ns of the monotonic clock; 0: it has not begun
    BUSY = 1  # it is at a packet
    LAST = 2  # the number of the last packet that was read
    UNDECIDED = 3
    DECIDED = 4
    UNREADABLE = 5
    FAILED = 6
    RELEASED = 7
    P2P = 8
    STREAMING = 9
    OTHER = 10


# What became of packets: inspected and nothing said yet; its flow was decided, on it or on one before; no IP packet in it; the
# inspector raised; accepted in place of a worker that had not read it.
RESULTS: Final = (Word.UNDECIDED, Word.DECIDED, Word.UNREADABLE, Word.FAILED, Word.RELEASED)
CLASSES: Final = {TrafficClass.P2P: Word.P2P, TrafficClass.STREAMING: Word.STREAMING, None: Word.OTHER}


class Board:
    """The words, by their places; `descriptor` is the memory's, and closed with it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.words = memoryview(mmap.mmap(descriptor, _BYTES)).cast("Q")

    @classmethod
    def make(cls) -> Board:
        """New memory, all zero."""
        descriptor = os.memfd_create("edged-board")
        os.ftruncate(descriptor, _BYTES)
        return cls(descriptor)

    def served(self) -> int:
        """How many packets workers have done with."""
        return sum(self.words[word] for word in RESULTS[:-1])

    def close(self) -> None:
        """Give the descriptor back; the words stay readable in this process."""
        os.close(self.descriptor)
