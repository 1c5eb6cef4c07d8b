"""Real masters, killed and stopped under load: what they acknowledged is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from subprocess import TimeoutExpired  # noqa: TID251 - tests watch programs

from master_cluster.store.backup import restore
from slap.calls import request_instance
from tests.emulation.masters import (
    PROGRAM,
    Client,
    Crowd,
    check_file,
    masters,
    wanted,
)
from tests.programs import run, running
from tests.source_tree import TOP
from tests.unit.master_cluster.benches import StoreBench

CLIENT_COUNT = 8
TITLES_EACH = 80
"""As the reference was measured: of these 640 it keeps 482."""

MEETING_COUNT = 10


def titles_of_clients(count: int) -> list[list[str]]:
    """Titles that each client requests, none of them twice."""
    return [
        [f"client {client} title {number}" for number in range(count)]
        for client in range(CLIENT_COUNT)
    ]


def test_several_masters_lose_nothing_when_one_and_the_server_are_killed(
    tmp_path: Path,
) -> None:
    """Eight clients fill 640 partitions, and meet in ten titles besides."""
    meetings = [f"meeting {number}" for number in range(MEETING_COUNT)]
    lists = titles_of_clients(TITLES_EACH)
    total = CLIENT_COUNT * TITLES_EACH + MEETING_COUNT
    with masters(tmp_path, 3, is_served=True) as programs:
        crowd = Crowd(programs.ports)
        crowd.format(total)
        with crowd.requesting([mixed(own, meetings) for own in lists]):
            crowd.await_answers(150)
            programs.kill_master(0)
            crowd.await_answers(250)
            programs.kill_server()
            programs.start_server()
            crowd.await_answers(400)
            programs.start_master(0)

        for port in programs.ports:
            crowd_of_one = Crowd([port])
            crowd_of_one.answered = dict(crowd.answered)
            with crowd_of_one.requesting([meetings]):
                pass

    assert len(crowd.answered) == total
    used = Counter(answer.key for answer in crowd.answered.values())
    assert set(used.values()) == {1}
    check_file(programs.path, crowd.answered)


def mixed(own: list[str], meetings: list[str]) -> list[str]:
    """The meetings between the others, so that all clients are there at once."""
    return [*own[:2], *meetings[:5], *own[2:40], *meetings[5:], *own[40:]]


def test_a_master_killed_at_any_instant_has_what_it_acknowledged(
    tmp_path: Path,
) -> None:
    entropy = Random(0)
    lists = titles_of_clients(30)
    with masters(tmp_path) as programs:
        crowd = Crowd(programs.ports)
        crowd.format(CLIENT_COUNT * 30)
        with crowd.requesting(lists):
            for _ in range(3):
                crowd.await_answers(len(crowd.answered) + entropy.randrange(5, 60))
                programs.kill_master(0)
                check_file(programs.path, dict(crowd.answered))
                programs.start_master(0)

    check_file(programs.path, crowd.answered)


def test_a_master_that_is_stopped_answers_what_it_accepted(tmp_path: Path) -> None:
    """Each client has an answer that holds, or an error; none of them waits."""
    with masters(tmp_path) as programs:
        crowd = Crowd(programs.ports)
        crowd.format(400)
        lists = titles_of_clients(50)
        with crowd.requesting(lists):
            crowd.await_answers(100)
            assert programs.stop_master(0) == 0
            check_file(programs.path, dict(crowd.answered))
            programs.start_master(0)

        client = Client(programs.ports)
        for title, answer in crowd.answered.items():
            assert client.ask(request_instance(wanted(title))) == answer
        client.close()


def test_a_storage_server_that_is_stopped_finishes_what_it_began(
    tmp_path: Path,
) -> None:
    with masters(tmp_path, 2, is_served=True) as programs:
        crowd = Crowd(programs.ports)
        crowd.format(160)
        lists = titles_of_clients(20)
        with crowd.requesting(lists):
            crowd.await_answers(40)
            assert programs.stop_master(0) == 0
            crowd.await_answers(70)
            assert programs.stop_server() == 0
            check_file(programs.path, dict(crowd.answered))
            programs.start_server()
            programs.start_master(0)

    check_file(programs.path, crowd.answered)


def storage(*arguments: object) -> str:
    """Run ``slapcluster storage`` to its good end, and give its output."""
    argv = [*PROGRAM, "storage", *map(str, arguments)]
    done = run(argv, {"PYTHONPATH": str(TOP)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backup_under_load_has_all_that_was_acknowledged_before(
    tmp_path: Path,
) -> None:
    copies = [tmp_path / f"copy-{number}.fs" for number in range(2)]
    acknowledged = []
    with masters(tmp_path, 2, is_served=True) as programs:
        crowd = Crowd(programs.ports)
        crowd.format(160)
        lists = titles_of_clients(20)
        with crowd.requesting(lists):
            for number, copy in enumerate(copies):
                crowd.await_answers(20 + 50 * number)
                acknowledged.append(dict(crowd.answered))
                storage("backup", f"file:{programs.path}", copy)

    for number, copy in enumerate(copies):
        restored = tmp_path / f"restored-{number}.fs"
        restore(copy, restored, lambda *_: None, is_forced=False)
        check_file(restored, acknowledged[number])


def test_a_restore_killed_at_any_instant_leaves_the_old_or_the_new_file(
    tmp_path: Path,
) -> None:
    old, new, path = (tmp_path / f"{name}.fs" for name in ("old", "new", "state"))
    for copy, count in ((old, 10), (new, 200)):
        bench = StoreBench(f"file:{copy}")
        bench.format(200)
        for number in range(count):
            bench.request(f"title {number}")
        bench.close()
    either = {old.read_bytes(), new.read_bytes()}

    for delay_ms in (300, 600, 800, 1000, 1300):
        path.write_bytes(old.read_bytes())
        argv = [*PROGRAM, "storage", "restore", str(new), f"file:{path}", "--force"]
        log = tmp_path / "restore.log"
        with running(argv, log, {"PYTHONPATH": str(TOP)}) as program:
            try:
                program.wait(delay_ms / 1000)
            except TimeoutExpired:
                program.kill()
                program.wait()
        assert path.read_bytes() in either
