"""The authority of a cloud that begins: made once, killed anywhere, found again."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve

from labsim.world.world import World
from runtime.certificates import check_authority, check_chain, render_request
from runtime.holdings import Holding
from runtime.identity_directory import IdentityDirectory
from runtime.ports import IFileTree, Runtime
from slap.identities import Identity, Role, identity_of
from slapcluster.bootstrap.home import IDENTITY, OPERATOR, ROOT, Home
from slapcluster.bootstrap.identifying import identify, sign_regions
from slapcluster.outcomes import CommandFailed
from tests.mortal import Killed, MortalTree, Patience

HOST = "2001:db8:1::1"
PATH = "/srv/bootstrap"


def a_runtime(patience: Patience) -> Runtime:
    runtime = World(seed=1).host("desk").runtime

    def mortal(root: str) -> IFileTree:
        return MortalTree(runtime.file_tree(root), patience)

    return evolve(runtime, file_tree=mortal)


def holders(home: Home) -> tuple[Identity, ...]:
    """Who is who, checked against the root."""
    now = home.runtime.calendar.now()
    found = []
    for name in (IDENTITY, OPERATOR):
        held = IdentityDirectory(home.tree.subtree(name)).held(now)
        check_chain(held.chain, held.roots, now)
        found.append(identity_of(held.described.uris))
    return tuple(found)


def test_the_mini_master_and_the_operator_are_known_by_the_root() -> None:
    home = Home(a_runtime(Patience(1000)), PATH)
    identify(home, HOST)

    assert holders(home) == (
        Identity(Role.REPLICA, "mini-master"),
        Identity(Role.PERSON, "operator"),
    )
    own = IdentityDirectory(home.tree.subtree(IDENTITY))
    assert own.held(home.runtime.calendar.now()).described.addresses == (HOST,)
    for name in (ROOT, IDENTITY, OPERATOR):
        status = home.tree.status(name)
        assert status is not None
        assert status.mode & 0o077 == 0


def test_killed_before_any_file_it_goes_on_and_nobody_gets_another_key() -> None:
    """And done again it changes nothing."""
    for count in itertools.count():
        patience = Patience(count)
        home = Home(a_runtime(patience), PATH)
        try:
            identify(home, HOST)
            is_whole = True
        except Killed:
            is_whole = False
        patience.left = 1000
        before = _files(home)
        identify(home, HOST)
        after = _files(home)
        assert before.items() <= after.items()
        assert len(holders(home)) == 2
        identify(home, HOST)
        assert _files(home) == after
        if is_whole:
            break
    assert count > 8


def _files(home: Home) -> dict[str, bytes]:
    return {
        f"{directory}/{name}": home.tree.read(f"{directory}/{name}")
        for directory in (ROOT, IDENTITY, OPERATOR)
        if home.tree.status(directory) is not None
        for name in home.tree.list(directory)
    }


def test_regions_are_signed_by_the_root() -> None:
    home = Home(a_runtime(Patience(1000)), PATH)
    identify(home, HOST)
    key = home.runtime.keys.new_private_key()
    signed = sign_regions(home, {"lyon": render_request(key, "x")}, ("lyon",))

    now = home.runtime.calendar.now()
    roots = IdentityDirectory(home.tree.subtree(ROOT)).held(now, Holding.ROOT).roots
    assert check_authority(signed["lyon"], roots, now).name == "region lyon"
    with pytest.raises(CommandFailed, match="request for a certificate"):
        sign_regions(home, {"lyon": "no request"}, ("lyon",))
