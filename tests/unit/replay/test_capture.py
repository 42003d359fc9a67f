"""Opening a capture: what it is by its first bytes, gzip, and the files that are none."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapWriter

from edged.errors import ExitCode
from edged.replay.readers import CaptureUnreadable, open_capture
from edged.replay.readers.stream import CHUNK
from tests.unit.replay.captures import enhanced, interface, pcap, read, section, sound

FRAMES = [bytes(Ether(src="02:00:00:00:00:01") / IP(dst="192.0.2.1") / UDP(dport=port) / bytes(port)) for port in range(1, 40)]
NG = section() + interface() + b"".join(map(enhanced, FRAMES))


class Failing(io.BytesIO):
    """A disk that fails behind its first bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(5, "Input/output error")
        return super().read(size)


def refusal(raw: bytes) -> str:
    with pytest.raises(CaptureUnreadable) as raised:
        read(raw)
    assert raised.value.exit_code is ExitCode.INVALID
    assert str(raised.value) == f"memory: {raised.value.reason}"
    return raised.value.reason


def test_what_scapy_writes_as_pcap_is_read(tmp_path: Path) -> None:
    for nano, endianness in ((False, "<"), (True, "<"), (False, ">"), (True, ">")):
        path = tmp_path / f"{nano}{endianness == '<'}.pcap"
        with PcapWriter(str(path), linktype=1, nano=nano, endianness=endianness) as writer:
            for number, frame in enumerate(FRAMES):
                packet = Ether(frame)
                packet.time = 1_700_000_000 + number
                writer.write(packet)
        with open_capture(path) as capture:
            found = list(capture)
        assert capture.damage is None
        assert [(each.data, each.nanoseconds, each.original_length, each.link) for each in found] == [
            (frame, (1_700_000_000 + number) * 10**9, len(frame), 1) for number, frame in enumerate(FRAMES)
        ]


def test_what_scapy_writes_as_pcapng_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scapy.pcapng"
    writer = PcapNgWriter(str(path))
    for number, frame in enumerate(FRAMES):
        packet = Ether(frame)
        packet.time = 1_700_000_000 + number
        packet.sniffed_on = "one" if number % 2 else "other"
        writer.write(packet)
    writer.close()
    with open_capture(path) as capture:
        found = list(capture)
    assert capture.damage is None
    assert [each.data for each in found] == FRAMES
    assert [each.nanoseconds // 10**9 - 1_700_000_000 for each in found] == list(range(len(FRAMES)))
    assert len({each.interface for each in found}) == 2


@pytest.mark.parametrize("raw", [pcap(*FRAMES), NG], ids=["pcap", "pcapng"])
def test_gzip_is_unpacked(raw: bytes) -> None:
    plain = sound(raw)
    assert sound(gzip.compress(raw)) == plain
    half = len(raw) // 2
    assert sound(gzip.compress(raw[:half]) + bytes(5) + gzip.compress(b"") + gzip.compress(raw[half:]) + bytes(40_000)) == plain


def test_many_small_gzip_members_are_one_file() -> None:
    raw = pcap(*FRAMES)
    assert len(sound(b"".join(gzip.compress(raw[at : at + 3]) for at in range(0, len(raw), 3)))) == len(FRAMES)


def test_a_gzip_file_that_ends_in_the_middle_gives_what_was_in_front() -> None:
    packed = gzip.compress(pcap(*FRAMES), compresslevel=0)
    records, damage = read(packed[: len(packed) // 2])
    assert 0 < len(records) < len(FRAMES)
    assert [record.data for record in records] == FRAMES[: len(records)]
    assert damage is not None
    assert damage.message == "the gzip data ends in the middle"
    assert damage.offset == 24 + sum(16 + len(frame) for frame in FRAMES[: len(records)])


def test_a_damaged_gzip_file_gives_what_was_in_front() -> None:
    packed = gzip.compress(pcap(*FRAMES), compresslevel=0)
    for broken in (packed[:-8] + bytes(8), packed + b"no member"):  # its checksum and length are nothing; no member follows
        records, damage = read(broken)
        assert [record.data for record in records] == FRAMES
        assert damage is not None
        assert damage.message == "the gzip data is damaged"
        assert damage.offset == len(pcap(*FRAMES))


def test_a_gzip_bomb_is_read_in_bounded_memory() -> None:
    huge = pcap(b"good") + bytes(8) + struct.pack("<II", 0x7FFFFFFF, 0) + bytes(50 * CHUNK)
    records, damage = read(gzip.compress(huge))
    assert [record.data for record in records] == [b"good"]
    assert damage is not None


def test_a_disk_that_fails_is_damage() -> None:
    frames = [bytes(1000)] * 1000
    records, damage = read(Failing(pcap(*frames)))
    assert 0 < len(records) < 1000
    assert damage is not None
    assert damage.message == "it cannot be read on: Input/output error"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text and no capture", "neither pcap nor pcapng"),
        (b"\xd4\xc3\xb2", "neither pcap nor pcapng"),
        (pcap()[:23], "the file ends within the pcap header"),
        (b"\xd4\xc3\xb2\xa1\x03\0\0\0" + bytes(16), "pcap version 3.0, of which edged knows 2.4 alone"),
        (section()[:11], "neither pcap nor pcapng"),
        (b"\x34\xcd\xb2\xa1" + bytes(20), "Kuznetzov"),
        (b"\xa1\xb2\xcd\x34" + bytes(20), "Kuznetzov"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "a zstd file: unpack it first"),
        (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "a snoop capture: convert it to pcap"),
        (gzip.compress(gzip.compress(pcap(), mtime=0), mtime=0), "gzipped twice: unpack it first"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (gzip.compress(pcap(), mtime=0)[:12], "the gzip data ends in the middle"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 30, "the gzip data is damaged"),
    ],
)
def test_what_is_no_capture_is_refused(raw: bytes, reason: str) -> None:
    assert reason in refusal(raw)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "absent", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(CaptureUnreadable, match=reason) as raised:
            open_capture(path)
        assert str(path) in str(raised.value)
