"""Real heavy clients, all at once, are each held to the rate of their class: the whole way from packets to qdiscs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from edged.addresses import Family
from edged.lab.topology import Host
from edged.ruleset.nodes import Transport
from tests.netns.bulk import Way
from tests.netns.caps.certificates import Certificates
from tests.netns.caps.gateway import STREAMING_NAME, CapsGateway, Plan, Settings, caps_gateway
from tests.netns.caps.held import LEAST, MOST, arrivals, megabits_once_heavy
from tests.netns.caps.quic import fetching
from tests.netns.caps.served import serving
from tests.netns.caps.streams import consuming, media_server, rtmp_server, tls_client, tls_server
from tests.netns.caps.torrents import downloading

RATE = 8  # Mbit/s
FILE = 24_000_000  # bytes of a torrent: more than libtorrent and the rate carry while a test lasts
ENDLESS = 2_000_000_000  # bytes of a stream
SECONDS = 2.0
FAMILY = Family.IPV4  # of librtmp; test_recognition.py has both


@dataclass(frozen=True, slots=True)
class Client:
    """A real client of its own subscriber, and the least of its rate that it takes."""

    name: str
    way: Way
    least: float = LEAST


@contextmanager
def clients(gateway: CapsGateway, shown: Certificates) -> Iterator[list[Client]]:
    """Each under way."""
    web, own = gateway.topology.web, [each.host for each in gateway.subscribers]
    with ExitStack() as started:
        for port, serve in ((443, tls_server(shown, ENDLESS)), (80, media_server(ENDLESS)), (1935, rtmp_server(ENDLESS))):
            started.enter_context(serving(web, FAMILY, port, serve))
        started.enter_context(consuming(tls_client(own[2], web, FAMILY, 443, shown, STREAMING_NAME)))
        started.enter_context(fetching(web, gateway.topology.dynamic, FAMILY, 443, shown, STREAMING_NAME, ENDLESS))
        curl(own[3], f"http://{web.ipv4}/film.mp4")
        curl(own[4], f"rtmp://{web.ipv4}/app/film")
        started.enter_context(downloading(web, own[0], FAMILY, Transport.TCP, FILE))
        started.enter_context(downloading(own[1], web, FAMILY, Transport.UDP, FILE))
        yield [
            Client("BitTorrent down", ((web, own[0]), FAMILY)),
            Client("uTP up", ((own[1], web), FAMILY), 0.5),  # it gives way to the queue that it makes itself (BEP 29)
            Client("TLS", ((web, own[2]), FAMILY)),
            Client("QUIC", ((web, gateway.topology.dynamic), FAMILY)),
            Client("HTTP", ((web, own[3]), FAMILY)),
            Client("RTMP", ((web, own[4]), FAMILY)),
        ]


def curl(host: Host, url: str) -> None:
    """Fetch it to nowhere; it ends with the topology."""
    host.popen(["curl", "-s", "--interface", host.ipv4, "-o", "/dev/null", url])


def test_each_is_held_to_its_rate(shown: Certificates) -> None:
    """HV-1, by what comes in at the subscribers, and for the upload at the server."""
    with caps_gateway(Settings([Plan("wide", RATE * 1000, RATE * 1000)]), ["wide"] * 5) as gateway:
        gateway.limit_segments(8)
        # QUIC's subscriber has no row, and no plan
        with clients(gateway, shown) as started, arrivals([each.way for each in started]) as arrived:
            seen = megabits_once_heavy(arrived, SECONDS)
    told = ", ".join(f"{each.name} {got:.2f}" for each, got in zip(started, seen, strict=True))
    print(told)
    for client, got in zip(started, seen, strict=True):
        assert client.least * RATE <= got <= MOST * RATE, told
