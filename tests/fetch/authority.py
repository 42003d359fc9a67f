"""An authority and its certificates, made by the command openssl: good ones, and each kind of wrong one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
CONFIGURATION = """
[ca]
default_ca = edged
[edged]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in PEM files."""

    chain: Path
    key: Path


class Authority:
    """An authority of its own in that folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.pem, self._key = folder / "ca.pem", folder / "ca.key"
        self._configuration = folder / "ca.cnf"
        self._configuration.write_text(CONFIGURATION.format(folder=folder))
        (folder / "index.txt").touch()
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        added = [word for each in extensions for word in ("-addext", each)]
        openssl("req", "-x509", *KEY, "-keyout", self._key, "-out", self.pem, "-subj", "/CN=edged tests", "-days", "2", *added)

    def certificate(self, name: str, subject: str, start: str, end: str) -> Certificate:
        """A certificate for the subject (`IP:127.0.0.1`, `DNS:host`), valid between two moments as YYYYMMDDHHMMSSZ."""
        asked, chain, key = (self._folder / f"{name}.{ending}" for ending in ("csr", "pem", "key"))
        openssl(
            "req", "-new", *KEY, "-keyout", key, "-out", asked, "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}"
        )
        signer = ("-config", self._configuration, "-cert", self.pem, "-keyfile", self._key)
        openssl("ca", "-batch", "-notext", *signer, "-in", asked, "-out", chain, "-startdate", start, "-enddate", end)
        return Certificate(chain, key)


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
