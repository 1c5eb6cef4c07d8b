"""Core. How a computer stands, for people."""

from __future__ import annotations

from slapcluster.certificate_views import (
    Forecast,
    calendar_sentences,
    calendar_table,
    forecast,
)
from slapcluster.instants import show_instant
from slapcluster.tables import Table, fold, fold_left, line
from slapgrid.convergence.views import ProgramState
from slapgrid.standing import PartitionStanding, Standing

MESSAGE_WIDTH_MAX = 60
URL_WIDTH_MAX = 60


def standing_tables(standing: Standing) -> tuple[Table, ...]:
    """Partitions, programs, failing promises, releases, retries, passes, identity."""
    return (
        Table(
            ("partition", "release", "processed", "programs", "promises", "error"),
            tuple(_partition_line(each) for each in standing.partitions),
            title="Partitions",
        ),
        Table(
            ("partition", "program", "state", "exit"),
            tuple(
                line(
                    each.partition_id,
                    program.name,
                    program.program_state.value,
                    program.exit_status,
                )
                for each in standing.partitions
                for program in each.programs
            ),
            title="Programs",
        ),
        Table(
            ("partition", "promise", "failure"),
            tuple(
                line(each.partition_id, promise.name, _short(promise.failure))
                for each in standing.partitions
                for promise in each.promises
                if promise.failure is not None
            ),
            title="Promises that are not kept",
        ),
        Table(
            ("release", "directory", "complete"),
            tuple(
                line(
                    fold_left(each.software_release_url, URL_WIDTH_MAX),
                    each.directory,
                    each.is_completed,
                )
                for each in standing.releases
            ),
            title="Releases",
        ),
        Table(
            ("effort", "of", "failures", "next try", "reason"),
            tuple(
                line(
                    each.effort.value,
                    fold_left(each.name, URL_WIDTH_MAX),
                    each.failure_count,
                    show_instant(each.due_at),
                    _short(each.message),
                )
                for each in standing.retries
            ),
            title="Tried again",
        ),
        Table(
            ("pass", "ended", "exit", "reason"),
            tuple(
                line(
                    each.kind,
                    show_instant(each.ended_at),
                    each.exit_status,
                    _short(each.reason),
                )
                for each in standing.last_passes
            ),
            title="Last passes",
        ),
        *((calendar_table(_forecasts(standing)),) if standing.certificates else ()),
    )


def standing_sentences(standing: Standing) -> str:
    """Who works on the computer, one sentence a line."""
    sentences = []
    if standing.agent is not None:
        sentences.append(f"The agent runs: process {standing.agent}.")
    elif standing.stock_agent is not None:
        sentences.append(f"The stock agent runs: process {standing.stock_agent}.")
    else:
        sentences.append("No agent runs: what runs goes on, and nothing changes.")
    if standing.supervision:
        sentences.append(f"No program can be seen: {standing.supervision}.")
    elif standing.watchdog and standing.watchdog != ProgramState.RUNNING:
        sentences.append(
            f"The watchdog is {standing.watchdog}: programs that end are noticed by "
            "the next pass alone."
        )
    if standing.certificates:
        sentences.append(calendar_sentences(_forecasts(standing)))
    return "\n".join(filter(None, sentences))


def _forecasts(standing: Standing) -> tuple[Forecast, ...]:
    return forecast(
        standing.certificates, standing.observed_at, standing.identity_directory
    )


def _partition_line(standing: PartitionStanding) -> tuple[str, ...]:
    programs, promises = standing.programs, standing.promises
    running = sum(it.program_state is ProgramState.RUNNING for it in programs)
    kept = sum(it.failure is None for it in promises)
    return line(
        standing.partition_id,
        standing.release_directory[:8],
        show_instant(standing.processed_at) if standing.is_processed else "",
        f"{running}/{len(programs)}",
        f"{kept}/{len(promises)}",
        _short(standing.error),
    )


def _short(text: str | None) -> str:
    return fold(text or "", MESSAGE_WIDTH_MAX)
