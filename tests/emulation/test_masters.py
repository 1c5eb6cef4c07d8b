"""Real masters, killed and stopped under load: what they acknowledged is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from slap.calls import request_instance
from tests.emulation.masters import Client, Crowd, check_file, masters, wanted

CLIENT_COUNT = 8
TITLES_EACH = 80
"""As the reference was measured: of these 640 it keeps 482."""

MEETING_COUNT = 10


def test_several_masters_lose_nothing_when_one_and_the_server_are_killed(
    tmp_path: Path,
) -> None:
    """Eight clients fill 640 partitions, and meet in ten titles besides."""
    meetings = [f"meeting {number}" for number in range(MEETING_COUNT)]
    lists = [
        [f"client {client} title {number}" for number in range(TITLES_EACH)]
        for client in range(CLIENT_COUNT)
    ]
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


@pytest.mark.parametrize("seed", range(2))
def test_a_master_killed_at_any_instant_has_what_it_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    entropy = Random(seed)
    lists = [
        [f"client {client} title {number}" for number in range(30)]
        for client in range(CLIENT_COUNT)
    ]
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
        lists = [
            [f"client {client} title {number}" for number in range(50)]
            for client in range(CLIENT_COUNT)
        ]
        with crowd.requesting(lists):
            crowd.await_answers(100)
            assert programs.stop_master(0) == 0
            check_file(programs.path, dict(crowd.answered))
            programs.start_master(0)

        client = Client(programs.ports)
        for title, answer in crowd.answered.items():
            assert client.ask(request_instance(wanted(title))) == answer
        client.close()
