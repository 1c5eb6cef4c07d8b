"""What is looked at on this machine: a disk, listeners; and what commands answer."""

from __future__ import annotations

import os
import socket
from itertools import count
from pathlib import Path

import pytest

from slapcluster.bootstrap.errands import Errand, find_answer
from slapcluster.bootstrap.wanted_cloud import WantedComputer
from slapcluster.doctor.disks import PROBE, WRITE_COUNT, try_flushes
from slapcluster.doctor.listeners import find_listeners


def test_a_probe_is_removed_and_so_is_one_that_was_left(tmp_path: Path) -> None:
    (tmp_path / PROBE).write_text("left by who was killed")
    ticks = count()

    taken = try_flushes(str(tmp_path), lambda: float(next(ticks)) / 1000)

    assert len(taken) == WRITE_COUNT
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk_is_tried_for_some_seconds_alone(tmp_path: Path) -> None:
    ticks = count()

    assert len(try_flushes(str(tmp_path), lambda: float(next(ticks)))) == 2


def test_a_link_in_place_of_the_probe_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / PROBE).symlink_to(victim)

    try_flushes(str(tmp_path), lambda: 0.0)

    assert victim.read_text() == "whole"
    assert [it.name for it in tmp_path.iterdir()] == ["victim"]


def test_a_directory_that_nobody_may_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        try_flushes(str(tmp_path / "none"), lambda: 0.0)


def test_listeners_are_known_by_their_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        (stranger,) = find_listeners({port}, ("/no/such/root/",), None)
        (agent,) = find_listeners({port}, (), os.getpid())
        (own,) = find_listeners({port}, ("python", "pytest"), None)

    assert (stranger.host, stranger.port, stranger.is_own) == ("127.0.0.1", port, False)
    assert agent.is_own
    assert own.is_own
    assert find_listeners({port}, (), None) == ()


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("{}", None),
        ('{\n  "a": 1\n}\n', {"a": 1}),
        ('Welcome {\n{\n  "a": {\n    "b": 2\n  }\n}\nbye\n', {"a": {"b": 2}}),
        ("{\nnothing\n}\n", None),
        ("Error: there is no such command.\n", None),
    ],
)
def test_an_answer_is_found_among_other_words(output: str, answer) -> None:
    assert find_answer(output) == answer


def test_an_errand_is_the_command_and_a_verb_of_the_computer() -> None:
    computer = WantedComputer("c1", "paris", ("ssh", "c1", "slapcluster"), "", "/e.cfg")

    errand = Errand(computer, ("examine", "visit"), 1.0)

    assert errand.argv == (
        *("ssh", "c1", "slapcluster", "--output", "json"),
        *("node", "--cfg", "/e.cfg", "examine", "visit"),
    )
