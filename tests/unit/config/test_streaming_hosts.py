"""The file of host names that caps name: a part of the configuration, like every other file of it."""

from __future__ import annotations

import pytest

from edged.config.files import StoredFiles
from edged.loader import InvalidConfiguration, load
from edged.sources.hosts import Hosts
from tests.unit.config.files import EDGED, FOLDER, NOW, loaded

CAPS = "policy: caps\nclasses: {streaming: {after: 50MB, down: 8mbit, up: 8mbit}}\n"
NAMING = CAPS + "streaming_hosts: hosts.txt\n"
FILE = FOLDER / "hosts.txt"


def refused(hosts: str | bytes | None, caps: str = NAMING, edged: str = EDGED) -> list[str]:
    with pytest.raises(InvalidConfiguration) as raised:
        loaded(edged, hosts=hosts, caps=caps)
    return str(raised.value).splitlines()


def test_the_hosts_are_those_of_the_file_and_the_file_is_kept_with_the_others() -> None:
    text = "# services\nvideo.example\nAudio.example  # and its covers\n"
    configuration = loaded(hosts=text, caps=NAMING)
    assert configuration.streaming_hosts == Hosts(frozenset({"video.example", "audio.example"}))
    assert configuration.sources[FILE] == text.encode()
    again = load(configuration.path, now=NOW, files=StoredFiles(configuration.sources))
    assert again.streaming_hosts == configuration.streaming_hosts


def test_without_the_key_or_the_policy_there_are_none() -> None:
    assert loaded(caps=CAPS).streaming_hosts == loaded().streaming_hosts == Hosts()
    assert FILE not in loaded(hosts="video.example\n", caps=CAPS).files


def test_every_mistake_is_told_with_its_place() -> None:
    assert refused("video.example\n*.audio.example\n  http://radio.example/\nco.jp\nvideo.example\n") == [
        "hosts.txt:2:1: '*.audio.example': a suffix covers all names below it; write 'audio.example'",
        "hosts.txt:3:3: 'http://radio.example/': expected a host name, got a URL",
        "hosts.txt:4:1: 'co.jp': a public suffix, below which are the names of many; write the service's own domain",
        "hosts.txt:5:1: 'video.example': is on line 1 already",
    ]
    assert refused(b"video.example\n\xe9\n") == ["hosts.txt:2:1: expected UTF-8"]


def test_they_are_told_together_with_those_of_the_other_files_even_of_the_one_that_names_it() -> None:
    wrong = NAMING.replace("8mbit, up", "8mbits, up")
    lines = refused("*.audio.example\n", wrong, EDGED.replace("gw1", "''"))
    assert [line.split(": ")[0] for line in lines] == ["edged.yaml:1:17", "rules.d/caps.yaml:2:42", "hosts.txt:1:1"]


def test_a_file_that_is_not_there_is_told_where_it_is_named() -> None:
    assert refused(None) == ["rules.d/caps.yaml:3:18: streaming_hosts: hosts.txt was not stored"]


def test_of_a_file_of_nothing_but_mistakes_some_are_told_and_all_are_counted() -> None:
    lines = refused("*.video.example\n" * 3_000)
    assert len(lines) == 1_001
    assert lines[-1] == "hosts.txt:1000:1: and 2000 more mistakes in this file"
