"""Core. A neo_cluster as tables, documents and exit codes."""

from __future__ import annotations

from replication.sight import NeoClusterSeen, RegionSeen, Standing
from slapcluster.outcomes import ExitCode
from slapcluster.tables import Table, line

EXIT_CODES = {
    Standing.WHOLE: ExitCode.DONE,
    Standing.PARTIAL: ExitCode.PENDING,
    Standing.AWAY: ExitCode.MASTER_AWAY,
}


def seen_tables(seen: NeoClusterSeen) -> tuple[Table, ...]:
    return (
        Table(
            ("what", "figure"),
            (
                line("name", seen.name),
                line("state", seen.cluster_state),
                line("standing", seen.standing),
                line("primary", _primary(seen)),
                line("epoch", seen.epoch),
                line("last transaction", seen.last_transaction),
                line("store", seen.store_uri),
            ),
        ),
        Table(
            (
                *("region", "neo_master", "storage_node", "admin_node"),
                *("number", "node", "readable", "out of date"),
            ),
            tuple(_line(region) for region in seen.regions),
        ),
        Table(
            ("region", "if it is lost now", "its neo_master"),
            tuple(line(it.name, it.if_lost, it.verdict) for it in seen.regions),
        ),
    )


def _primary(seen: NeoClusterSeen) -> str:
    return next((it.name for it in seen.regions if it.is_primary), "")


def _line(region: RegionSeen) -> tuple[str, ...]:
    programs = region.supervisord.programs if region.supervisord else (None,) * 3
    return line(
        region.name,
        *(
            None
            if it is None
            else f"{it.pid} {it.process_state}"
            if it.pid
            else it.process_state
            for it in programs
        ),
        region.storage_node_id,
        region.node_state,
        region.readable_count,
        region.out_of_date_count,
    )
