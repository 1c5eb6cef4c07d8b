"""Identity directories: what is written when, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labsim.world.world import World
from master_cluster.authority.issuing import LEAF_DAYS, Region
from runtime.certificates import BadCertificate, describe_first
from runtime.holdings import ROOTS, Holding
from runtime.identity_directory import IdentityDirectory
from runtime.ports import IFileTree, IKeys
from tests.authorities import a_leaf, a_region, write_region

DAY = 24 * 3600.0


class Home:
    """An identity directory on the disk of a simulated host, and its cloud."""

    def __init__(self) -> None:
        self.host = World(seed=1).host("alone")
        self.now = self.host.runtime.calendar.now()
        self.region: Region = a_region(self.keys, self.now)

    @property
    def keys(self) -> IKeys:
        return self.host.runtime.keys

    @property
    def tree(self) -> IFileTree:
        return self.host.runtime.file_tree("/etc/identity")

    @property
    def directory(self) -> IdentityDirectory:
        return IdentityDirectory(self.tree)

    def fill(self) -> None:
        directory = self.directory
        key = directory.make_key(self.keys.new_private_key)
        directory.keep_roots(self.region.roots)
        directory.keep_chain(a_leaf(self.region, key, self.now).certificate, self.now)


def test_what_was_written_is_held() -> None:
    home = Home()
    home.fill()

    held = home.directory.held(home.now)

    assert held.described == describe_first(held.chain)
    assert (held.key, held.roots) == (home.directory.key(), home.region.roots)
    assert {name: status.mode for name, status in home.tree.entries().items()} == {
        "own.crt": 0o644,
        "own.key": 0o600,
        "root.crt": 0o644,
    }


def test_a_key_is_made_once_whatever_happens_after_it() -> None:
    home = Home()
    made = home.directory.make_key(home.keys.new_private_key)

    home.host.crash()
    home.host.boot()

    assert home.directory.make_key(home.keys.new_private_key) == made
    assert home.directory.chain() == ""


def spoil(change: Callable[[Home], object], sentence: str) -> object:
    return pytest.param(change, sentence, id=sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        spoil(
            lambda it: it.tree.remove("own.key"), "there is no /etc/identity/own.key"
        ),
        spoil(
            lambda it: it.tree.remove("own.crt"), "there is no /etc/identity/own.crt"
        ),
        spoil(lambda it: it.tree.remove(ROOTS), "there is no /etc/identity/root.crt"),
        spoil(lambda it: it.tree.write("own.crt", b"\xff"), "own.crt is no text"),
        spoil(lambda it: it.tree.write("own.crt", b"x"), "own.crt: has no certificate"),
        spoil(
            lambda it: it.tree.write("own.key", b"x", 0o600), "own.key: the key is none"
        ),
        spoil(
            lambda it: it.tree.change("own.key", mode=0o640),
            "own.key may be read by others: `chmod 600",
        ),
        spoil(
            lambda it: it.tree.write(
                "own.key", it.keys.new_private_key().encode(), 0o600
            ),
            "own.crt: the certificate of COMP-1 is of another key",
        ),
        spoil(
            lambda it: it.tree.write(ROOTS, a_region(it.keys, it.now).roots.encode()),
            "own.crt: the certificate of COMP-1 does not lead to the root",
        ),
        spoil(
            lambda it: setattr(it, "now", it.now + LEAF_DAYS * DAY),
            "own.crt: the certificate of COMP-1 ended on",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file_at_fault(
    change: Callable[[Home], object], sentence: str
) -> None:
    home = Home()
    home.fill()

    change(home)

    with pytest.raises(BadCertificate, match=sentence):
        home.directory.held(home.now)


def test_a_chain_that_does_not_fit_replaces_nothing() -> None:
    home = Home()
    home.fill()
    before = home.directory.chain()
    stranger = a_leaf(home.region, home.keys.new_private_key(), home.now)

    with pytest.raises(BadCertificate, match="is of another key"):
        home.directory.keep_chain(stranger.certificate, home.now)

    assert home.directory.chain() == before


def test_a_root_is_not_exchanged() -> None:
    home = Home()
    home.fill()

    with pytest.raises(BadCertificate, match=r"root.crt is the root of another cloud"):
        home.directory.keep_roots(a_region(home.keys, home.now).roots)
    home.directory.keep_roots(f"words\n{home.region.roots}")

    assert home.directory.roots() == home.region.roots


@pytest.mark.parametrize(
    ("choose", "sentence"),
    [
        (lambda region: region.authority.certificate, "signed itself"),
        (lambda region: region.roots * 2, "not one certificate"),
        (lambda _: "", "has no certificate"),
    ],
)
def test_what_is_no_root_is_not_written(
    choose: Callable[[Region], str], sentence: str
) -> None:
    home = Home()

    with pytest.raises(BadCertificate, match=sentence):
        home.directory.keep_roots(choose(home.region))

    assert home.directory.roots() == ""


def test_a_region_is_held_beside() -> None:
    home = Home()
    write_region(home.tree, home.region)

    held = home.directory.held(home.now, Holding.REGION)

    assert held.described.name == "region lyon"
    with pytest.raises(BadCertificate, match=r"there is no /etc/identity/own.key"):
        home.directory.held(home.now)


def test_the_certificate_of_a_computer_is_no_authority() -> None:
    home = Home()
    home.fill()
    for ending in ("key", "crt"):
        home.tree.write(f"region.{ending}", home.tree.read(f"own.{ending}"), 0o600)

    with pytest.raises(BadCertificate, match="COMP-1 may sign nothing"):
        home.directory.held(home.now, Holding.REGION)
