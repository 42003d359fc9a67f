"""Real clients are recognised by the daemon's inspectors, within their first packets.

BitTorrent is libtorrent's, over TCP and over uTP; QUIC is aioquic's, TLS is OpenSSL's. HTTP and RTMP have curl as their client,
whose librtmp speaks IPv4 alone, and servers of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.addresses import Family
from edged.lab.topology import Host
from edged.marks import FlowClass
from edged.ruleset.nodes import Direction, Transport
from tests.netns.caps import torrents
from tests.netns.caps.certificates import Certificates
from tests.netns.caps.gateway import STREAMING_NAME, CapsGateway, Plan, Settings, caps_gateway
from tests.netns.caps.quic import fetching
from tests.netns.caps.served import Serve, serving
from tests.netns.caps.sightings import Sightings, sightings
from tests.netns.caps.streams import media_server, receive, rtmp_server, tls_client, tls_server
from tests.netns.daemon_process import eventually

BUDGET, LONG_BUDGET = 8, 16  # packets with payload; the longer where a ClientHello spans segments
SIZE = 100_000  # bytes of a transfer
TINY_SEGMENT = 100  # bytes: a ClientHello takes six
FAMILIES = pytest.mark.parametrize("family", Family, ids=lambda family: family.label)


@pytest.fixture(scope="module")
def gateway() -> Iterator[CapsGateway]:
    with caps_gateway(Settings([Plan("wide", 50_000, 50_000)]), ["wide"]) as made:
        made.limit_segments(1)
        yield made


def assert_recognised(seen: Sightings, flow_class: FlowClass, within: int) -> None:
    assert seen.decided_with() <= within
    strange = {FlowClass.P2P, FlowClass.STREAMING} - {flow_class}
    assert not any(seen.read()[each] for each in strange)


@FAMILIES
@pytest.mark.parametrize("transport", Transport, ids=["tcp", "utp"])
@pytest.mark.parametrize("direction", Direction, ids=lambda direction: direction.value)
def test_bittorrent(gateway: CapsGateway, direction: Direction, transport: Transport, family: Family) -> None:
    """HV-2: whichever side has the file and is connected to."""
    ends = [gateway.topology.web, gateway.topology.dynamic]
    seeder, leecher = ends if direction is Direction.DOWN else reversed(ends)
    with sightings(gateway.topology.gateway, transport, torrents.SEED_PORT) as seen:
        with torrents.downloading(seeder, leecher, family, transport, SIZE) as download:
            eventually(lambda: download.is_whole, 10)
        assert_recognised(seen, FlowClass.P2P, BUDGET)


@FAMILIES
@pytest.mark.parametrize(("segment", "within"), [(None, BUDGET), (TINY_SEGMENT, LONG_BUDGET)], ids=["whole", "split"])
def test_tls_by_its_server_name(
    gateway: CapsGateway, family: Family, segment: int | None, within: int, shown: Certificates
) -> None:
    web, subscriber = gateway.topology.web, gateway.topology.dynamic
    with serving(web, family, 443, tls_server(shown, SIZE)), sightings(gateway.topology.gateway, Transport.TCP, 443) as seen:
        with tls_client(subscriber, web, family, 443, shown, STREAMING_NAME, segment=segment) as client:
            assert receive(client, SIZE) == SIZE
        assert_recognised(seen, FlowClass.STREAMING, within)
        if segment is not None:
            assert seen.decided_with() > 2, "the ClientHello was not split"


@FAMILIES
def test_quic_by_its_server_name(gateway: CapsGateway, family: Family, shown: Certificates) -> None:
    web, subscriber = gateway.topology.web, gateway.topology.dynamic
    with sightings(gateway.topology.gateway, Transport.UDP, 443) as seen:
        with fetching(web, subscriber, family, 443, shown, STREAMING_NAME, SIZE) as fetch:
            eventually(lambda: fetch.received == SIZE, 10)
        assert_recognised(seen, FlowClass.STREAMING, BUDGET)


@FAMILIES
@pytest.mark.parametrize("path", [("live.m3u8", "0.ts"), ("film.mp4",)], ids=["hls", "progressive"])
def test_media_over_http(gateway: CapsGateway, family: Family, path: tuple[str, ...], tmp_path: Path) -> None:
    """By what is asked for and answered: the server has no name."""
    with sightings(gateway.topology.gateway, Transport.TCP, 80) as seen:
        fetch(gateway, family, media_server(SIZE), "http", 80, path, tmp_path)
        assert_recognised(seen, FlowClass.STREAMING, BUDGET)


def test_rtmp(gateway: CapsGateway, tmp_path: Path) -> None:
    with sightings(gateway.topology.gateway, Transport.TCP, 1935) as seen:
        fetch(gateway, Family.IPV4, rtmp_server(SIZE), "rtmp", 1935, ("app/film",), tmp_path)
        assert_recognised(seen, FlowClass.STREAMING, BUDGET)


@FAMILIES
def test_a_download_that_is_neither_has_no_class(gateway: CapsGateway, family: Family, tmp_path: Path) -> None:
    """HV-2: an undecided flow gets no class."""
    with sightings(gateway.topology.gateway, Transport.TCP, 80) as seen:
        fetch(gateway, family, media_server(SIZE), "http", 80, ("image.iso",), tmp_path)
        found = seen.read()
    assert found[FlowClass.NONE] > LONG_BUDGET
    assert not found[FlowClass.P2P] + found[FlowClass.STREAMING]


def fetch(
    gateway: CapsGateway, family: Family, serve: Serve, scheme: str, port: int, paths: tuple[str, ...], folder: Path
) -> None:
    """curl fetches all of it over one connection."""
    web: Host = gateway.topology.web
    address = str(web.address(family))
    there = f"{scheme}://[{address}]/" if family is Family.IPV6 else f"{scheme}://{address}/"
    targets = [word for path in paths for word in ("-o", folder / path.replace("/", "-"), there + path)]
    with serving(web, family, port, serve):
        done = gateway.topology.dynamic.run(["curl", "-sS", *targets], check=True)
    assert done.returncode == 0, done.stderr
    last = folder / paths[-1].replace("/", "-")
    assert last.stat().st_size >= SIZE
