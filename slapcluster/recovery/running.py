"""Shell. Recovers a cloud, or says what that would do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from attrs import evolve, frozen

from runtime.identity_directory import IdentityDirectory
from runtime.ports import Runtime
from runtime.threads import work_in_thread
from slapcluster.bootstrap.gathering import Gathering
from slapcluster.bootstrap.home import LOGBOOK, Home
from slapcluster.bootstrap.logbook import (
    Logbook,
    Otherwise,
    Step,
    begin_recovery,
    check_same,
)
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.performing import (
    Performing,
    bootstrap_steps,
    perform_all,
)
from slapcluster.bootstrap.running import Options, fingerprint_of, path_of
from slapcluster.bootstrap.wanted_cloud import WantedCloud, release_url_of
from slapcluster.bootstrap.work import Work
from slapcluster.outcomes import CommandFailed
from slapcluster.recovery.comparing import Recovered
from slapcluster.recovery.sources import find_state
from slapcluster.recovery.taking import (
    Source,
    Taking,
    check_found,
    describe_found,
    recovered_of,
    work_watch,
)
from slapcluster.session import Session


@frozen
class Foreseen:
    """What is done, and the state that is taken, or would be."""

    logbook: Logbook
    recovered: Recovered


def foresee(
    session: Session, wanted: WantedCloud, options: Options, source: Source
) -> Foreseen:
    """Read what would be taken; nothing is changed, nobody is asked."""
    progress = session.progress(wanted.name)

    async def main(runtime: Runtime) -> Foreseen:
        home = Home(runtime, path_of(options), source.root_path)
        logbook, _ = _begin(home, wanted, options, source)
        if logbook.recovered:
            return Foreseen(logbook, recovered_of(logbook.recovered))
        roots = _roots(home)

        def look() -> Recovered:
            with tempfile.TemporaryDirectory() as place:
                found = find_state(source.path, Path(place), work_watch(progress.show))
                check_found(found.left, wanted, roots)
                return describe_found(found, wanted, source.path)

        return Foreseen(logbook, await work_in_thread(runtime.threads, look))

    try:
        return session.launch(main)
    finally:
        progress.close()


def recover(
    session: Session,
    wanted: WantedCloud,
    options: Options,
    source: Source,
    say: Callable[[str], None],
) -> Foreseen:
    """Do what is left; return what is done then, which is all."""
    progress = session.progress(wanted.name)

    async def main(runtime: Runtime) -> Foreseen:
        home = Home(runtime, path_of(options), source.root_path)
        with home.held():
            logbook, found = _begin(home, wanted, options, source)
            if not logbook.is_self_hosted:
                _roots(home)
                release = str(options.release.resolve())
                work = Work(
                    home,
                    found,
                    logbook,
                    MiniMaster(home, found, release),
                    progress.show,
                    say,
                    options.limit_seconds,
                )
                work.write(logbook)
                await perform_all(work, recovery_steps(work, source))
                logbook = work.logbook
            return Foreseen(logbook, recovered_of(logbook.recovered))

    try:
        return session.launch(main)
    finally:
        progress.close()


def recovery_steps(work: Work, source: Source) -> Performing:
    """Return those of a bootstrap, and what a recovery does otherwise."""
    gathering, taking = Gathering(work), Taking(work, source)

    async def clear() -> None:
        await taking.clear()
        await gathering.check_room()

    return {
        **bootstrap_steps(work),
        Step.TAKE: taking.take,
        Step.LEAVE: taking.leave,
        Step.JOIN: gathering.have_join,
        Step.CLEAR: clear,
        Step.OPEN: taking.open,
        Step.RETIRE: taking.retire,
    }


def _begin(
    home: Home, wanted: WantedCloud, options: Options, source: Source
) -> tuple[Logbook, WantedCloud]:
    """Return what is done, and what is wanted with the release that is served."""
    asked_for = str(source.path)
    try:
        present = home.read()
        if present is not None and present.is_self_hosted:
            # Its release is supplied like any other from now on.
            url = str(present.description["release"])
        else:
            release = options.release.resolve()
            url = wanted.release_url or release_url_of(fingerprint_of(release))
        found = evolve(wanted, release_url=url)
        asked = begin_recovery(found, asked_for)
        check_same(present or asked, asked)
    except Otherwise as error:
        raise CommandFailed(f"{home.below(LOGBOOK)}: {error}.") from error
    return present or asked, found


def _roots(home: Home) -> str:
    """Return the certificate of the root, which is there."""
    found = IdentityDirectory(home.root_tree).roots()
    if not found:
        raise CommandFailed(
            f"{home.root_path} has no root certificate: name the directory of the root"
            " of the lost cloud by --root. Computers believe no other one."
        )
    return found
