"""Core. How a cloud that hosts itself stands, for people."""

from __future__ import annotations

from slapcluster.hosting.outlook import CloudOutlook, Keeping
from slapcluster.tables import Table, line


def outlook_table(outlook: CloudOutlook) -> Table:
    return Table(
        ("region", "computer", "replica", "broken", "if it ends now"),
        tuple(
            line(
                it.name,
                it.computer_id,
                it.replica.value,
                ", ".join(k for k, at in it.promises.items() if at is Keeping.BROKEN),
                it.if_lost,
            )
            for it in outlook.regions
        ),
        title=f"Regions of the master, {outlook.title}",
    )


def outlook_sentences(outlook: CloudOutlook) -> str:
    """Return the quorum, and the reasons of what is not as it should be."""
    kept = {True: "kept", False: "not kept", None: "unknown"}[outlook.is_quorum_kept]
    lines = [f"The cloud hosts itself. The quorum is {kept}: {outlook.quorum}."]
    for it in outlook.regions:
        lines += [f"{it.name}: {said}" for said in (it.reason, it.trouble) if said]
    return "\n".join(lines)
