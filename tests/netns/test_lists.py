"""Lists through the real daemon: watched files, refused lists, restarts, sudden deaths, and what others get to see."""

from __future__ import annotations

import gzip
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edged.addresses import Family
from edged.control.client import DaemonRefused
from edged.errors import ExitCode
from edged.kernel.attrs import nest, number, text
from edged.kernel.elements import encode_keys
from edged.kernel.linux import LinuxKernel
from edged.kernel.nftsocket import NftSocket
from edged.kernel.uapi import ElemAttr, Msg, SetAttr
from edged.lab.topology import Topology
from edged.sources.formats import CsvFormat, SpamhausDrop
from edged.sources.parsed import Reason
from tests.broken_lists.cases import Case, broken_lists
from tests.fetch.authority import Authority
from tests.fetch.server import content, serving, status
from tests.netns.daemon_process import Daemon, eventually

IS_LONG = os.environ.get("EDGED_PROFILE") == "long"
POLICY = "rules.d/10-blocklist.yaml"


@pytest.fixture
def daemon(topology: Topology) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    (made.folder / "lists/feed").write_text("192.0.2.128/26\n20.0.0.1\n20.0.0.2\n2a00:1::/32\n")
    lists = "[{name: feed, path: lists/feed}]"
    (made.folder / POLICY).write_text(f"policy: blocklist\nlists: {lists}\nallow: [20.0.0.200]\n")
    try:
        yield made
    finally:
        made.close()


def feed(daemon: Daemon, *lines: str) -> None:
    """A new list, in one step as a careful feed would put it there."""
    new = daemon.folder / "lists/new"
    new.write_text("".join(f"{line}\n" for line in lines))
    new.replace(daemon.folder / "lists/feed")


def health(daemon: Daemon) -> dict[str, object]:
    (found,) = daemon.client.status()["lists"]
    return dict(found)


def blocked(daemon: Daemon, address: str) -> bool:
    return daemon.client.blocklist_test(address)["blocked"]


def elements(daemon: Daemon) -> str:
    """What nft says of our table with all its elements, but for counts."""
    return daemon.host.run(["nft", "-s", "list", "table", "inet", "edged"], check=True).stdout


def test_a_changed_file_is_taken_by_itself_and_element_by_element(daemon: Daemon) -> None:
    daemon.start()
    generation = daemon.client.status()["generation"]
    feed(daemon, "192.0.2.128/26", "20.0.0.1", "20.0.0.3", "2a00:1::/32")
    assert eventually(lambda: blocked(daemon, "20.0.0.3")) < 2
    eventually(lambda: daemon.client.status()["generation"] > generation)
    assert not blocked(daemon, "20.0.0.2")
    status = daemon.client.status()
    assert (status["in_sync"], status["degraded"], health(daemon)["entries"]) == (True, [], 4)
    assert sum(status["drift_repairs"].values()) == 0
    listed = elements(daemon)
    assert "20.0.0.3" in listed
    assert "20.0.0.2" not in listed


def test_a_broken_list_changes_nothing_and_is_told_everywhere(daemon: Daemon) -> None:
    daemon.start()
    before = elements(daemon)
    generation = daemon.client.status()["generation"]
    feed(daemon, "<html>", "503 Service Unavailable")
    eventually(lambda: health(daemon)["refused"])
    status = daemon.client.status()
    assert (elements(daemon), status["generation"], status["in_sync"]) == (before, generation, True)
    assert [each["what"] for each in status["degraded"]] == ["list feed"]
    assert "the last good list" in status["degraded"][0]["instead"]
    assert (health(daemon)["reason"], health(daemon)["entries"]) == ("not_a_list", 4)
    assert "list feed is refused" in daemon.log()
    metrics = daemon.metrics()
    assert metrics['edged_blocklist_last_load_successful{list="feed"}'] == 0
    assert metrics['edged_blocklist_refusals_total{list="feed",reason="not_a_list"}'] >= 1
    assert metrics['edged_blocklist_entries{list="feed"}'] == 4
    assert time.time() - metrics['edged_blocklist_last_success_timestamp_seconds{list="feed"}'] < 60
    answer = daemon.client.reload()
    assert [line.partition(":")[0] for line in answer["refused"]] == [f"list feed is refused ({daemon.folder}/lists/feed)"]
    assert elements(daemon) == before
    feed(daemon, "192.0.2.128/26", "20.0.0.1", "20.0.0.4")
    eventually(lambda: blocked(daemon, "20.0.0.4"))
    assert daemon.client.status()["degraded"] == []


