"""Shell. Whose master is asked, and by whom: as the home of a bootstrap has it."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from runtime.ports import Runtime
from slapcluster.bootstrap.home import OPERATOR, Home
from slapcluster.bootstrap.logbook import Otherwise
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session


def addressed(session: Session, runtime: Runtime, home: Path) -> Session:
    """Return who asks whom: as given, else as the home of a bootstrap has it."""
    if session.identity_directory:
        return session
    found = Home(runtime, str(home.absolute()))
    try:
        logbook = found.read()
    except Otherwise as error:
        raise CommandFailed(f"{found.path}: {error}.") from error
    if logbook is None or not logbook.replica_urls:
        return session
    return evolve(
        session,
        master_urls=tuple(logbook.replica_urls.values()),
        identity_directory=found.below(OPERATOR),
    )
