"""Shell. Bootstraps a cloud, or says what that would do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import evolve, frozen

from runtime.ports import Runtime
from slap.errors import MasterAway
from slap.transfer import Standing
from slapcluster.asking import ask
from slapcluster.bootstrap.home import LOGBOOK, OPERATOR, Home
from slapcluster.bootstrap.logbook import (
    Logbook,
    Otherwise,
    begin,
    check_same,
)
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.performing import bootstrap_steps, perform_all
from slapcluster.bootstrap.wanted_cloud import WantedCloud, release_url_of
from slapcluster.bootstrap.work import Show, Work
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.session import Session

WATCH_SECONDS = 5.0
"""Between two rounds of questions, whose answers people look at."""


@frozen
class Options:
    """Where a bootstrap works, what its mini-master serves, how long steps take."""

    home: Path
    release: Path
    limit_seconds: float


def foresee(session: Session, wanted: WantedCloud, options: Options) -> Logbook:
    """Return what is done; nothing is changed, nobody is asked."""

    async def main(runtime: Runtime) -> Logbook:
        home = Home(runtime, path_of(options))
        logbook, _ = _begin(home, wanted, options.release.resolve())
        return logbook

    return session.launch(main)


def bootstrap(
    session: Session,
    wanted: WantedCloud,
    options: Options,
    say: Show,
) -> Logbook:
    """Do what is left; return what is done then, which is all."""
    progress = session.progress(wanted.name)

    async def main(runtime: Runtime) -> Logbook:
        home = Home(runtime, path_of(options))
        return await take_turn(home, wanted, options, progress.show, say)

    try:
        return session.launch(main)
    finally:
        progress.close()


async def take_turn(
    home: Home,
    wanted: WantedCloud,
    options: Options,
    show: Show,
    say: Show,
    *,
    build_mini_master: Callable[[Home, WantedCloud, str], MiniMaster] = MiniMaster,
) -> Logbook:
    """Do what is left in a home that nobody else works in."""
    release = options.release.resolve()
    with home.held():
        logbook, found = _begin(home, wanted, release)
        if logbook.is_self_hosted:
            return logbook
        work = Work(
            home,
            found,
            logbook,
            build_mini_master(home, found, str(release)),
            show,
            say,
            options.limit_seconds,
        )
        work.write(logbook)
        await perform_all(work, bootstrap_steps(work))
        return work.logbook


def watch(session: Session, options: Options, logbook: Logbook) -> None:
    """Say how many replicas serve, until somebody interrupts."""
    progress = session.progress(str(logbook.description["name"]))
    urls = tuple(logbook.replica_urls.values())
    directory = str(options.home.absolute() / OPERATOR)

    async def main(runtime: Runtime) -> None:
        while True:
            count = 0
            for url in urls:
                with suppress(MasterAway):
                    report = await ask(
                        runtime, (url,), lambda master: master.transfer(), directory
                    )
                    count += report.standing == Standing.OPEN
            progress.show(f"{count} of {len(urls)} replicas serve; Ctrl-C leaves them")
            await pause(runtime.clock, WATCH_SECONDS)

    try:
        session.launch(main)
    except KeyboardInterrupt:
        return
    finally:
        progress.close()


def path_of(options: Options) -> str:
    return str(options.home.absolute())


def _begin(
    home: Home, wanted: WantedCloud, release: Path
) -> tuple[Logbook, WantedCloud]:
    """Return what is done, and what is wanted with the release that is served."""
    try:
        present = home.read()
        if present is not None and present.is_self_hosted:
            # Its release is supplied like any other from now on.
            told = evolve(wanted, release_url=str(present.description["release"]))
            check_same(present, begin(told))
            return present, told
        url = wanted.release_url or release_url_of(fingerprint_of(release))
        found = evolve(wanted, release_url=url)
        logbook = present or begin(found)
        check_same(logbook, begin(found))
    except Otherwise as error:
        raise CommandFailed(f"{home.below(LOGBOOK)}: {error}.") from error
    return logbook, found


def fingerprint_of(release: Path) -> str:
    try:
        return (release / "fingerprint").read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise CommandFailed(
            f"{release} holds no release: `make release` fills dist/release, and "
            "--release names another place."
        ) from error