def as_setting(case: Case) -> str:
    """The list's settings that the case is about."""
    match case.format:
        case CsvFormat(address, length, delimiter, charset, header):
            columns = {"address": address, "length": length, "delimiter": delimiter, "charset": charset, "header": header}
            given = {key: value for key, value in columns.items() if value is not None}
            return f"format: csv, columns: {json.dumps(given)}"
        case SpamhausDrop():
            return "format: spamhaus-drop"
        case _:
            return "format: plain"


def test_no_broken_list_changes_a_byte_of_the_policy(daemon: Daemon) -> None:
    """Every broken list that is so by itself, through a reload of the daemon: refused, told, and nothing else."""
    daemon.start()
    before, generation = elements(daemon), daemon.client.status()["generation"]
    cases = [case for case in broken_lists() if case.source is not None and not case.protected and case.former is None]
    assert len(cases) >= 40
    for case in cases:
        with case.open() as content:
            (daemon.folder / "lists/new").write_bytes(content.read())
        (daemon.folder / POLICY).write_text(
            f"policy: blocklist\nlists: [{{name: feed, path: lists/feed, {as_setting(case)}}}]\nallow: [20.0.0.200]\n"
        )
        (daemon.folder / "lists/new").replace(daemon.folder / "lists/feed")
        (refusal,) = daemon.client.reload()["refused"]
        assert refusal.startswith("list feed is refused"), case.name
        # 192.0.2.1 and 192.0.2.2 are this gateway's own, which is graver and told first
        assert health(daemon)["reason"] in (case.reason, Reason.PROTECTED), case.name
        assert case.message in refusal, case.name
        assert (elements(daemon), daemon.client.status()["generation"]) == (before, generation), case.name


def test_the_last_good_list_is_in_force_before_its_source_is_read(daemon: Daemon) -> None:
    daemon.start()
    before = elements(daemon)
    daemon.stop()
    daemon.host.run(["nft", "delete", "table", "inet", "edged"])
    (daemon.folder / "lists/feed").unlink()
    daemon.start()
    assert elements(daemon) == before
    eventually(lambda: "cannot be read" in str(health(daemon)["refused"]))
    assert blocked(daemon, "20.0.0.2")


def test_a_restart_with_the_same_lists_writes_nothing(daemon: Daemon) -> None:
    daemon.start()
    if daemon.client.status()["lock"] != "owner, persist":
        pytest.skip("this kernel has no persist: an orphaned table goes")
    owner = os.dup(daemon.systemd.kept["nft"])
    generation = daemon.client.status()["generation"]
    daemon.kill()
    daemon.start(owner=owner)
    os.close(owner)
    time.sleep(1)  # the sources are looked at once more
    assert daemon.client.status()["generation"] == generation


def test_reload_ends_with_six_where_a_list_is_refused_and_does_the_rest(daemon: Daemon) -> None:
    daemon.start()
    feed(daemon, "192.0.2.2")  # the gateway's own address
    daemon.write("rules.d/20-op25b.yaml", "mode: enforce", "mode: observe")
    done = daemon.host.run(["env", "PYTHONPATH=.", *_edged(), "reload", "-c", str(daemon.config)])
    assert done.returncode == ExitCode.REFUSED, done.stderr
    assert "192.0.2.2 is protected (the gateway's own address)" in done.stderr
    assert "op25b_up_ip_observe" in elements(daemon)
    assert blocked(daemon, "20.0.0.2")
    checked = daemon.host.run(["env", "PYTHONPATH=.", *_edged(), "check", "-c", str(daemon.config)])
    assert checked.returncode == ExitCode.REFUSED
    assert "the gateway's own address" in checked.stderr


