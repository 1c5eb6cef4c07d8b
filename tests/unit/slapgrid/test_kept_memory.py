"""What an agent has seen, through restarts."""

from __future__ import annotations

import pytest

from labsim.world.world import World
from runtime.ports import IFileTree
from slap.replicas import ListedReplica
from slapgrid.kept_memory import KeptFreshness, Known
from slapgrid.layout import FRESHNESS_FILE

SEEN = bytes.fromhex("03f6c1d2a4b5c6d7")
LISTED = (ListedReplica("http://[2001:db8::7]:5000", "eu"),)
URLS = ("http://[2001:db8::1]:5000", "http://[2001:db8::2]:5000")


class Kept:
    """An agent's file, read by one life of it after the other."""

    def __init__(self) -> None:
        self._runtime = World(seed=1).host("computer").runtime
        self.tree: IFileTree = self._runtime.file_tree("/srv/instances")

    def life(self, *urls: str) -> KeptFreshness:
        return KeptFreshness(self._runtime, self.tree, urls or URLS)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_what_was_seen_is_known_in_the_next_life(kept: Kept) -> None:
    assert kept.life().recall() == Known()
    kept.life().save(Known(SEEN, LISTED))

    assert kept.life().recall() == Known(SEEN, LISTED)
    assert kept.life(URLS[1], "http://another").recall() == Known(SEEN, LISTED)


def test_an_address_that_was_told_is_one_of_the_cloud(kept: Kept) -> None:
    """All configured ones may be replaced at once, by others that were known."""
    kept.life().save(Known(SEEN, LISTED))

    assert kept.life(LISTED[0].url).recall() == Known(SEEN, LISTED)


def test_nothing_is_written_when_nothing_was_seen(kept: Kept) -> None:
    """Masters of others tell nothing: an agent of theirs has no such file."""
    kept.life().save(Known())

    with pytest.raises(FileNotFoundError):
        kept.tree.read(FRESHNESS_FILE)


def test_what_was_seen_of_another_cloud_means_nothing(kept: Kept) -> None:
    kept.life().save(Known(SEEN, LISTED))

    assert kept.life("http://another").recall() == Known()


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.replace(b"03f6", b"ffff"),
        lambda it: it[: len(it) // 2],
        lambda _: b"[]",
        lambda _: b"{}",
        lambda _: b"[1, 2, [3]]",
        lambda _: b"[1, 2, 3]",
        lambda _: b"\xff",
        lambda _: b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_as_none(kept: Kept, change) -> None:
    kept.life().save(Known(SEEN, LISTED))
    kept.tree.write(FRESHNESS_FILE, change(kept.tree.read(FRESHNESS_FILE)), 0o600)

    life = kept.life()
    assert life.recall() == Known()
    life.save(Known(SEEN, LISTED))
    assert kept.life().recall() == Known(SEEN, LISTED)
