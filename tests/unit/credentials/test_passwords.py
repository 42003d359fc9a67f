"""Hashes of passwords: what is written is read back, what others write is read, what stands there by mistake is never told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.credentials.passwords import hashed, parse_users

# openssl kdf -keylen 32 -kdfopt pass:password -kdfopt salt:NaCl1234 -kdfopt n:16384 -kdfopt r:8 -kdfopt p:1 -binary SCRYPT
FOREIGN = "$scrypt$ln=14,r=8,p=1$TmFDbDEyMzQ$LA+EfYVHYyPHqoLLVztPRqfTLZlYl81kLa9xzoDqixQ"


def test_a_hash_fits_its_password_alone() -> None:
    made = hashed("hemlig")
    assert made.fits(b"hemlig")
    assert not made.fits(b"hemligt")
    assert not made.fits(b"")


def test_a_hash_that_openssl_made_fits() -> None:
    users = parse_users(f"prometheus:{FOREIGN}".encode())
    assert users.by_name["prometheus"].fits(b"password")


def test_two_hashes_of_one_password_differ() -> None:
    assert str(hashed("hemlig")) != str(hashed("hemlig"))


def test_what_is_written_is_read_back() -> None:
    made = hashed("hemlig")
    users = parse_users(f"# scrapers\r\n\nprometheus:{made}\r\n".encode())
    assert users.by_name == {"prometheus": made}
    assert not users.bad


def test_a_password_longer_than_any_is_no_password() -> None:
    assert not hashed("x").fits(b"x" * 1_000_000)


def test_neither_salt_nor_digest_is_in_a_repr() -> None:
    made = hashed("hemlig")
    assert repr(made) == "PasswordHash(log_cost=15, block_size=8, parallel=1)"


@given(st.binary(max_size=300))
def test_whatever_the_file_holds_nothing_is_raised_and_nothing_of_it_told(raw: bytes) -> None:
    users = parse_users(b"operator:tr0ub4dor&3 " + raw)
    assert users.bad
    assert not any("tr0ub4dor" in each.message for each in users.bad)