def _edged() -> list[str]:
    return [str(Path(__file__).parents[2] / ".venv/bin/python"), "-m", "edged"]


def test_blocklist_test_says_where_and_logs_no_address(daemon: Daemon) -> None:
    daemon.start()
    found = daemon.client.blocklist_test("192.0.2.131")
    assert found["blocked"]
    assert [(each["list"], each["place"], each["prefix"]) for each in found["listings"]] == [
        ("feed", "lists/feed:1", "192.0.2.128/26")
    ]
    assert not daemon.client.blocklist_test("192.0.2.1")["listings"]
    with pytest.raises(DaemonRefused, match="expected an IPv4 or IPv6 address"):
        daemon.client.blocklist_test("example.net")
    assert "blocklist test" in daemon.log()
    assert "192.0.2.131" not in daemon.log()


def test_bl10_no_entry_of_a_confidential_list_is_shown_anywhere(daemon: Daemon) -> None:
    secret = "198.18.77.77"
    (daemon.folder / "lists/secret").write_text(f"{secret}\n198.18.79.0/24\n")
    daemon.write(POLICY, "lists: [", "lists: [{name: authority, path: lists/secret, confidential: true}, ")
    daemon.start()
    shown = [daemon.log(), json.dumps(daemon.client.status()), str(daemon.metrics())]
    for command in (["render"], ["check"], ["plan"], ["status"], ["blocklist", "test", "198.18.79.9"]):
        done = daemon.host.run(["env", "PYTHONPATH=.", *_edged(), *command, "-c", str(daemon.config)])
        shown += [done.stdout, done.stderr]
    (daemon.folder / "lists/secret").write_text(f"{secret}\n198.18.79.0/24\n{secret}/33\n10.0.0.0/8\n")
    eventually(lambda: "list authority is refused" in daemon.log())
    shown += [daemon.log(), json.dumps(daemon.client.status())]
    assert "198.18.77" not in "".join(shown)
    assert "198.18.79.0" not in "".join(shown)
    asked = daemon.client.blocklist_test(secret)
    assert [(each["list"], each["prefix"], each["place"]) for each in asked["listings"]] == [("authority", None, None)]
    number_of_entry = asked["listings"][0]["entry"]
    assert isinstance(number_of_entry, int)
    assert daemon.client.blocklist_test(secret)["listings"][0]["entry"] == number_of_entry
    state = daemon.folder / "state/lists"
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


