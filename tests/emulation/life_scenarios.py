"""What happens to an agent in the course of its life, with everything real.

Run by ``test_life.py``, as an ordinary user, with a small disk at ``SMALL_DISK``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.task import deferLater

from slap.model import RequestedState
from slapgrid.convergence.retrying import Effort
from slapgrid.grants.settings import GrantSettings
from slapgrid.layout import LOCK_FILE, SUPERVISORD_PID
from slapgrid.neighbours.lock import AlreadyRunning
from slapgrid.neighbours.ownership import Ownership
from slapgrid.passes import Agent, ExitStatus
from slapgrid.service import AgentService, build_agent
from tests.emulation.agent_scenarios import (
    INSTANCE,
    Cloud,
    begin_pass,
    cloud,
    eventually,
    instance_report,
    pass_until_reported,
    prepare,
    requested,
    supplied,
)
from tests.programs import free_port

__all__ = ["cloud"]

FILE = """\
[{name}]
recipe = tiny_recipe:file
path = {path}
content =
{content}
"""


def with_files(**files: tuple[str, str]) -> str:
    """An instance that also has these files, by part: path and content."""
    parts = "".join(
        FILE.format(
            name=name,
            path=path,
            content="".join(f"  |{line}\n" for line in content.splitlines()),
        )
        for name, (path, content) in files.items()
    )
    names = " ".join(files)
    return INSTANCE.replace("promise plugin\n", f"promise plugin {names}\n", 1) + parts


def is_alive(pid: int) -> bool:
    """Whether it runs; one that ended may wait long for somebody to ask how."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return line.rpartition(")")[2].split()[0] != "Z"


NOTE = "#!/bin/sh\necho {name} >> {notes}\n{rest}"


def test_an_instance_leaves_by_its_own_programs_whenever_the_agent_is_killed(
    cloud: Cloud,
) -> None:
    """Each ran once, the hook last; read-only trees and links go, targets stay."""
    notes, kept = cloud.root / "notes", cloud.root / "kept"
    kept.mkdir()
    (kept / "file").write_text("theirs")
    locked = (
        "mkdir -p tree/deep && touch tree/deep/file\n"
        f"ln -s {kept} tree/deep/link\nchmod 500 tree/deep && chmod 000 tree\n"
    )
    slow = NOTE.format(name="prerm", notes=notes, rest="sleep 2\n")
    hook = NOTE.format(name="hook", notes=notes, rest=locked)
    url = cloud.release(
        "software",
        with_files(slow=("etc/prerm/slow", slow), hook=("sbin/destroy", hook)),
    )
    entropy = random.Random(20261121)

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        await cloud.perform(requested(url, RequestedState.DESTROYED))
        await agent.instance_pass()
        assert not notes.exists()
        whole = begin_pass(cloud, "instance_pass")
        while whole.poll() is None:
            await deferLater(cloud.runtime.clock, 0.1)
        assert whole.returncode == 0
        for _ in range(4):
            program = begin_pass(cloud, "report_pass")
            await deferLater(cloud.runtime.clock, entropy.uniform(0.3, 2.0))
            program.kill()
            program.wait()

        async def is_gone() -> bool:
            assert (await agent.report_pass()).exit_status is ExitStatus.OK
            return cloud.content() == [".slapos-resource"]

        await eventually(cloud, is_gone, "it never left")
        lines = notes.read_text().split()
        assert (lines.count("prerm"), lines[-1]) == (1, "hook")
        assert (kept / "file").read_text() == "theirs"

    cloud.run(scenario)


def test_a_hook_that_refuses_keeps_the_instance_and_says_why(cloud: Cloud) -> None:
    """Once it agrees, the instance goes."""
    refusing = "#!/bin/sh\ntest -f agreed || { echo not yet; exit 1; }\n"
    url = cloud.release("software", with_files(hook=("sbin/destroy", refusing)))

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        await cloud.perform(requested(url, RequestedState.DESTROYED))
        await agent.instance_pass()
        assert (await agent.report_pass()).exit_status is ExitStatus.FAILED
        report = await instance_report(cloud)
        assert report.reported_state == "error"
        assert "not yet" in report.message
        (cloud.partition() / "agreed").touch()

        async def is_gone() -> bool:
            await agent.report_pass()
            return cloud.content() == [".slapos-resource"]

        await eventually(cloud, is_gone, "it never left")

    cloud.run(scenario)


def test_a_port_leads_to_an_instance_as_long_as_it_asks(cloud: Cloud) -> None:
    """socat, under supervisord, as a file of the instance asks."""
    cloud = evolve(
        cloud, config=evolve(cloud.config, grants=GrantSettings(("portredir",)))
    )
    url = cloud.release("software")
    source, target = free_port(), socket.create_server(("127.0.0.1", 0))
    asked = {
        "srcPort": source,
        "srcAddress": "127.0.0.1",
        "destAddress": "127.0.0.1",
        "destPort": target.getsockname()[1],
    }

    def connects() -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex(("127.0.0.1", source)) == 0

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        path = cloud.partition() / ".slapos-port-redirect"
        path.write_text(json.dumps([asked]))

        async def is_open() -> bool:
            await agent.instance_pass()
            return connects()

        await eventually(cloud, is_open, "the port was never opened")
        path.write_text("nonsense")

        async def is_closed() -> bool:
            await agent.instance_pass()
            return not connects()

        await eventually(cloud, is_closed, "the port was never closed")
        assert "is no JSON" in (await instance_report(cloud)).message
        path.unlink()
        await pass_until_reported(cloud, agent, "started")

    with target:
        cloud.run(scenario)


