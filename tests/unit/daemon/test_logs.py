"""Log lines for the journal carry their priority, each of them."""

from __future__ import annotations

import logging

from edged.daemon.logs import JournalFormatter


def test_each_line_of_a_record_has_its_priority() -> None:
    formatter = JournalFormatter("%(message)s")
    record = logging.LogRecord("edged", logging.WARNING, __file__, 1, "drift\nrepaired", None, None)
    assert formatter.format(record) == "<4>drift\n<4>repaired"
    priorities = [
        formatter.format(logging.LogRecord("edged", level, __file__, 1, "x", None, None))
        for level in (logging.DEBUG, logging.INFO, logging.ERROR, logging.CRITICAL)
    ]
    assert priorities == ["<7>x", "<6>x", "<3>x", "<2>x"]
