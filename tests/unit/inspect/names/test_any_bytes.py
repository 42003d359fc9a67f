"""Whatever bytes come, every reader answers, and answers the same again; `EDGED_PROFILE=long` tries many more."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.inspect.names import dns, http, quic, tls
from edged.inspect.names.answers import LONGEST, Hello, NeedMore
from edged.inspect.names.host import host_name, host_of
from edged.inspect.names.quic_frames import CryptoStream
from tests.unit.inspect.names.hellos import NAME, big, client_hello, named, records, server_name
from tests.unit.inspect.names.initials import V2, chlo, crypto, google, initial, long_header
from tests.unit.inspect.names.test_dns import ANSWER, STREAM
from tests.unit.inspect.names.test_http import HEAD, MEDIA

EXAMPLES = settings(max_examples=20_000 if os.environ.get("EDGED_PROFILE") == "long" else 150, deadline=None)
FRAMES = b"\x02\x05\0\1\0\0\0" + crypto(60, named()[60:]) + bytes(9) + crypto(0, named()[:70]) + b"\1"
SAMPLES = (
    *(records(named()), records(big(), 300), initial(FRAMES), initial(FRAMES, version=V2), initial(FRAMES)[:60]),
    *(
        initial(crypto(0, named()[:50])) + long_header(1, bytes(9)) + initial(crypto(50, named()[50:])),
        bytes.fromhex("ff0000000100"),
    ),
    *(
        google(chlo((b"SNI\0", NAME), (b"VER\0", b"Q043"))),
        HEAD,
        b"GET http://a.example/ HTTP/1.1\r\nHost:\r\n x",
        MEDIA,
        ANSWER,
        STREAM,
    ),
)


@st.composite
def mutated(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A sample with some bits flipped, some bytes cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0 if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del data[at : at + draw(st.integers(0, 40))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(0, 40))]
            case _:
                data[at:at] = draw(st.binary(max_size=9))
    return bytes(data)


ANY = st.one_of(st.binary(max_size=300), mutated(SAMPLES))


@EXAMPLES
@given(ANY)
def test_the_readers_of_streams_answer_with_one_of_their_answers(data: bytes) -> None:
    assert isinstance(tls.opening(data), Hello | NeedMore | tls.NotTls)
    assert isinstance(tls.client_hello(data), Hello | NeedMore | tls.NotTls)
    assert isinstance(http.request_head(data), http.Request | NeedMore | http.NotHttp)
    assert isinstance(http.response_head(data), http.Response | NeedMore | http.NotHttp)
    assert isinstance(dns.message(data), dns.Message | dns.NotDns)
    assert isinstance(dns.messages(data), dns.Messages | NeedMore | dns.NotDns)
    assert isinstance(host_name(data), str | None)
    assert isinstance(host_of(data), str | None)


@EXAMPLES
@given(st.lists(ANY, max_size=5), ANY)
def test_the_reader_of_quic_answers_with_one_of_its_answers(datagrams: list[bytes], from_server: bytes) -> None:
    reader = quic.InitialHello()
    for datagram in datagrams:
        assert isinstance(reader.take(datagram), Hello | NeedMore | quic.NotQuic)
        reader.retry(from_server)
        assert reader.held <= 2 * LONGEST


@EXAMPLES
@given(st.lists(mutated((FRAMES, b"\x03" + bytes(7), crypto(LONGEST - 3, b"abc"))), max_size=5))
def test_any_frames_of_a_packet_that_opens(frames: list[bytes]) -> None:
    stream = CryptoStream()
    for one in frames:
        stream.take(one)
        assert len(stream.beginning()) <= stream.held // 2 <= LONGEST


@EXAMPLES
@given(mutated((records(named()), records(big(), 300))), st.integers(0, 2000))
def test_an_answer_to_a_beginning_stays_the_answer(data: bytes, length: int) -> None:
    early = tls.opening(data[:length])
    assert isinstance(early, NeedMore) or early == tls.opening(data)


@EXAMPLES
@given(st.data())
def test_crypto_frames_in_any_order_give_the_name_or_none(data: st.DataObject) -> None:
    handshake = named()
    ends = [*sorted(data.draw(st.sets(st.integers(1, len(handshake) - 1), max_size=8))), len(handshake)]
    pieces = [crypto(begin, handshake[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
    came = data.draw(st.lists(st.sampled_from(pieces), max_size=14))
    reader = quic.InitialHello()
    answers = [reader.take(initial(piece)) for piece in came]
    whole = Hello("www.example.com", has_ech=False)
    for count, answer in enumerate(answers, 1):
        assert answer == (whole if set(pieces) <= set(came[:count]) else NeedMore())


LARGE = 65_000
FOUND = Hello("www.example.com", has_ech=False)
UNNAMED = Hello(None, has_ech=False)
SPARSE = b"".join(crypto(at, b"a") for at in range(0, 1000, 2))


def take(datagram: bytes) -> object:
    return quic.InitialHello().take(datagram)


WORST = {
    "records of one byte": (tls.opening, records(client_hello(server_name(NAME), (21, bytes(LONGEST - 200))), 1), FOUND),
    "empty extensions": (tls.opening, records(client_hello(*[(99, b"")] * 4000)), UNNAMED),
    "frames of one byte": (take, initial(crypto(0, b"\1") * (LARGE // 4)), NeedMore()),
    "holes to be filled": (take, initial(crypto(4, b"a") + SPARSE + crypto(0, bytes(LONGEST))), quic.NotQuic()),
    "padding and pings": (take, initial(b"\0\1" * (LARGE // 2)), NeedMore()),
    "an endless ACK": (take, initial(b"\x02\0\0" + b"\xff" * 8 + bytes(LARGE)), NeedMore()),
    "packets that do not open": (take, (initial(b"")[:-1] + b"x") * 1000, NeedMore()),
    "short header lines": (http.request_head, b"GET / HTTP/1.1\n" + b"a\n" * LARGE, http.Request(b"GET", b"/", None, 0)),
    "a folded header": (http.request_head, b"GET / HTTP/1.1\nHost:" + b"\n x" * LARGE, http.Request(b"GET", b"/", None, 0)),
    "blanks in the request line": (http.request_head, b"GET " + b" " * 8100 + b"HTTP/1.1\n", http.NotHttp()),
    "interim responses": (http.response_head, b"HTTP/1.1 100 \n\n" * LARGE, http.NotHttp()),
    "many records": (dns.message, b"\0\0\0\0\0\0\xff\xff\0\0\0\0" + bytes(11) * 5900, dns.NotDns()),
    "many messages": (dns.messages, (b"\0\x0c" + bytes(12)) * 4600, dns.Messages((dns.Message(None),) * 4600, 64400)),
}


@pytest.mark.parametrize("case", WORST)
def test_the_worst_input_takes_a_bounded_time(case: str) -> None:
    reader, data, answer = WORST[case]
    begin = time.process_time()
    assert reader(data) == answer
    assert time.process_time() - begin < 0.25
