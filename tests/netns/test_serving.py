"""What a real daemon serves: the metrics page behind TLS and a password, through reloads and broken files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.control.client import DaemonRefused
from edged.credentials.passwords import hashed
from edged.errors import ExitCode
from edged.lab.topology import Topology
from tests.fetch.authority import Authority
from tests.metrics.conftest import certificate
from tests.netns.daemon_process import Daemon, eventually

PASSWORD = "tr0ub4dor&3"
METRICS = """\
metrics:
  listen: "127.0.0.1:9825"
  tls: {cert_file: page.pem, key_file: page.key}
  basic_auth_users_file: metrics.users
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def daemon(topology: Topology, authority: Authority) -> Iterator[Daemon]:
    made = Daemon(topology.gateway)
    made.write("edged.yaml", 'metrics: {listen: "127.0.0.1:9825"}\n', METRICS)
    (made.folder / "metrics.users").write_text(f"prometheus:{hashed(PASSWORD)}\n")
    renew(made, authority)
    yield made
    made.close()


def renew(daemon: Daemon, authority: Authority) -> None:
    """A new certificate in the place of the former one."""
    made = certificate(authority, "page", "IP:127.0.0.1")
    for source, name in ((made.chain, "page.pem"), (made.key, "page.key")):
        (daemon.folder / name).write_bytes(source.read_bytes())


def scrape(daemon: Daemon, authority: Authority, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    command = ["curl", "-sSv", "--cacert", str(authority.pem), "-u", f"prometheus:{password}", "https://127.0.0.1:9825/metrics"]
    return daemon.host.run(command)


def expires(scraped: subprocess.CompletedProcess[str]) -> str:
    """What tells one certificate from another in curl's words."""
    return next(line for line in scraped.stderr.splitlines() if "expire date" in line)


def test_the_page_through_reloads_and_broken_files(daemon: Daemon, authority: Authority) -> None:
    daemon.start()
    first = scrape(daemon, authority)
    assert "edged_enforcement_in_sync 1.0" in first.stdout
    assert scrape(daemon, authority, "guess").stdout == ""

    renew(daemon, authority)
    daemon.client.reload()
    renewed = scrape(daemon, authority)
    assert expires(renewed) != expires(first)
    assert "edged_config_last_reload_successful 1.0" in renewed.stdout

    (daemon.folder / "page.key").write_text("half a")
    with pytest.raises(DaemonRefused) as refused:
        daemon.client.reload()
    assert refused.value.exit_code is ExitCode.INVALID
    assert "page.key holds no private key" in str(refused.value.problems[0])
    broken = scrape(daemon, authority)
    assert expires(broken) == expires(renewed)
    assert "edged_config_last_reload_successful 0.0" in broken.stdout
    assert [each["what"] for each in daemon.client.status()["degraded"]] == ["configuration", "metrics"]


def test_a_start_without_the_key_enforces_the_policy_and_serves_nobody(daemon: Daemon, authority: Authority) -> None:
    daemon.start()
    daemon.stop()
    (daemon.folder / "page.key").unlink()
    daemon.start()  # the last good configuration is enforced
    assert "op25b_up" in daemon.table()
    assert scrape(daemon, authority).returncode != 0
    plain = daemon.host.run(["curl", "-sS", "http://127.0.0.1:9825/metrics"])
    assert plain.returncode in {52, 56}  # closed or reset, without an answer
    assert plain.stdout == ""
    renew(daemon, authority)
    eventually(lambda: "edged_build_info" in scrape(daemon, authority).stdout)


def test_no_secret_is_kept_or_told(daemon: Daemon, authority: Authority) -> None:
    daemon.start()
    scrape(daemon, authority)
    scrape(daemon, authority, "guess-4711")
    daemon.client.reload()
    daemon.stop()
    key = (daemon.folder / "page.key").read_text().splitlines()[1]
    digest = (daemon.folder / "metrics.users").read_text().rpartition("$")[2].strip()
    kept = (path.read_text(errors="replace") for path in (daemon.folder / "state").rglob("*") if path.is_file())
    told = "".join((daemon.log(), *kept))
    assert "prometheus" not in told
    for secret in (key, digest, PASSWORD, "guess-4711"):
        assert secret not in told
