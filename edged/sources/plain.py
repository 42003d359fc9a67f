"""Plain lists: an address or a prefix a line, with comments after `#` or `;`; what FireHOL's netset and ipset files are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from edged.sources.gather import BATCH, Gatherer
from edged.sources.lines import Block, a_page
from edged.sources.parsed import ListRefused, Reason

_COMMENT = re.compile(r"[#;][^\n]*")
_NO_LIST = re.compile(r"^[ \t]*([<{])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Plain:
    """The format; it has no settings."""


def gather(blocks: Iterable[Block], gatherer: Gatherer) -> None:
    """Take the entries of all lines. Raises ListRefused."""
    for block in blocks:
        text = _COMMENT.sub("", block.text) if "#" in block.text or ";" in block.text else block.text
        if "<" in text or "{" in text:
            _refuse_documents(block, text)
        texts = text.split("\n")
        texts.pop()
        if " " in text or "\t" in text:
            texts = [line.strip(" \t") for line in texts]
        for first, part in _batches(texts):
            lines = np.arange(block.first + first, block.first + first + len(part), dtype=np.uint32)
            if "" in part:
                lines = lines[np.fromiter(map(bool, part), bool, len(part))]
                gatherer.add([line for line in part if line], lines)
            else:
                gatherer.add(part, lines)


def _batches(texts: list[str]) -> Iterator[tuple[int, list[str]]]:
    for first in range(0, len(texts), BATCH):
        yield first, texts[first : first + BATCH]


def _refuse_documents(block: Block, text: str) -> None:
    """Refuse what a web server says in place of a list."""
    if found := _NO_LIST.search(text):
        line = block.first + text.count("\n", 0, found.start(1))
        if found[1] == "<":
            raise a_page(line)
        raise ListRefused(f"line {line}: JSON, not a plain list", Reason.NOT_A_LIST, line)
