"""``make demo STORE=neo``: the first cloud with its state in three regions."""

from __future__ import annotations

from pathlib import Path

from slapcluster.play.settings import StoreKind
from slapcluster.play.tour import STEPS_OF
from tests.capabilities import needs_namespaces
from tests.emulation.test_demo import a_checkout, assert_nothing_is_left, play


@needs_namespaces
def test_the_demo_on_neo_shows_all_its_steps_and_leaves_nothing(tmp_path: Path) -> None:
    """One more than without: the region of the primary is killed meanwhile."""
    checkout = a_checkout(tmp_path)

    shown = play(checkout, "demo", "--store", "neo")

    expected = [it.title for it in STEPS_OF[StoreKind.NEO]]
    assert [it["step"] for it in shown[1:]] == expected
    assert expected[-1] == "a region killed"
    assert_nothing_is_left(shown[0]["seen"].removeprefix("in "), checkout)
