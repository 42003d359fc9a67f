"""The text of a list, a block of whole lines at a time, so that a list of any size is read in bounded memory.

Lines end in LF or CR LF; blocks have them all end in LF.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from edged.sources.parsed import ListRefused, Reason

LONGEST_LINE = 64 << 10  # characters

_BLOCK = 256 << 10  # characters, about
_WIDE = ("utf-16", "utf-32")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each ending in LF, and the number of the first."""

    first: int
    text: str


def blocks(chunks: Iterable[bytes], charset: str) -> Iterator[Block]:
    """The blocks of a file that comes in chunks of bytes, none empty. Raises ListRefused for what is no list of lines."""
    first = 1
    rest = ""
    for text in _gathered(_decoded(chunks, charset)):
        cut = text.rfind("\n") + 1
        # a CR that ends the text may be half of a line's end
        whole, rest = (rest + text[:cut], text[cut:]) if cut else ("", rest + text)
        if whole:
            yield _checked(Block(first, whole))
            first += whole.count("\n")
        if len(rest) > LONGEST_LINE:
            _checked(Block(first, rest.removesuffix("\r") + "\n"))
    if rest:
        yield _checked(Block(first, rest + "\n"))


def _gathered(texts: Iterable[str]) -> Iterator[str]:
    """The same in pieces that are worth the while."""
    parts: list[str] = []
    size = 0
    for text in texts:
        parts.append(text)
        size += len(text)
        if size >= _BLOCK:
            yield "".join(parts)
            parts, size = [], 0
    yield "".join(parts)


def _decoded(chunks: Iterable[bytes], charset: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(charset)()
    name = codecs.lookup(charset).name
    line = 1
    begun = False
    for chunk in chunks:
        if not begun and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not name.startswith(_WIDE):
            raise ListRefused("line 1 is UTF-16; save the list as UTF-8", Reason.NOT_A_LIST, 1)
        text = _step(decoder, charset, chunk, line)
        if text and not begun and text[0] == "\ufeff":
            raise ListRefused("line 1 begins with a byte order mark; save the list as UTF-8 without BOM", Reason.NOT_A_LIST, 1)
        begun = begun or bool(text)
        line += text.count("\n")
        yield text
    yield _step(decoder, charset, b"", line, final=True)


def _step(decoder: codecs.IncrementalDecoder, charset: str, chunk: bytes, line: int, *, final: bool = False) -> str:
    state = decoder.getstate()
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        good = error.start - (len(error.object) - len(chunk))  # the bytes of the chunk before the wrong one
        decoder.setstate(state)
        with suppress(UnicodeError):
            line += decoder.decode(chunk[: max(good, 0)]).count("\n")
        raise ListRefused(f"line {line} is not {charset.upper()}", Reason.NOT_A_LIST, line) from error
    except UnicodeError as error:  # what some odd character sets raise, without a place
        raise ListRefused(f"line {line} or a later one is not {charset.upper()}", Reason.NOT_A_LIST, line) from error


def _checked(block: Block) -> Block:
    """The block with LF alone at its lines' ends, free of what no list holds."""
    text = block.text
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if (place := text.find("\r")) >= 0:
            line = _line(block, text, place)
            message = f"line {line} holds a carriage return that no line feed follows; save the list with Unix line ends"
            raise ListRefused(message, Reason.NOT_A_LIST, line)
    if (place := text.find("\0")) >= 0:
        line = _line(block, text, place)
        raise ListRefused(f"line {line} holds a NUL byte; this is not a list of addresses", Reason.NOT_A_LIST, line)
    start = 0
    while start < len(text):
        end = text.rfind("\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            line = _line(block, text, start)
            message = f"line {line} is longer than {LONGEST_LINE >> 10} KiB; this is not a list of addresses"
            raise ListRefused(message, Reason.NOT_A_LIST, line)
        start = end + 1
    if block.first == 1 and text.lstrip()[:1] == "<":
        line = _line(block, text, len(text) - len(text.lstrip()))
        raise a_page(line)
    return Block(block.first, text)


def a_page(line: int) -> ListRefused:
    """The refusal of what a web server says in place of a list."""
    return ListRefused(f"line {line}: an HTML page, not a list", Reason.NOT_A_LIST, line)


def _line(block: Block, text: str, place: int) -> int:
    return block.first + text.count("\n", 0, place)
