"""Warm installations by an agent that root runs: nothing of a release is ever root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.real import build_runtime
from slap.model import (
    Certificate,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
)
from slapgrid.config import read_config
from slapgrid.instance.partitions import Partitions
from slapgrid.layout import release_directory
from slapgrid.service import observe_platform
from slapgrid.software.releases import Releases
from slapgrid.warm.servers import WarmServers
from tests.emulation.agent_scenarios import SOFTWARE, escaped
from tests.emulation.warm_scenarios import INSTANCE
from tests.emulation.wheels import write_recipe
from tests.reactor import ReactorBench

SOFTWARE_USER = 54301
FIRST_USER = 54311

CODE = """\
import os, sys
def lines(pid):
    with open(f"/proc/{pid}/status") as opened:
        return dict(line.split(":", 1) for line in opened)
mine = lines("self")
users, groups = set(mine["Uid"].split()), set(mine["Gid"].split())
print("users", users, groups, mine["Groups"].split())
print("capabilities", {int(mine[name], 16) for name in mine if name.startswith("Cap")})
print("server", set(lines(os.getppid())["Uid"].split()))
for become in (0, %(other)s):
    try:
        os.setuid(become)
    except OSError:
        print("cannot be", become)
keys = {}
for name in ("pki/slappart0.key", "pki/slappart1.key", "identity/own.key"):
    try:
        with open(f"../../{name}") as opened:
            keys[name] = opened.read()
    except (PermissionError, FileNotFoundError):
        pass
print("keys", keys)
with open(".slapgrid/root.crt") as opened:
    print("roots", opened.read())
print("pid", os.getpid(), os.getppid())
"""


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that other users may enter."""
    with tempfile.TemporaryDirectory(prefix="slapgrid-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.skipif(os.getuid() != 0, reason="only root has users to become")
def test_forks_of_a_root_agent_are_the_users_of_their_partitions(
    top: Path, run_real: ReactorBench
) -> None:
    """Of one server, which is the software user; none can be root or another."""
    write_recipe(top / "wheels")
    profile = top / "software.cfg"
    profile.write_text(
        SOFTWARE.format(wheels=top / "wheels", instance=escaped(INSTANCE))
    )
    config = read_config(
        "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://127.0.0.1:9\n"
        f"software_root = {top}/s\ninstance_root = {top}/i\n"
        "software_min_free_space = 1\ninstance_min_free_space = 1\n"
        f"certificate_repository_path = {top}/pki\n"
        f"master_ca_file = {top}/identity/root.crt\n"
        f"key_file = {top}/identity/own.key\ncert_file = {top}/identity/own.crt\n"
    )
    write_identity(top)
    (top / "s").mkdir()
    os.chown(top / "s", SOFTWARE_USER, SOFTWARE_USER)
    for number in range(2):
        directory = top / "i" / f"slappart{number}"
        directory.mkdir(parents=True)
        directory.chmod(0o750)
        os.chown(directory, FIRST_USER + number, FIRST_USER + number)
        code = directory / "code"
        code.write_text(CODE % {"other": FIRST_USER + 1 - number})
        code.chmod(0o644)
    runtime, platform = build_runtime(run_real.reactor), observe_platform()
    releases = Releases(config, runtime, platform)
    servers = WarmServers(config, runtime, platform, cold_runs=0)
    partitions = Partitions(config, runtime, platform, releases, servers)

    async def scenario() -> None:
        try:
            failure = await releases.build(str(profile))
            assert failure is None, failure
            releases.record_built(str(profile))
            for number in range(2):
                failure = await partitions.install(
                    a_partition(number, str(profile)),
                    Certificate(f"certificate {number}", f"key {number}"),
                )
                assert failure is None, failure
            assert await partitions.write_out() is None
        finally:
            await servers.stop()
            await runtime.threads.stop()

    run_real(scenario(), timeout_seconds=240)

    said = [
        (top / f"i/slappart{number}/.slapgrid/log/instance.log").read_text()
        for number in range(2)
    ]
    for number, log in enumerate(said):
        user = FIRST_USER + number
        assert f"users {{'{user}'}} {{'{user}'}} []" in log
        assert "capabilities {0}" in log
        assert f"server {{'{SOFTWARE_USER}'}}" in log
        assert "cannot be 0" in log
        assert f"cannot be {FIRST_USER + 1 - number}" in log
        assert f"keys {{'pki/slappart{number}.key': 'key {number}'}}" in log
        assert "roots the root.crt" in log
        assert told(top, number) >= own_files(top, number)
    servers_of = {log.partition("pid ")[2].split()[1] for log in said}
    assert len(servers_of) == 1
    owner = (top / "s" / release_directory(str(profile))).stat().st_uid
    assert owner == SOFTWARE_USER
    own = {
        path.name: (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777)
        for path in (top / "pki").iterdir()
    }
    assert own == {
        f"slappart{number}.{kind}": (FIRST_USER + number, FIRST_USER + number, 0o400)
        for kind in ("crt", "key")
        for number in range(2)
    }


def write_identity(top: Path) -> None:
    """The computer's, where nobody else may look."""
    (top / "identity").mkdir(0o700)
    for name in ("root.crt", "own.key", "own.crt"):
        (top / "identity" / name).write_text(f"the {name}")
        (top / "identity" / name).chmod(0o600)


def told(top: Path, number: int) -> set[str]:
    """The lines of the profile of an instance."""
    return set((top / f"i/slappart{number}/buildout.cfg").read_text().splitlines())


def own_files(top: Path, number: int) -> set[str]:
    """What those lines say of files that its user can read."""
    return {
        f"key-file = {top}/pki/slappart{number}.key",
        f"cert-file = {top}/pki/slappart{number}.crt",
        f"master-ca-file = {top}/i/slappart{number}/.slapgrid/root.crt",
    }


def a_partition(number: int, url: str) -> Partition:
    return Partition(
        PartitionKey("COMP-1", f"slappart{number}"),
        RequestedState.STARTED,
        instance=PartitionInstance(
            f"guid{number}", f"title{number}", "root", url, "default", "1"
        ),
    )
