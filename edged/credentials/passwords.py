"""Passwords as scrypt hashes (RFC 7914), in a file of lines `name:$scrypt$ln=15,r=8,p=1$SALT$HASH`.

The hash is a PHC string, base64 without its padding; passlib and others write the same. Of a line nothing is ever repeated in a
message: what stands there by mistake may be a password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

_PHC = re.compile(
    r"\$scrypt\$ln=(?P<ln>[1-9][0-9]?),r=(?P<r>[1-9][0-9]?),p=(?P<p>[1-9])"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<digest>[A-Za-z0-9+/]{43,86})"
)
_NAME = re.compile(r"[^\s:\x00-\x1f\x7f]{1,64}")  # RFC 7617, section 2: no colon in a name
_OTHERS = {"$2": "a bcrypt hash", "$apr1$": "an MD5 hash", "{SHA}": "a SHA-1 hash", "$argon2": "an Argon2 hash"}
_MEBIBYTE = 1 << 20
_MOST_MEMORY = 64 * _MEBIBYTE  # a check of a password: 128 * r * 2^ln bytes (RFC 7914, section 2)
_LEAST_COST, _COST, _MOST_COST = 14, 15, 19
_LONGEST_PASSWORD = 1024


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """One scrypt hash; N is 2 ** `log_cost`."""

    log_cost: int
    block_size: int
    parallel: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def fits(self, password: bytes) -> bool:
        """Whether the password is the one; takes as long for any, some tens of milliseconds."""
        if len(password) > _LONGEST_PASSWORD:
            return False
        return hmac.compare_digest(_scrypt(password, self, len(self.digest)), self.digest)

    def __str__(self) -> str:
        salt, digest = (b64encode(each).decode().rstrip("=") for each in (self.salt, self.digest))
        return f"$scrypt$ln={self.log_cost},r={self.block_size},p={self.parallel}${salt}${digest}"


@dataclass(frozen=True, slots=True)
class BadUser:
    """A line of the file that names no user."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Users:
    """The users of one file by name, or what is wrong in it."""

    by_name: Mapping[str, PasswordHash]
    bad: tuple[BadUser, ...] = ()


def hashed(password: str) -> PasswordHash:
    """The password's hash, with a salt of its own."""
    parameters = PasswordHash(_COST, 8, 1, secrets.token_bytes(16), b"")
    return replace(parameters, digest=_scrypt(password.encode(), parameters, 32))


def is_name(text: str) -> bool:
    """Whether HTTP's basic authentication can carry a user of that name."""
    return _NAME.fullmatch(text) is not None


def parse_users(raw: bytes) -> Users:
    """The users of a file; whatever it holds, nothing is raised."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return Users({}, (BadUser(1, "expected UTF-8 text"),))
    found: dict[str, PasswordHash] = {}
    bad: list[BadUser] = []
    for number, line in _lines(text):
        name, _, written = line.partition(":")
        hash_or_why = _read(written)
        if not is_name(name):
            bad.append(BadUser(number, "expected name:hash, as `edged config password-hash NAME` prints it"))
        elif name in found:
            bad.append(BadUser(number, "a user who has a line above"))
        elif isinstance(hash_or_why, str):
            bad.append(BadUser(number, hash_or_why))
        else:
            found[name] = hash_or_why
    if not found and not bad:
        bad.append(BadUser(1, "no user in it, so nobody could read the page; `edged config password-hash NAME` prints a line"))
    return Users(found, tuple(bad))


def _scrypt(password: bytes, parameters: PasswordHash, length: int) -> bytes:
    return hashlib.scrypt(
        password,
        salt=parameters.salt,
        n=1 << parameters.log_cost,
        r=parameters.block_size,
        p=parameters.parallel,
        maxmem=2 * _MOST_MEMORY,
        dklen=length,
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if (stripped := line.strip()) and not stripped.startswith("#"):
            yield number, stripped


def _read(written: str) -> PasswordHash | str:
    """The hash of a line, or what to say of it."""
    parts = _PHC.fullmatch(written)
    if parts is None:
        found = next((what for mark, what in _OTHERS.items() if written.startswith(mark)), "something else")
        return f"expected a scrypt hash, found {found}; `edged config password-hash NAME` prints the line"
    cost, block_size, parallel = (int(parts[each]) for each in ("ln", "r", "p"))
    if cost < _LEAST_COST:
        return f"a hash of cost ln={cost} is guessed too fast; at least ln={_LEAST_COST}"
    if cost > _MOST_COST or 128 * block_size << cost > _MOST_MEMORY:
        return f"a hash that takes more than {_MOST_MEMORY // _MEBIBYTE} MiB or ln={_MOST_COST} to check; take less"
    return PasswordHash(cost, block_size, parallel, _unpadded(parts["salt"]), _unpadded(parts["digest"]))


def _unpadded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))
