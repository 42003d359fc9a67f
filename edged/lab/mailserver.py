"""The lab's mail server, a process of its own: SMTP on 25, submission with STARTTLS on 587 and with TLS from the start on 465.

It takes any mail and forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

NAME = "mail.edged.example"


async def serve(tls: ssl.SSLContext) -> None:
    """Listens on every address of both families, until it is cancelled."""
    loop = asyncio.get_running_loop()
    # the name is given: SMTP would ask the machine's name servers for its own
    await loop.create_server(lambda: SMTP(Sink(), hostname=NAME), port=25)
    await loop.create_server(lambda: SMTP(Sink(), hostname=NAME, tls_context=tls, require_starttls=True), port=587)
    await loop.create_server(lambda: SMTP(Sink(), hostname=NAME), port=465, ssl=tls)
    await asyncio.Event().wait()


def main() -> None:
    """Serves until it is ended by a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate", help="PEM file with a certificate and its key")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(parser.parse_args().certificate)
    asyncio.run(serve(tls))


if __name__ == "__main__":
    main()
