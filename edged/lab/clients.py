"""The real clients of the lab, curl and dig, and what one attempt with them came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.addresses import Address, Family
from edged.lab.servers import DOWNLOAD, DOWNLOAD_BYTES, LONG_DOWNLOAD, NAME
from edged.lab.topology import Host

# a refusal is the gateway's own answer: it takes no round trip, let alone a retransmission (1 s, RFC 6298 section 2)
AT_ONCE = 0.5
_PATIENCE = 4
# the proxy that this machine reaches the Internet by is not in the lab, nor is what ~/.curlrc asks for meant here
_CURL = ("curl", "--disable", "--noproxy", "*")


class Outcome(StrEnum):
    """What can become of an attempt."""

    PASSES = "passes"
    REFUSED = "refused at once"
    SILENCE = "no answer"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of an attempt, and the particulars for people."""

    outcome: Outcome
    detail: str


def send_mail(host: Host, server: Address, port: int) -> Seen:
    """A whole mail from the subscriber to the server: SMTP on 25, submission with STARTTLS on 587, with TLS on 465."""
    scheme = "smtps" if port == 465 else "smtp"
    options = [
        "--mail-from",
        "lab@edged.example",
        "--mail-rcpt",
        "postmaster@edged.example",
        "--form-string",
        "=a mail of the lab",
    ]
    if port == 587:
        options.append("--ssl-reqd")
    # no one vouches for the lab's certificate
    return _curl(host, [*options, "--insecure", f"{scheme}://{_in_url(server)}:{port}/lab.edged.example"], "mail delivered")


def download(host: Host, server: Address) -> Seen:
    """One download of the web server's file, to its last byte."""
    return _curl(host, ["--output", "/dev/null", f"http://{_in_url(server)}/{DOWNLOAD}"], f"{DOWNLOAD_BYTES >> 20} MiB")


def throughput(host: Host, server: Address, seconds: float) -> float:
    """The mean rate, in bits a second, of a download that is broken off after so many seconds; 0 where nothing comes."""
    argv = [*_CURL, "--silent", "--max-time", seconds, "--write-out", "%{speed_download}", "--output", "/dev/null"]
    done = host.run([*argv, f"http://{_in_url(server)}/{LONG_DOWNLOAD}"], timeout=seconds + 5)
    return float(done.stdout) * 8


def _curl(host: Host, options: list[str], success: str) -> Seen:
    """An attempt with curl; the detail is `success` and the time it took, or curl's own last word."""
    argv = [*_CURL, "--verbose", "--silent", "--max-time", _PATIENCE, "--write-out", "\n%{time_total} %{size_download}", *options]
    done = host.run(argv, timeout=_PATIENCE + 5)
    seconds, size = done.stdout.split()[-2:]
    took = f"{float(seconds) * 1000:.0f} ms"
    if done.returncode == 0:
        return Seen(Outcome.PASSES, f"{success}, {took}")
    # curl 7.88 has one exit code for all that keeps it from connecting; the errno's text is in its log
    if done.returncode == 7 and "Connection refused" in done.stderr:
        return Seen(Outcome.REFUSED if float(seconds) < AT_ONCE else Outcome.OTHER, f"refused, {took}")
    if done.returncode == 28 and size == "0":
        return Seen(Outcome.SILENCE, f"no answer in {_PATIENCE} s")
    words = [line for line in done.stderr.splitlines() if line.startswith("* ")]
    return Seen(Outcome.OTHER, f"curl failed ({done.returncode}): {words[-1][2:] if words else 'no reason given'}")


def query(host: Host, server: Address, web: Address, *options: str) -> Seen:
    """One query for the web server's address, by UDP unless the options say otherwise, never repeated."""
    kind = "A" if Family.of(web) is Family.IPV4 else "AAAA"
    done = host.run(["dig", *options, f"@{server}", NAME, kind, "+norecurse", "+short", "+time=1", "+tries=1"])
    if done.returncode == 0 and done.stdout.split() == [str(web)]:
        return Seen(Outcome.PASSES, "answered")
    if "refused" in done.stdout:
        return Seen(Outcome.REFUSED, "refused")
    if "timed out" in done.stdout or "no servers could be reached" in done.stdout:
        return Seen(Outcome.SILENCE, "no answer in 1 s")
    return Seen(Outcome.OTHER, f"dig ({done.returncode}): {' '.join((done.stdout + done.stderr).split())[:200]}")


def _in_url(address: Address) -> str:
    return str(address) if address.version == 4 else f"[{address}]"
