"""What a gateway's kernel holds, as nft and tc tell it, in a form in which two gateways can be compared.

Left out is what no file asks for: handles, counts, the time that elements still have, the number of the lists' generation and the
present names of sets that were filled anew, the order that a hash gives. Who is capped is told apart from the rest, since packets
ask for that.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, NamedTuple, cast

from edged.lab.topology import Host

SHAPED = ("lan0", "wan0")
_DIRECTION = {"down": "lan0", "up": "wan0"}
_LIVE = re.compile(r"heavy|lease|police")
_GENERATION = re.compile(r"^(edged:blocklist_\w+\.keep:.*:generation)=(\d+)$")
_JUDGED = re.compile(r"^edged:blocklist_\w+\.(keep|judged):")
_DIGESTS = re.compile(r"(edged:[^:]*):[0-9a-f]{16}:[0-9a-f]{8}")
_MOVED = re.compile(r"\b(blocklist[46]_[a-z0-9]+)_\d+\b")
_LEAF = re.compile(r" dev (\S+) parent (ed:\S+) ")
_ASKED_AGAIN = 10
_MARK = 0xFF00  # of the generation, by the default mask
_UNTOLD = {"handle", "packets", "bytes", "expires", "timeout", "index"}


class Lease(NamedTuple):
    """An address in one of the maps to classes, and what its class is held to there, as tc writes it."""

    map: str
    key: str
    rate: str


class ClassOf(NamedTuple):
    """A class of a device's tree."""

    device: str
    classid: str


@dataclass(frozen=True, slots=True)
class KernelState:
    """What edged made: the table and the roots line by line, the classes with their leaves, and who is capped by which."""

    lines: tuple[str, ...]
    classes: Mapping[ClassOf, str]
    leases: Mapping[Lease, ClassOf]

    def differences(self, wanted: KernelState) -> str:
        """What separates this from the wanted state but for leased classes, for people; nothing where they are the same."""
        leased = set(self.leases.values()) | set(wanted.leases.values())
        return "\n".join(unified_diff(wanted.text(leased), self.text(leased), "as the files ask", "as it is", n=0, lineterm=""))

    def text(self, leased: Set[ClassOf]) -> list[str]:
        """All lines but for those of the classes that are leased somewhere."""
        return [*self.lines, *sorted(line for which, line in self.classes.items() if which not in leased)]


def kernel_state(gateway: Host) -> KernelState:
    """What edged has made there."""
    objects = [*_ours(_ruleset(gateway))]
    qdiscs = _qdiscs(gateway)
    leaves = {ClassOf(*found.groups()): line for line in qdiscs if (found := _LEAF.search(line))}
    classes = {
        ClassOf(device, classid): f"{line}, {leaves.get(ClassOf(device, classid), 'without a leaf')}"
        for device in SHAPED
        for classid, line in _classes(gateway, device)
    }
    leases = {Lease(name, key, _rate(classes.get(held, ""))): held for name, key, held in _leases(objects)}
    table = sorted(map(_told, _without_generation(objects)))
    return KernelState((*table, *(line for line in qdiscs if not _LEAF.search(line))), classes, leases)


def foreign_state(gateway: Host) -> str:
    """All that is not edged's, byte for byte: tables with their handles, queueing, the devices' own settings."""
    tables = gateway.run(["nft", "-a", "list", "ruleset"], check=True).stdout
    others = [each for each in re.split(r"^(?=table )", tables, flags=re.MULTILINE) if not each.startswith("table inet edged {")]
    commands = (["tc", "qdisc", "show", "dev", "other0"], ["tc", "class", "show", "dev", "other0"])
    queues = [gateway.run(argv, check=True).stdout for argv in commands]
    links = json.loads(gateway.run(["ip", "-j", "link"], check=True).stdout)
    return "\n".join((*others, *queues, *(f"{link['ifname']} txqlen {link.get('txqlen')}" for link in links)))


def _ruleset(gateway: Host) -> list[dict[str, Any]]:
    """As nft lists it.

    nft 1.0.6 reads the flags of a table that has but one after it has freed them (table_flags_json), and where that memory holds
    something else by then it ends in the middle of its JSON. Then it is asked in parts that have no table among them.
    """
    said = ""
    for _ in range(_ASKED_AGAIN):
        try:
            return _listed(gateway, "ruleset")
        except json.JSONDecodeError:
            try:
                return [*_in_parts(gateway)]
            except subprocess.CalledProcessError as failed:  # a chain has gone meanwhile
                said = f"{failed}: {failed.stderr}"
    raise AssertionError(f"the ruleset cannot be listed: {said}")


