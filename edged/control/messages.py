"""The shapes of what goes over the control socket; `status --json` prints the first one as it is (schema edged/v1/status)."""

from __future__ import annotations

from typing import TypedDict


class Configuration(TypedDict):
    """Which files the daemon runs from, and how the last reload of them ended."""

    path: str
    last_reload_successful: bool
    last_reload_success: float  # seconds since the epoch
    running: str  # files | last good


class Confirmation(TypedDict):
    """A change that is rolled back unless `edged confirm` comes."""

    seconds_left: float


class Repair(TypedDict):
    """A foreign change to the table or to a device's queueing that was put right, and who made it."""

    at: float  # seconds since the epoch
    reason: str  # a key of drift_repairs
    process: str  # unknown where the kernel does not tell
    pid: int  # 0 where the kernel does not tell
    what: list[str]


class CounterStatus(TypedDict):
    """One counter of a policy."""

    direction: str  # up | down
    family: str  # ipv4 | ipv6
    verdict: str  # drop | reject | observe | shape
    packets: int
    bytes: int


class PolicyStatus(TypedDict):
    """One policy and what it has counted since the daemon began."""

    policy: str
    mode: str
    file: str
    counters: list[CounterStatus]


class ListStatus(TypedDict):
    """One list: what of it is in force, and how it stands with its source."""

    list: str
    source: str
    entries: int
    accepted: float  # seconds since the epoch; 0: never
    last_success: float  # seconds since the epoch at which the source was last found good
    bad_lines: int
    refused: str  # why the source as it is now is not in force
    reason: str


class LayoutStatus(TypedDict):
    """In which sets the lists of one family are looked up: prefix length -> number of prefixes, and what a lookup is reckoned."""

    family: str  # ipv4 | ipv6
    entries: int
    hashed: dict[str, int]
    ranged: dict[str, int]
    nanoseconds: int  # an address, with cold caches


class Listing(TypedDict):
    """An entry of a list that holds an address; of a confidential list `place` and `prefix` are None."""

    list: str
    accepted: float
    place: str | None  # file:line
    prefix: str | None
    entry: int | None  # the opaque number of a confidential list's entry


class Standing(TypedDict):
    """The answer to POST /v1/blocklist/test."""

    address: str
    blocked: bool
    mode: str  # enforce | observe | off
    listings: list[Listing]
    allowed_by: str | None  # file:line
    never_blocked_by: str | None  # file:line


class Asked(TypedDict):
    """The answer to POST /v1/blocklist/update."""

    asked: list[str]  # the lists whose addresses on the web are asked now


# how many subscribers are capped in a class; in the other form a key could not be called `class`
CappedStatus = TypedDict("CappedStatus", {"class": str, "shaped": int, "policed": int})


class DirectionStatus(TypedDict):
    """How one direction is held: by how many classes, of which so many are leased; `policed` says why there are none."""

    direction: str  # up | down
    pool: int
    leased: int
    policed: str


class QueueStatus(TypedDict):
    """One queue to the inspectors, since the daemon began: what became of packets, and what flows were found to be."""

    queue: int
    state: str  # inspecting | beginning | lagging | spared | waiting | ended
    meaning: str  # of the state, for people
    packets: dict[str, int]  # undecided | decided | unreadable | failed | released -> how many
    flows: dict[str, int]  # p2p | streaming | other -> how many
    restarts: int
    lags: int


class CapsStatus(TypedDict):
    """The policy caps: who is held and how, and how flows get their classes."""

    capped: list[CappedStatus]
    directions: list[DirectionStatus]
    bulk_found: int  # flows, since the daemon began
    queues: list[QueueStatus]
    uninspected: int  # packets that no queue took, or nobody read, since the daemon began


TopUse = TypedDict(
    "TopUse",
    {
        "subscriber": str,  # an id, or the prefix of one without a row
        "plan": str | None,
        "class": str,
        "direction": str,  # up | down
        "method": str,  # shape | police
        "cap": int,  # bits a second
        "rate": float | None,  # bits a second, over the last two seconds; None: not counted, as of who is policed
        "dropped": float | None,  # packets a second that its class had no room for; what a qdisc in it drops later is not told
    },
)


class Top(TypedDict):
    """The answer to GET /v1/top; `leases` is how many there are, of which the first are in `uses`."""

    schema: str
    leases: int
    uses: list[TopUse]


class Degraded(TypedDict):
    """Something the configuration asks for that this machine cannot give, and what edged does instead."""

    what: str
    why: str
    instead: str


class Status(TypedDict):
    """The answer to GET /v1/status."""

    schema: str
    gateway: str
    version: str
    pid: int
    in_sync: bool
    enforcing: bool
    generation: int
    lock: str
    configuration: Configuration
    confirm: Confirmation | None
    drift_repairs: dict[str, int]
    recent_repairs: list[Repair]  # the newest first
    interfaces: dict[str, bool]
    policies: list[PolicyStatus]
    lists: list[ListStatus]
    layout: list[LayoutStatus]
    caps: CapsStatus | None
    degraded: list[Degraded]
    warnings: list[str]
    metrics: str


class _Changes(TypedDict):
    changed: int
    generation: int
    warnings: list[str]
    steps: list[str]
    refused: list[str]  # lists whose guards did not let them through, and why; the rest of the change is done


class Changes(_Changes, total=False):
    """The answer to reload, apply and rollback: what was done to the kernel."""

    confirm_deadline_seconds: float


class Confirmed(TypedDict):
    """The answer to confirm."""

    confirmed: bool


class TornDown(TypedDict):
    """The answer to teardown: what of edged was there."""

    removed: bool  # the table
    devices: list[str]  # whose queueing was edged's


class _Failure(TypedDict):
    error: str
    exit_code: int


class Failure(_Failure, total=False):
    """Every answer that is not 2xx."""

    problems: list[str]
