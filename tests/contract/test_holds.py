"""The lock of a home, as the kernel keeps it and as the laboratory does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labsim.lives.bootstrap_place import Place
from labsim.world.world import World
from slapgrid.neighbours.lock import Lock, hold_directory

Hold = Callable[[str], Lock | None]


def hold_of_the_kernel(_: Path) -> Hold:
    return hold_directory


def hold_of_the_laboratory(tmp_path: Path) -> Hold:
    return Place(World(seed=1), tmp_path, {}, lambda _: None).home().hold


@pytest.mark.parametrize("build", [hold_of_the_kernel, hold_of_the_laboratory])
def test_a_home_is_held_by_one_at_a_time(
    build: Callable[[Path], Hold], tmp_path: Path
) -> None:
    hold = build(tmp_path)
    first = hold(str(tmp_path))
    assert first is not None
    assert hold(str(tmp_path)) is None

    first.release()
    second = hold(str(tmp_path))
    assert second is not None
    second.release()
