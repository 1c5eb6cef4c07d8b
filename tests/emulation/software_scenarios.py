"""Releases with everything real: builds that take long, upgrades, kills.

Run by ``test_agent.py``, as an ordinary user. A part of a release waits for a file that
the scenario writes: so it is known what happens while a build runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve
from twisted.internet.task import deferLater

from runtime.ports import FileKind
from slap.model import SupplyState
from slapgrid.convergence.retrying import Effort
from slapgrid.layout import release_directory
from slapgrid.neighbours.ownership import Ownership
from slapgrid.passes import Agent, ExitStatus
from slapgrid.service import AgentService
from slapgrid.software.networkcache_settings import NetworkcacheSettings
from tests.emulation.agent_scenarios import (
    Cloud,
    begin_pass,
    cloud,
    eventually,
    installation_states,
    instance_report,
    pass_until_reported,
    requested,
    supplied,
)
from tests.interop.stock import stock_environment
from tests.programs import eventually as eventually_true
from tests.programs import free_port, is_listening, running
from tests.unit.slapgrid.test_networkcache import CERTIFICATE, KEY

__all__ = ["cloud"]

TRACED_PARTS = """\
[one]
recipe = tiny_recipe:file
path = one
content = 1
traced = {root}/trace
[two]
<= one
path = two
awaited = {root}/go-on
[three]
<= one
path = three
"""

SERVICE = """\
[buildout]
parts = service
eggs-directory = ${{buildout:eggs-directory}}
develop-eggs-directory = ${{buildout:develop-eggs-directory}}
[service]
recipe = tiny_recipe:file
path = etc/service/sleeper-{name}
content =
  |#!/bin/sh
  |# {name}: ${{buildout:eggs-directory}}
  |echo $$$$ >> ${{buildout:directory}}/pids
  |exec sleep 1000
"""


def slow_release(cloud: Cloud, name: str) -> str:
    """A release whose second part waits for the file ``go-on``."""
    url = cloud.release(name, SERVICE.format(name=name))
    profile = Path(url).read_text()
    parts = TRACED_PARTS.format(root=cloud.root)
    profile = profile.replace("parts = instance", "parts = one two three instance")
    Path(url).write_text(profile + parts)
    return url


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def trace(cloud: Cloud) -> list[str]:
    path = cloud.root / "trace"
    return path.read_text().split() if path.exists() else []


def built(cloud: Cloud) -> set[Path]:
    return set((cloud.root / "s").iterdir())


def test_an_upgrade_stops_nothing_before_the_new_release_is_there(
    cloud: Cloud,
) -> None:
    """While B builds, A runs, though A is to be removed, and others are installed.

    When B is built the instance runs from B, and then alone A goes.
    """
    old = cloud.release("a", SERVICE.format(name="a"))
    new = slow_release(cloud, "b")
    places = {url: cloud.root / "s" / release_directory(url) for url in (old, new)}

    services = cloud.partition() / "etc/service"

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(old))
        await cloud.perform(requested(old))
        service = AgentService(agent, lambda: Ownership(cloud.config, cloud.runtime))
        service.startService()
        try:
            await upgrade()
        finally:
            await service.stopService()

    async def upgrade() -> None:
        async def is_started(title: str = "first") -> bool:
            return (await instance_report(cloud, title)).reported_state == "started"

        await eventually(cloud, is_started, "the instance was never started")
        pid = cloud.pids()[-1]
        await cloud.perform(supplied(new))
        await cloud.perform(requested(old, title="second"))

        async def is_building() -> bool:
            return trace(cloud) == ["one", "two"]

        await eventually(cloud, is_building, "the new release is not built")
        # Another instance is installed while a release is built.
        await eventually(
            cloud, lambda: is_started("second"), "the build delays an instance"
        )
        await cloud.perform(requested(new))
        await cloud.perform(requested(new, title="second"))
        await cloud.perform(supplied(old, SupplyState.DESTROYED))
        await deferLater(cloud.runtime.clock, 5)
        assert (trace(cloud), is_alive(pid)) == (["one", "two"], True)
        assert built(cloud) == set(places.values())

        (cloud.root / "go-on").touch()

        async def is_upgraded() -> bool:
            programs = [each.name for each in services.iterdir()]
            return programs == ["sleeper-b"] and not is_alive(pid)

        await eventually(cloud, is_upgraded, "the instance never ran from the new one")

        async def is_removed() -> bool:
            return built(cloud) == {places[new]}

        await eventually(cloud, is_removed, "the old release was never removed")
        assert is_alive(cloud.pids()[-1])

    cloud.run(scenario)


def test_a_build_that_was_killed_goes_on_where_it_stood(cloud: Cloud) -> None:
    """With SIGKILL for the agent and for its buildout: no part is installed twice."""
    url = slow_release(cloud, "release")

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        for kill_count in (1, 2, 3):
            program = begin_pass(cloud, "software_pass")

            async def waits(count: int = kill_count) -> bool:
                return trace(cloud).count("two") == count

            await eventually(cloud, waits, "the second part was never begun")
            program.kill()
            program.wait()
            for pid in builders(cloud):
                os.kill(pid, 9)
        (cloud.root / "go-on").touch()
        result = await agent.software_pass()
        assert result.exit_status is ExitStatus.OK, result
        assert trace(cloud) == ["one", "two", "two", "two", "two", "three"]
        assert await installation_states(cloud) == ["available"]

    cloud.run(scenario)


def builders(cloud: Cloud) -> list[int]:
    """The buildouts of releases that run, of whatever agent."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            place = (process / "cwd").readlink()
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if place.parent == cloud.root / "s" and b"buildout_shim" in command:
            found.append(int(process.name))
    return found