def _listed(gateway: Host, *what: str) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], json.loads(gateway.run(["nft", "-j", "list", *what], check=True).stdout)["nftables"])


def _in_parts(gateway: Host) -> Iterator[dict[str, Any]]:
    head = gateway.run(["nft", "--terse", "list", "table", "inet", "edged"], check=True).stdout
    flags = re.search(r"^\tflags (.*)$", head, re.MULTILINE)
    yield {"table": {"family": "inet", "name": "edged", "flags": flags[1].split(",") if flags else []}}
    for kind in ("counters", "limits", "sets", "maps"):
        yield from _listed(gateway, kind)
    for chain in (each["chain"] for each in _listed(gateway, "chains") if "chain" in each):
        if (chain["family"], chain["table"]) == ("inet", "edged"):
            yield from _listed(gateway, "chain", "inet", "edged", chain["name"])


def _ours(listed: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    rules: dict[str, int] = {}
    for each in listed:
        (kind, found), *_ = each.items()
        if found.get("family") != "inet" or "edged" not in (found.get("table"), found["name"] if kind == "table" else None):
            continue
        if kind == "rule":
            rules[found["chain"]] = found["place"] = rules.get(found["chain"], 0) + 1
        yield kind, found


def _without_generation(objects: list[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rules with words in place of the generation's number and of what is made of it."""
    noted = {found[2] for _, each in objects if (found := _GENERATION.match(each.get("comment") or ""))}
    assert len(noted) <= 1, f"one generation is written, not {noted}"
    number = int(next(iter(noted), "0")) << 8
    words = {number: "generation", ~_MARK & 0xFFFFFFFF | number: "others and generation"}
    for kind, each in objects:
        comment = each.get("comment") or ""
        if _JUDGED.match(comment):
            yield kind, {**each, "expr": _replaced(each["expr"], words), "comment": _GENERATION.sub(r"\1", comment)}
        else:
            yield kind, each


def _replaced(node: Any, words: Mapping[int, str]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, words) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, words) for value in node]
    return words.get(node, node) if isinstance(node, int) else node


def _told(found: tuple[str, dict[str, Any]]) -> str:
    """An object as one line."""
    kind, each = found
    kept = {key: value for key, value in _plain(each).items() if key != "size" or not each["name"].startswith("blocklist")}
    if "elem" in kept:
        kept["elem"] = sorted(kept["elem"], key=json.dumps)
    if kind == "table":  # of flags that it has no name for, nft 1.0.6 writes anything
        kept["flags"] = [flag for flag in kept.get("flags", ()) if flag == "owner"]
    if _LIVE.match(each.get("name", "")):
        kept.pop("elem", None)
    place = (each.get("chain", ""), f"{each.get('place', 0):03}", each.get("name", ""))
    return _MOVED.sub(r"\1", _DIGESTS.sub(r"\1", f"{kind} {' '.join(place)} {json.dumps(kept, sort_keys=True)}"))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key not in _UNTOLD}
    return [_plain(value) for value in node] if isinstance(node, list) else node


def _leases(objects: list[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, str, ClassOf]]:
    """Each element of the maps to classes: the map, the address, the class."""
    for kind, each in objects:
        if kind == "map" and each["name"].startswith("lease"):
            for key, classid in each.get("elem", ()):
                address = key["elem"]["val"] if isinstance(key, dict) else key
                yield each["name"], address, ClassOf(_DIRECTION[each["name"].split("_")[1]], classid)


def _rate(line: str) -> str:
    found = re.search(r" rate (\S+) ", line)
    return found[1] if found else "there is no such class"


def _qdiscs(gateway: Host) -> list[str]:
    """Those of the shaped devices, as tc writes them."""
    shown = gateway.run(["tc", "qdisc", "show"], check=True).stdout
    ours = (line for line in shown.splitlines() if any(f" dev {device} " in line for device in SHAPED))
    return sorted(re.sub(r" (refcnt|direct_packets_stat) [0-9]+", "", line) for line in ours)


def _classes(gateway: Host, device: str) -> Iterator[tuple[str, str]]:
    """Each class's handle and its line, as tc writes it."""
    for line in gateway.run(["tc", "class", "show", "dev", device], check=True).stdout.splitlines():
        yield line.split()[2], f"{device} {line}"
