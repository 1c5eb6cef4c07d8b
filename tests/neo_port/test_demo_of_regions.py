"""``make demo-full``: a cloud loses a region, then all power, and upgrades itself."""

from __future__ import annotations

from pathlib import Path

from slapcluster.play.regional_tour import FULL_STEPS, REGIONAL_STEPS
from tests.capabilities import needs_namespaces
from tests.emulation.test_demo import a_checkout, assert_nothing_is_left, play

DEMO_SECONDS_MAX = 2100
"""Alone it takes ten to fifteen minutes on two cores, which others share here."""


@needs_namespaces
def test_the_demo_of_regions_shows_all_its_steps_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """Each step judges what it sees, within its bound."""
    checkout = a_checkout(tmp_path)

    argv = ("--regions", "3", "--full")
    shown = play(checkout, "demo", *argv, seconds_max=DEMO_SECONDS_MAX)

    expected = [it.title for it in (*REGIONAL_STEPS, *FULL_STEPS)]
    assert [it["step"] for it in shown[1:]] == expected
    for it in shown:
        print(f"{it['seconds']:7.1f}  {it['step']}: {it['seen']}")  # noqa: T201 - figures for `pytest -s`
    assert_nothing_is_left(shown[0]["seen"].removeprefix("in "), checkout)
