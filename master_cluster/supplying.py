"""Core. Which releases a computer is supplied with."""

from __future__ import annotations

from attrs import evolve

from master_cluster.records import InstallationRecord
from slap.model import SoftwareInstallation, SupplyState


def decide_supply(
    wanted: SoftwareInstallation, existing: InstallationRecord | None, last_ordinal: int
) -> InstallationRecord:
    """Decide what is wanted of a release: the last word wins, its place stays.

    The last report stays too: an agent that has built the release reports it once.
    """
    if existing is None:
        return InstallationRecord(
            software_release_url=wanted.software_release_url,
            computer_id=wanted.computer_id,
            ordinal=last_ordinal + 1,
            requested_state=wanted.requested_state,
        )
    return evolve(existing, requested_state=wanted.requested_state)


def refuse_removal(installation: InstallationRecord) -> str | None:
    """Say why a release reported as removed stays listed, ``None`` when it goes.

    A report that crosses a new supply must not undo it.
    """
    if installation.requested_state is SupplyState.DESTROYED:
        return None
    return f"the removal of {installation.software_release_url} is not requested"
