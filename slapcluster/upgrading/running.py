"""Shell. An upgrade as a command: whose master, to which release, told how."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from runtime.ports import Runtime
from slap.release_sums import FINGERPRINT
from slapcluster.asking import ask
from slapcluster.bootstrap.addressing import addressed
from slapcluster.bootstrap.wanted_cloud import release_url_of
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.pushing import LocalRelease, find_replicas, read_release
from slapcluster.session import Session
from slapcluster.upgrading.performing import Found, Upgrade, Upgraded, find
from slapcluster.upgrading.planning import Target


@frozen
class Wish:
    """What was typed: a directory, a fingerprint or an address; or to go back."""

    text: str
    goes_back: bool
    is_dry_run: bool
    limit_seconds: float


def upgrade(session: Session, home: Path, wish: Wish) -> Upgraded:
    """Do what was typed, or say what that would do."""
    release = None
    if not wish.goes_back and Path(wish.text).is_dir():
        release = read_release(Path(wish.text))
    progress = session.progress(release.fingerprint[:12] if release else "upgrade")

    async def main(runtime: Runtime) -> Upgraded:
        told = addressed(session, runtime, home)
        urls, directory = told.master_urls, told.identity_directory
        replicas = await find_replicas(runtime, urls, directory)

        async def question(master: Master) -> Upgraded:
            found = await find(master)
            target = choose_target(wish, release, found)
            upgrade = Upgrade(
                master, replicas, target, release, progress.show, wish.limit_seconds
            )
            if wish.is_dry_run:
                return await upgrade.foresee(found)
            return await upgrade.perform(found)

        known = dict.fromkeys((*urls, *(it.url for it in replicas.listed)))
        return await ask(runtime, tuple(known), question, directory)

    try:
        return session.launch(main)
    finally:
        progress.close()


def choose_target(wish: Wish, release: LocalRelease | None, found: Found) -> Target:
    """Return the release that is wanted."""
    if wish.goes_back:
        return _former(found)
    if release is not None:
        name = release.fingerprint
        return Target(release_url_of(name), name, has_directory=True)
    if FINGERPRINT.fullmatch(wish.text):
        return Target(release_url_of(wish.text), wish.text)
    return target_of(wish.text)


def target_of(url: str) -> Target:
    """Return a release by its address; that of a replica has its fingerprint in it."""
    if not url.startswith(("http://", "https://")):
        raise CommandFailed(
            f"{url!r} is no directory here, no fingerprint and no address of a release:"
            " `make release` fills dist/release."
        )
    names = [it for it in url.split("/") if FINGERPRINT.fullmatch(it)]
    return Target(url, names[0] if names and url == release_url_of(names[0]) else "")


def _former(found: Found) -> Target:
    if not found.former:
        raise CommandFailed(
            "No other release of the master is installed on all of its computers: name"
            " one, by its directory or fingerprint."
        )
    if len(found.former) > 1:
        told = "".join(f"\n  {it}" for it in found.former)
        raise CommandFailed(
            f"Several releases are installed on all computers of the master:{told}\n"
            "Say which one: `slapcluster upgrade` with its address."
        )
    return target_of(found.former[0])