def test_an_agent_that_was_killed_leaves_a_build_that_the_next_one_waits_for(
    cloud: Cloud,
) -> None:
    """SIGKILL for the agent alone: its buildout goes on, and none runs beside it."""
    url = slow_release(cloud, "release")

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        program = begin_pass(cloud, "software_pass")

        async def waits() -> bool:
            return trace(cloud) == ["one", "two"]

        await eventually(cloud, waits, "the second part was never begun")
        program.kill()
        program.wait()
        second = begin_pass(cloud, "software_pass")
        await deferLater(cloud.runtime.clock, 2)
        (cloud.root / "go-on").touch()

        async def is_ended() -> bool:
            return second.poll() is not None

        await eventually(cloud, is_ended, "the second pass never ended")
        # The second one finds all parts installed: it updates, which is free here.
        assert trace(cloud)[:3] == ["one", "two", "three"]
        assert await installation_states(cloud) == ["available"]

    cloud.run(scenario)


def test_a_failed_build_is_not_tried_again_before_its_time_over_a_restart(
    cloud: Cloud,
) -> None:
    """The reason is with the master; another agent waits as the first one would."""
    url = cloud.release("release")
    profile = Path(url).read_text()
    Path(url).write_text(profile + "failure = the disc is round\n")

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        first = await agent.software_pass()
        assert first.exit_status is ExitStatus.FAILED
        assert "the disc is round" in "".join(
            each.failure or "" for each in first.outcomes
        )
        log = cloud.runtime.file_tree(cloud.config.instance_root)
        kept = log.status(f"var/log/software/{release_directory(url)}.log")
        assert kept is not None
        assert kept.kind is FileKind.FILE
        second = begin_pass(cloud, "software_pass")

        async def is_ended() -> bool:
            return second.poll() is not None

        await eventually(cloud, is_ended, "the second pass never ended")
        text = (cloud.root / "passes.log").read_text()
        assert "did not build, 1 times" in text
        assert "effort=<Effort.BUILD" not in text

    cloud.run(scenario)


@contextmanager
def a_cache(cloud: Cloud) -> Iterator[str]:
    """The binary cache of a stock proxy; gives its URL."""
    port = free_port()
    for name in ("content", "entries"):
        (cloud.root / name).mkdir(exist_ok=True)
    cfg = cloud.root / "cache.cfg"
    cfg.write_text(
        f"[slapos]\nmaster_url = http://127.0.0.1:{port}/\ncomputer_id = local\n"
        f"[slapproxy]\nhost = 127.0.0.1\nport = {port}\n"
        f"database_uri = {cloud.root}/cache.db\n"
        f"shacache_content_directory = {cloud.root}/content\n"
        f"shacache_metadata_directory = {cloud.root}/entries\n"
    )
    proxy = [str(stock_environment() / "slapos"), "proxy", "start", "--cfg", str(cfg)]
    with running(proxy, cloud.root / "cache.log"):
        eventually_true(lambda: is_listening("127.0.0.1", port), 30, "the cache")
        yield f"http://127.0.0.1:{port}/shacache"


def with_cache(cloud: Cloud, url: str) -> Cloud:
    (cloud.root / "key").write_bytes(KEY)
    networkcache = NetworkcacheSettings(
        download_cache_url=f"{url}/cache",
        download_directory_url=f"{url}/dir",
        upload_cache_url=f"{url}/cache",
        upload_directory_url=f"{url}/dir",
        private_key_file=str(cloud.root / "key"),
        certificates=CERTIFICATE.decode(),
    )
    return evolve(cloud, config=evolve(cloud.config, networkcache=networkcache))


def test_a_release_that_was_built_once_comes_from_the_cache(cloud: Cloud) -> None:
    """It is sent after it is available, and an instance runs from what comes back."""
    url = slow_release(cloud, "release")
    (cloud.root / "go-on").touch()
    place = cloud.root / "s" / release_directory(url)

    with a_cache(cloud) as cache_url:
        cached = with_cache(cloud, cache_url)

        async def scenario(agent: Agent) -> None:
            await agent.format()
            await cloud.perform(supplied(url))
            first = await agent.software_pass()
            assert [str(each.effort) for each in first.outcomes] == [
                *("report", "build", "report", "record-built", "upload")
            ]
            assert first.exit_status is ExitStatus.OK, first
            assert trace(cloud) == ["one", "two", "three"]
            await cloud.perform(supplied(url, SupplyState.DESTROYED))
            await agent.software_pass()
            assert not place.exists()
            await cloud.perform(supplied(url))
            second = await agent.software_pass()
            assert second.exit_status is ExitStatus.OK, second
            assert trace(cloud) == ["one", "two", "three"]
            await cloud.perform(requested(url))
            await pass_until_reported(cloud, agent, "started")
            assert is_alive(cloud.pids()[-1])

        cached.run(scenario)


def test_a_cache_that_is_away_delays_nothing(cloud: Cloud) -> None:
    """The release is built and available; what could not be sent is sent later."""
    url = cloud.release("release")
    cached = with_cache(cloud, f"http://127.0.0.1:{free_port()}/shacache")

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        result = await agent.software_pass()
        assert result.exit_status is ExitStatus.OK, result
        assert result.outcomes[-1].effort is Effort.UPLOAD
        assert "not sent to the binary cache" in str(result.outcomes[-1].failure)
        assert await installation_states(cloud) == ["available"]
        mark = cloud.root / "s" / release_directory(url) / ".slapgrid-upload"
        assert mark.exists()

    cached.run(scenario)
