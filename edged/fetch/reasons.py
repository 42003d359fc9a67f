"""Why a download failed, in words for the operator: what happened, and what to do.

Words that a server chose are not repeated, and of a URL only what `shown` leaves.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

from edged.fetch.messages import MEBIBYTE, printable, shown

# X509_V_ERR_* of openssl/x509_vfy.h: no way from the certificate to an authority that is trusted
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
# X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_OTHER_HOST = frozenset({62, 64})
# X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_OTHER_TIME = frozenset({9, 10})


class DownloadFailed(Exception):
    """A download failed; the text says why and what to do, without the URL that was asked for."""


class TooSlow(Exception):
    """The time is up. No OSError: the standard library would take that for one address that does not answer."""


@contextmanager
def of_network(url: str) -> Iterator[None]:
    """Turns what the standard library raises about the network into DownloadFailed; `url` is what was asked at that moment."""
    try:
        yield
    except urllib.error.URLError as failed:
        cause = failed.reason if isinstance(failed.reason, OSError) else failed
        raise DownloadFailed(_of_connection(cause, url)) from None
    except OSError as failed:
        raise DownloadFailed(_of_connection(failed, url)) from None
    except http.client.IncompleteRead:
        raise DownloadFailed("the body was cut before its end; try again later") from None
    except http.client.InvalidURL:
        raise DownloadFailed("the URL has characters or a port that no URL may have; look at it") from None
    except http.client.HTTPException:
        raise DownloadFailed(f"{_host(url)} answers with what is no HTTP; look at the URL's host and port") from None
    except ValueError:
        # a name that is none, a character that must be percent-encoded
        raise DownloadFailed("the URL cannot be asked for; look at its host and its characters") from None


def of_status(status: int, url: str) -> DownloadFailed:
    """The server's answer is no body to use."""
    try:
        said = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = str(status)
    match status:
        case 401 | 403 | 407:
            advice = "look whether its token or password is still right, and whether it may be fetched from here"
        case 404 | 410:
            advice = "look whether it has moved"
        case 429:
            advice = "fetch it less often"
        case _ if status >= 500:
            advice = "the fault is the server's; try again later"
        case _:
            advice = "look at the URL in a browser"
    return DownloadFailed(f"{shown(url)} answers {said}; {advice}")


def of_storage(failed: OSError) -> DownloadFailed:
    """The body cannot be written."""
    return DownloadFailed(f"what was received cannot be stored: {failed.strerror}; look at the disk's free space (df)")


def too_large(largest: int, promised: int | None = None) -> DownloadFailed:
    """There is more than the request allows; `promised` is what the server says there is."""
    said = f" ({promised} bytes)" if promised is not None else ""
    limit = f"{largest // MEBIBYTE} MiB" if largest % MEBIBYTE == 0 else f"{largest} bytes"
    return DownloadFailed(f"it is larger than {limit}{said}; look what it has become, and allow more if that is right")


def _of_connection(failed: OSError | urllib.error.URLError, url: str) -> str:
    host = _host(url)
    match failed:
        case ssl.SSLCertVerificationError():
            return _of_certificate(failed, host)
        case ssl.SSLEOFError():
            return f"{host} cut the connection before its end; try again later"
        case ssl.SSLError():
            return f"no TLS with {host}: {failed.reason or 'unknown fault'}; edged asks for TLS 1.2 or newer"
        case socket.gaierror():
            return f"the name {host} cannot be resolved ({failed.strerror}); look at the URL and at /etc/resolv.conf"
        case ConnectionRefusedError():
            return f"{host} refuses the connection; look at the URL's host and port, or try again later"
        case ConnectionResetError() | BrokenPipeError():
            return f"{host} cut the connection; try again later"
        case TimeoutError():
            return f"{host} does not answer; look whether this machine reaches it, or try again later"
        case OSError(errno=int(number)):
            return f"no connection with {host}: {os.strerror(number)}; look whether this machine reaches it"
        case _:
            # OSError without a number: http.client says so where a proxy refuses
            return f"no connection with {host}: a proxy refused it; look at https_proxy and no_proxy in edged's environment"


def _of_certificate(failed: ssl.SSLCertVerificationError, host: str) -> str:
    said = f"the certificate of {host} is not to be trusted ({printable(failed.verify_message).rstrip('.')})"
    if failed.verify_code in _UNKNOWN_AUTHORITY:
        return f"{said}; install the package ca-certificates, or name the file of the authority that the host has it from"
    if failed.verify_code in _OTHER_HOST:
        return f"{said}; look at the URL's host"
    if failed.verify_code in _OTHER_TIME:
        return f"{said}; look at this machine's clock, else only the host's owner can mend it"
    return f"{said}; only the host's owner can mend it"


def _host(url: str) -> str:
    """Whom the connection is with: the URL's host and port, and the proxy on the way."""
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    proxied = "https" in urllib.request.getproxies() and not urllib.request.proxy_bypass(netloc)
    return printable(netloc) + (" through https_proxy" if proxied else "")
