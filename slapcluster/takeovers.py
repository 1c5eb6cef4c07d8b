"""Shell. Brings the state of a reference proxy into a store."""

from __future__ import annotations

from pathlib import Path

from master_cluster.errors import Misconfigured
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from master_cluster.store.takeover import take_over
from master_cluster.takeover.database import read_database
from master_cluster.takeover.deciding import Takeover, decide_takeover
from master_cluster.takeover.tables import TakeoverRefused
from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Launch

OBJECTIONS_MAX = 30
"""Shown at once; whoever removed these sees the others."""


def import_proxy(
    launch: Launch, database_path: Path, store_uri: str | None
) -> tuple[Takeover, bool]:
    """Read, decide and write; nothing is written when ``store_uri`` is ``None``.

    Returns what is taken over, and whether it was written.
    """

    async def main(runtime: Runtime) -> tuple[Takeover, bool]:
        now = runtime.calendar.now()
        takeover = decide_takeover(read_database(database_path), now)
        if store_uri is None:
            return takeover, False
        store = Store(open_database(store_uri, runtime.calendar), runtime)
        try:
            await store.prepare()
            is_written = await store.decide(
                lambda cloud, _: take_over(cloud, takeover, now)
            )
        finally:
            store.close()
        return takeover, is_written

    try:
        return launch(main)
    except Misconfigured as error:
        raise CommandFailed(f"{error}.") from error
    except TakeoverRefused as refused:
        listed = [f"  {it}" for it in refused.objections[:OBJECTIONS_MAX]]
        more = len(refused.objections) - len(listed)
        if more:
            listed.append(f"  and {more} more")
        raise CommandFailed(
            "\n".join(["Nothing was taken over:", *listed]) + "."
        ) from refused
