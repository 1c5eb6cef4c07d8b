"""``link run`` with a real stunnel, and what a pin stands for there."""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - the program from outside
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from runtime.certificates import first_of
from slap.identities import Identity, Role
from stunnel_conf.links import Links
from stunnel_conf.process import StunnelProcess
from stunnel_conf.writing import encode_links
from tests import programs
from tests.authorities import a_leaf, a_region
from tests.contract.test_links import Site, answers, joined, sites

__all__ = ["sites"]

PROGRAM = (sys.executable, "-c", "from slapcluster.cli import main; main()")
DAY = 86400.0


def certified(site: Site, file: str, *days_ago: float) -> None:
    """Have one key of a site certified at several instants, each by another cloud."""
    runtime = site.runtime
    now = runtime.calendar.now()
    key = runtime.keys.new_private_key()
    identity = Identity(Role.LINK, site.name)
    for number, ago in enumerate(days_ago):
        region = a_region(runtime.keys, now - ago * DAY)
        one = first_of(a_leaf(region, key, now - ago * DAY, identity).certificate)
        name = f"{file}-{number}"
        site.files |= {f"{name}.pem": key + one, f"{name}.crt": one}


def pinning(links: Links, file: str) -> Links:
    (peer,) = links.peers
    return evolve(links, peers=(evolve(peer, certificates=(file,)),))


@pytest.mark.parametrize("pinned", [0, 1])
def test_a_certificate_that_an_authority_renewed_needs_no_other_pin(
    sites: list[Site], pinned: int
) -> None:
    """The first one is over, the second one is not; the key is the same."""
    lyon, tokyo, _ = sites
    joined(tokyo, to=lyon)
    certified(tokyo, "link", 100, 60, 0)

    applied = lyon.apply(pinning(lyon.links((tokyo,), ()), f"link-{pinned}.crt"), tokyo)
    new = evolve(tokyo.links((), (lyon,)), certificate="link-2.pem")
    tokyo.apply(new, lyon)

    assert applied.warnings == ()
    assert answers(tokyo.knock())
    old = evolve(new, certificate="link-0.pem")
    assert tokyo.apply(old, lyon).warnings == (
        "the certificate of this site is over: peers refuse it",
    )
    assert not answers(tokyo.knock())


def test_one_that_signed_itself_is_exchanged_as_a_whole(sites: list[Site]) -> None:
    lyon, tokyo, _ = sites
    joined(tokyo, to=lyon)
    certified(tokyo, "link", 0)

    tokyo.apply(evolve(tokyo.links((), (lyon,)), certificate="link-0.pem"), lyon)

    assert not answers(tokyo.knock())


def test_a_later_connection_of_the_same_peer_is_its_too(sites: list[Site]) -> None:
    """A session that is taken up again would say nothing of who it is."""
    lyon, tokyo, paris = sites
    joined(tokyo, to=lyon)
    knocked = [tokyo.knock() for _ in range(3)]
    assert all(answers(it) for it in knocked)

    applied = lyon.apply(lyon.links((tokyo, paris), ()), tokyo, paris)

    assert (applied.is_changed, applied.closed_count) == (True, 0)
    assert all(answers(it) for it in knocked)


@contextmanager
def link_run(site: Site, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = (*PROGRAM, "link", "run", str(file), "--home", str(site.home))
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}  # noqa: TID251
    with programs.running(argv, site.home.with_suffix(".log"), environment) as running:
        yield running


def write(site: Site, links: Links, *others: Site) -> Path:
    """Write the file of links and all that it names."""
    place = site.home.with_suffix(".d")
    place.mkdir(exist_ok=True)
    for owner in (site, *others):
        for name, text in owner.files.items():
            (place / name).write_text(text)
    file = place / "links.toml"
    file.write_text(encode_links(links))
    return file


def test_links_stay_in_force_whoever_is_killed(sites: list[Site]) -> None:
    """A change is applied, and no connection ends for the death of the command."""
    lyon, tokyo, _ = sites
    reached = tokyo.links((), (lyon,))
    tokyo.apply(reached, lyon)
    tokyo.begin()
    tokyo.renew("next")
    file = write(lyon, lyon.links((tokyo,), ()), tokyo)
    stunnel = StunnelProcess(str(lyon.home))

    def eventually_answers() -> bool:
        return answers(tokyo.knock())

    with link_run(lyon, file) as running:
        programs.eventually(eventually_answers, 20, "the echo answers")
        opened = tokyo.knock()
        assert answers(opened)
        first = stunnel.pid()
        tokyo.apply(evolve(reached, certificate="next.pem"), lyon)
        assert not answers(tokyo.knock())
        write(lyon, pinning(lyon.links((tokyo,), ()), "next.crt"))
        programs.eventually(eventually_answers, 20, "the new pin is in force")
        running.kill()
        running.wait()
    assert stunnel.pid() == first
    assert answers(opened)

    with link_run(lyon, file):
        log = lyon.home.with_suffix(".log")
        programs.eventually(
            lambda: "runs already" in log.read_text(), 20, "it finds the stunnel"
        )
        assert (stunnel.pid(), answers(opened)) == (first, True)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        programs.eventually(eventually_answers, 20, "stunnel is begun again")
        second = stunnel.pid()

    assert second != first
    assert stunnel.find() is None
