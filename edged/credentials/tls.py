"""The metrics page's TLS: its certificate and key, and the authorities that clients' certificates must be of."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

from edged.config.files import DiskFiles, Unreadable
from edged.config.metrics import Tls

_WRONG_PAIR = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})


class TlsUnusable(Exception):
    """A file of the TLS section cannot be used; `key` is its key in the section, the text says why, without the file's name."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class _Encrypted(Exception):
    """OpenSSL asks for the password of a key."""


def server_context(tls: Tls) -> ssl.SSLContext:
    """The server's side, from TLS 1.2 on; with `client_ca_file` no client without a certificate. Raises TlsUnusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _authorities("cert_file", tls.cert_file)
    _regular("key_file", tls.key_file)
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, _ask)
    except _Encrypted:
        raise TlsUnusable("key_file", "is encrypted, and nobody is there to be asked for its password") from None
    except ssl.SSLError as error:
        if error.reason in _WRONG_PAIR:
            raise TlsUnusable("key_file", "is not the key of the certificate in cert_file") from None
        raise TlsUnusable("key_file", "holds no private key in PEM") from None
    if tls.client_ca_file is not None:
        context.load_verify_locations(cadata=_authorities("client_ca_file", tls.client_ca_file))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def expiry(tls: Tls, now: datetime) -> str:
    """What is wrong with the dates of a certificate that `server_context` takes; empty where nothing is."""
    from cryptography import x509  # noqa: PLC0415  of those who have TLS alone

    certificate = x509.load_pem_x509_certificate(_regular("cert_file", tls.cert_file))
    if certificate.not_valid_after_utc < now:
        return f"ended at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}; clients will refuse it"
    if certificate.not_valid_before_utc > now:
        return f"begins at {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}; clients refuse it until then"
    return ""


def _ask() -> str:
    raise _Encrypted


def _regular(key: str, path: Path) -> bytes:
    try:
        return DiskFiles().read(path)
    except Unreadable as error:
        raise TlsUnusable(key, str(error)) from None


def _authorities(key: str, path: Path) -> str:
    """The certificates of the file."""
    # what is no ASCII is somebody's comment
    text = _regular(key, path).decode("ascii", errors="ignore")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise TlsUnusable(key, "holds no certificate in PEM") from None
    return text
