"""The first bytes of a connection: TLS, HTTP and DNS, and the names in them."""

from __future__ import annotations

from edged.inspect.names import dns, http, tls
from edged.inspect.names.answers import Hello, NeedMore
from edged.inspect.names.host import host_name, host_of
from tests.fuzz.target import Target
from tests.unit.inspect.names.test_any_bytes import SAMPLES


def run(data: bytes) -> None:
    """Every reader answers with one of its answers."""
    assert isinstance(tls.opening(data), Hello | NeedMore | tls.NotTls)
    assert isinstance(tls.client_hello(data), Hello | NeedMore | tls.NotTls)
    assert isinstance(http.request_head(data), http.Request | NeedMore | http.NotHttp)
    assert isinstance(http.response_head(data), http.Response | NeedMore | http.NotHttp)
    assert isinstance(dns.message(data), dns.Message | dns.NotDns)
    assert isinstance(dns.messages(data), dns.Messages | NeedMore | dns.NotDns)
    assert isinstance(host_name(data), str | None)
    assert isinstance(host_of(data), str | None)


TARGET = Target(10, run, SAMPLES, p999=1.0)
