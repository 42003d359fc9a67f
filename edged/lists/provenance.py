"""Where an address stands in the lists: in which, on which line, since when, and what allows it all the same (BL-9, BL-10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from edged.addresses import Address, Family, Prefix, span
from edged.config.blocklist import ListSource
from edged.config.files import shown_path
from edged.control import messages
from edged.lists.book import shown_source, sources_of
from edged.loader import Configuration
from edged.origin import Origin
from edged.policies import Blocklist, Mode


@dataclass(frozen=True, slots=True)
class Listing:
    """An entry that holds the address. Of a confidential list the place and the prefix are None, and `entry` stands for them."""

    list: str
    accepted: float  # seconds since the epoch at which the list in force was accepted
    place: Origin | None
    prefix: str | None
    entry: int | None  # opaque; None where the list is not confidential, or its key cannot be read


@dataclass(frozen=True, slots=True)
class Standing:
    """How an address stands with the blocklist."""

    mode: Mode
    listings: tuple[Listing, ...]
    allowed_by: Origin | None  # the `allow` entry that holds it
    never_blocked_by: Origin | None  # the `never_block` entry that holds it, which counts where it is the far end

    @property
    def blocked(self) -> bool:
        """Whether traffic with the address is stopped, never_block aside."""
        return bool(self.listings) and self.allowed_by is None and self.mode is Mode.ENFORCE


def standing(configuration: Configuration, address: Address, key: bytes | None) -> Standing | None:
    """How the address stands with the lists in force; None where no blocklist is configured. `key` makes opaque numbers."""
    for placed in configuration.policies:
        if isinstance(placed.settings, Blocklist):
            allowed = _within(address, placed.settings.allow)
            never = _within(address, configuration.edged.never_block)
            return Standing(
                placed.settings.mode,
                tuple(_listings(configuration, address, key)),
                None if allowed is None else placed.places.at("allow", allowed),
                None if never is None else configuration.places.at("never_block", never),
            )
    return None


def told(found: Standing, address: Address) -> messages.Standing:
    """The same as the control socket and `--json` tell it."""
    return {
        "address": str(address),
        "blocked": found.blocked,
        "mode": found.mode.value,
        "listings": [
            {
                "list": each.list,
                "accepted": each.accepted,
                "place": str(each.place) if each.place else None,
                "prefix": each.prefix,
                "entry": each.entry,
            }
            for each in found.listings
        ],
        "allowed_by": str(found.allowed_by) if found.allowed_by else None,
        "never_blocked_by": str(found.never_blocked_by) if found.never_blocked_by else None,
    }


def _within(address: Address, prefixes: tuple[Prefix, ...]) -> int | None:
    """The place of the first prefix that holds the address."""
    fitting = (n for n, prefix in enumerate(prefixes) if prefix.version == address.version and int(address) in span(prefix))
    return next(fitting, None)


def _listings(configuration: Configuration, address: Address, key: bytes | None) -> Iterator[Listing]:
    family = Family.IPV4 if address.version == 4 else Family.IPV6
    for source in sources_of(configuration):
        stored = configuration.lists.get(source.name)
        if stored is None:
            continue
        for length, line in stored.entries[family].around(int(address)):
            network = int(address) & ~((1 << (family.bits - length)) - 1)
            if source.confidential:
                number = _opaque(key, source.name, family, network, length) if key else None
                yield Listing(source.name, stored.loaded, None, None, number)
            else:
                place = Origin(_file(configuration, source), line)
                yield Listing(source.name, stored.loaded, place, f"{family.address(network)}/{length}", None)


def _file(configuration: Configuration, source: ListSource) -> str:
    return shown_source(source) if source.path is None else shown_path(source.path, configuration.path.parent)


def _opaque(key: bytes, name: str, family: Family, network: int, length: int) -> int:
    """A number that stands for the entry on this gateway and says nothing of it: a bare hash of IPv4 can be tried out."""
    said = f"{name} {family.value} {network}/{length}".encode()
    return int.from_bytes(blake2b(said, key=key, digest_size=5).digest(), "big")