def test_a_list_from_the_web_is_fetched_and_a_wrong_answer_changes_nothing(daemon: Daemon, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate = authority.certificate("good", "IP:127.0.0.1", "20200101000000Z", "20991231000000Z")
    with serving(certificate, netns=daemon.host.netns) as server:
        server.pages["/list"] = content(gzip.compress(b"198.18.1.1\n198.18.1.2\n"), ETag='"one"')
        url = f'{{name: web, url: "{server.url()}?token=secret", ca: {authority.pem}}}'
        daemon.write(POLICY, "lists: [", f"lists: [{url}, ")
        daemon.start()
        eventually(lambda: blocked(daemon, "198.18.1.2"))
        assert not daemon.client.status()["degraded"]
        server.pages["/list"] = status(304)
        assert daemon.client.blocklist_update() == {"asked": ["web"]}
        eventually(lambda: len(server.asked) == 2)
        assert server.asked[1].headers["If-None-Match"] == '"one"'
        before = elements(daemon)
        server.pages["/list"] = content(b"<html>maintenance</html>")
        daemon.client.blocklist_update()
        eventually(lambda: "not a list" in str(daemon.client.status()["lists"][0]["refused"]))
        assert elements(daemon) == before
    daemon.client.blocklist_update()
    eventually(lambda: "cannot be fetched" in str(daemon.client.status()["lists"][0]["refused"]))
    assert (elements(daemon), blocked(daemon, "198.18.1.1")) == (before, True)
    assert "secret" not in daemon.log() + json.dumps(daemon.client.status())
    daemon.kill()
    daemon.start()
    assert elements(daemon) == before


# --- kill -9 at any moment ---

SIZE = 1_000_000 if IS_LONG else 100_000
KILLS = 100 if IS_LONG else 6


def in_force(daemon: Daemon) -> str:
    """The set that the rules ask: a list that is far from the one before gets another."""
    with closing(LinuxKernel(daemon.host.netns)) as kernel:
        table = kernel.observe().table
        assert table is not None
        (name,) = {name for name in table.chains["blocklist_up"].notes if name.startswith("blocklist4_32")}
        return name


def count_of(daemon: Daemon) -> int:
    name = in_force(daemon)
    with closing(NftSocket(daemon.host.netns)) as opened:
        found = opened.get(Msg.GETSET, text(SetAttr.TABLE, "edged") + text(SetAttr.NAME, name))
        assert found is not None
        return number(found.get(SetAttr.COUNT))


def held(daemon: Daemon, addresses: np.ndarray) -> int:
    """How many of the addresses are in the set, asked one by one."""
    name = in_force(daemon)
    with closing(NftSocket(daemon.host.netns)) as opened:
        where = text(ElemAttr.LIST_TABLE, "edged") + text(ElemAttr.LIST_SET, name)
        return sum(
            opened.get(
                Msg.GETSETELEM, where + nest(ElemAttr.LIST_ELEMENTS, *encode_keys(Family.IPV4, address.astype(">u4").tobytes()))
            )
            is not None
            for address in addresses.reshape(-1, 1)
        )


def _all_held(daemon: Daemon, addresses: np.ndarray) -> bool:
    return held(daemon, addresses) == len(addresses)


def test_kill_9_in_the_middle_of_a_change_leaves_the_old_list_or_the_new_one(daemon: Daemon) -> None:
    source = random.Random(7)
    addresses = np.unique(np.random.default_rng(7).integers(0x14000000, 0x60000000, SIZE * 2, dtype=np.uint32))
    np.random.default_rng(8).shuffle(addresses)
    # in turn: a few others, and a whole other half
    both, few = addresses[:SIZE], SIZE // 1000
    lists = (both, np.concatenate((both[few:], addresses[SIZE : SIZE + few])), addresses[SIZE // 2 : SIZE // 2 + SIZE])
    written = [daemon.folder / f"list{n}" for n in range(3)]
    for path, listed in zip(written, lists, strict=True):
        octets = listed.astype(">u4").view(np.uint8).reshape(-1, 4)
        path.write_text("\n".join(".".join(map(str, four)) for four in octets.tolist()) + "\n")
    present = 0
    seen = []
    _put(daemon, written[present])
    daemon.start()
    for _ in range(KILLS):
        wanted = source.choice([n for n in range(3) if n != present])
        # of the few all; of the others as many, and the count
        only_old = np.setdiff1d(lists[present], lists[wanted])[:few]
        only_new = np.setdiff1d(lists[wanted], lists[present])[:few]
        _put(daemon, written[wanted])
        time.sleep(source.uniform(0.1, 1.6 if IS_LONG else 0.7))
        daemon.kill()
        old, new = (held(daemon, some) for some in (only_old, only_new))
        assert (old, new) in ((len(only_old), 0), (0, len(only_new)))
        assert count_of(daemon) == SIZE
        seen.append(bool(new))
        daemon.start()
        eventually(partial(_all_held, daemon, only_new), 20)
        assert held(daemon, only_old) == 0
        assert daemon.client.status()["in_sync"]
        present = wanted
    assert set(seen) == {True, False} or not IS_LONG, "every kill came too early, or every one too late"


def _put(daemon: Daemon, path: Path) -> None:
    new = daemon.folder / "lists/new"
    new.write_bytes(path.read_bytes())
    new.replace(daemon.folder / "lists/feed")
