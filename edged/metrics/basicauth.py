"""Who may read the metrics page by a user's name and password (RFC 7617)."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping

from edged.credentials.passwords import PasswordHash, hashed

# seconds that a wrong password costs whoever sends it, and all who have not shown a right one yet: five guesses a second in all
FAILURE_PAUSE = 0.2
_MOST_REMEMBERED = 64
_LONGEST_HEADER = 2048


class BasicAuth:
    """The users of one file. A password costs a hash the first time; from then on its keyed digest is remembered."""

    def __init__(self, users: Mapping[str, PasswordHash], pause: Callable[[float], None] = time.sleep) -> None:
        self._users = users
        self._pause = pause
        self._nobody = hashed(secrets.token_hex())  # a name that nobody has takes as long
        self._key = secrets.token_bytes(32)
        self._remembered: set[bytes] = set()
        self._turn = threading.Lock()  # one hash at a time, whoever asks: it takes 32 MiB

    def admits(self, authorization: str) -> bool:
        """Whether the value of the header Authorization names a user with the password that is that user's."""
        credentials = _basic(authorization)
        if credentials is None:
            return False
        name, password = credentials
        digest = hmac.digest(self._key, b"%d:%b%b" % (len(name), name, password), "sha256")
        if any([hmac.compare_digest(digest, each) for each in tuple(self._remembered)]):  # noqa: C419  all of them, always
            return True
        with self._turn:
            known = self._users.get(name.decode(errors="replace"))
            if (known or self._nobody).fits(password) and known is not None:
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered.add(digest)
                return True
            self._pause(FAILURE_PAUSE)
        return False


def _basic(authorization: str) -> tuple[bytes, bytes] | None:
    """The name and the password of the header; None where it has none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _LONGEST_HEADER:
        return None
    try:
        name, colon, password = b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return (name, password) if colon else None