def test_supervision_that_is_killed_leaves_nothing_running_twice(cloud: Cloud) -> None:
    """What it left is ended, also what hides its variables; then all is started."""
    hiding = "#!/bin/sh\necho $$$$ >> hidden\nexec env -i /bin/sleep 1000\n"
    url = cloud.release("software", with_files(hiding=("etc/service/hiding", hiding)))

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        hidden = cloud.partition() / "hidden"
        before = cloud.pids() + [int(each) for each in hidden.read_text().split()]
        root = Path(cloud.config.instance_root)
        os.kill(int((root / SUPERVISORD_PID).read_text()), signal.SIGKILL)
        assert [is_alive(pid) for pid in before] == [True, True]

        async def is_back() -> bool:
            await agent.instance_pass()
            return len(cloud.pids()) > 1 and len(hidden.read_text().split()) > 1

        await eventually(cloud, is_back, "the programs were not started again")
        assert [is_alive(pid) for pid in before] == [False, False]
        assert is_alive(cloud.pids()[-1])

    cloud.run(scenario)


def test_a_new_agent_touches_no_program_of_the_old_one(cloud: Cloud) -> None:
    """An upgrade: the process is another one, also after SIGKILL of the first."""
    url = cloud.release("software")

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        program = begin_pass(cloud, "instance_pass")
        program.kill()
        program.wait()
        before = cloud.pids()
        # A number that another process has by now keeps nobody out.
        lock = Path(cloud.config.instance_root) / LOCK_FILE
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(f"{os.getppid()}\n")
        service = AgentService(
            build_agent(cloud.config, cloud.runtime),
            lambda: Ownership(cloud.config, cloud.runtime),
        )
        service.startService()
        with pytest.raises(AlreadyRunning):
            Ownership(cloud.config, cloud.runtime)
        await deferLater(cloud.runtime.clock, 3)
        await service.stopService()
        assert cloud.pids() == before
        assert is_alive(before[-1])

    cloud.run(scenario)


def test_a_service_that_dies_at_once_is_slowed_down_and_said(cloud: Cloud) -> None:
    """Its neighbour runs on, in the same partition and in the other."""
    dying = "#!/bin/sh\necho once >> deaths\nexit 3\n"
    url = cloud.release("software")
    bad = cloud.release("bad", with_files(dying=("etc/service/dying", dying)))

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        await cloud.perform(supplied(bad))
        assert (await agent.software_pass()).exit_status is ExitStatus.OK
        await cloud.perform(requested(bad, title="second"))
        clock = cloud.runtime.clock
        began = clock.seconds()

        async def is_said() -> bool:
            await agent.instance_pass()
            report = await instance_report(cloud, "second")
            return "Programs of slappart1 keep ending" in report.message

        await eventually(cloud, is_said, "nobody was told")
        deaths = (cloud.partition(1) / "deaths").read_text().split()
        # Delays double: in so many seconds fewer than one a second.
        assert 3 <= len(deaths) <= clock.seconds() - began + 3
        assert (len(cloud.pids(0)), len(cloud.pids(1))) == (1, 1)
        assert is_alive(cloud.pids(0)[0])
        assert is_alive(cloud.pids(1)[0])
        assert (await instance_report(cloud)).reported_state == "started"

    cloud.run(scenario)


def test_a_full_disk_loses_nothing(cloud: Cloud) -> None:
    """Installing, proving, reporting, remembering: each goes on when there is room."""
    disk = Path(os.environ["SMALL_DISK"])  # noqa: TID251 - set by test_life.py
    # No floor: the disk is full in the middle of what is done.
    instance = evolve(cloud.config.instance, free_bytes_min=0)
    config = evolve(cloud.config, instance_root=str(disk / "i"), instance=instance)
    cloud = evolve(cloud, config=config)
    url = cloud.release("software")
    ballast = disk / "ballast"

    def fill() -> None:
        with ballast.open("ab", buffering=0) as opened:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        opened.write(b"x" * size)
                except OSError:
                    continue

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        before = cloud.pids()
        timestamp = (cloud.partition() / ".timestamp").read_bytes()
        fill()
        await cloud.perform(requested(url, title="second"))

        async def is_said() -> bool:
            fill()
            await agent.instance_pass()
            return (await instance_report(cloud, "second")).reported_state == "error"

        await eventually(cloud, is_said, "the full disk was not reported")
        assert "No space left" in (await instance_report(cloud, "second")).message
        # A new agent finds what the last one saved before.
        again = build_agent(cloud.config, cloud.runtime)
        result = await again.instance_pass()
        await again.close()
        assert {each.effort for each in result.outcomes} <= {
            Effort.INSTALL,
            Effort.PROVE,
            Effort.REPORT,
        }
        assert (cloud.partition() / ".timestamp").read_bytes() == timestamp
        ballast.unlink()

        async def is_started() -> bool:
            await agent.instance_pass()
            states = [
                (await instance_report(cloud, title)).reported_state
                for title in ("first", "second")
            ]
            return states == ["started", "started"]

        await eventually(cloud, is_started, "it did not go on")
        assert cloud.pids() == before
        assert is_alive(before[-1])

    try:
        cloud.run(scenario)
    finally:
        ballast.unlink(missing_ok=True)
